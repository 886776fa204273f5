"""Image pairs in Arrow files, for data past memory. This module stays thin; see `pairs` and `command`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare the data set."""
    registry.data(
        "pairs",
        "i2i_datasets.pairs:Pairs",
        "image pairs in Arrow files, mapped from disk: a pack, or what datasets.save_to_disk wrote",
        rev=1,
    )
