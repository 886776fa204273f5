"""The package as i2i finds it: what it declares, the contract of each component, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import i2i_unpaired

from i2i.registry import Registrar
from i2i.testing import parametrize_components


@parametrize_components("unpaired/*")
def test_the_contract(check) -> None:
    check()


def registered() -> Registrar:
    registrar = Registrar("unpaired", module="i2i_unpaired", distribution="i2i-unpaired", version="0.1.0")
    i2i_unpaired.i2i_register(registrar)
    return registrar


def test_its_read_me_tells_of_everything_that_it_declares_and_of_nothing_else() -> None:
    text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\bunpaired/[a-z0-9-]+", text))
    assert told == {entry.ref for entry in (*registered().entries, *registered().recipes)}
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S):
        assert tomllib.loads(block)


def test_importing_the_plug_in_imports_nothing_heavy() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", "import i2i_unpaired, sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert not {"torch", "PIL", "numpy"} & set(answer.stdout.split())
