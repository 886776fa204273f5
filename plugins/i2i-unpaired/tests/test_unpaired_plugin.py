"""The package as i2i finds it: what it declares, the contract of each component, and what it refuses."""

from __future__ import annotations

from i2i.testing import parametrize_components


@parametrize_components("unpaired/*")
def test_the_contract(check) -> None:
    check()
