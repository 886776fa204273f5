"""What is quick to ask stays quick: the entry modules import nothing heavy.

The command line's own library checks arguments with pydantic, so a command may have imported that.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "timm", "kornia", "PIL", "numpy", "pydantic", "tifffile", "imagecodecs"}

COMMAND = """
from i2i.cli import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def imported_by(source: str) -> set[str]:
    """Run Python source in a fresh interpreter and return the heavy modules it has imported."""
    report = "\nimport sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", source + report], capture_output=True, text=True, check=True
    )
    return HEAVY & set(ended.stderr.split())


def test_the_check_itself_sees_an_import():
    assert imported_by("import numpy") == {"numpy"}


@pytest.mark.parametrize("module", ["i2i", "i2i.cli", "i2i.core", "i2i.kinds", "i2i.plugins.catalog"])
def test_entry_modules_import_nothing_heavy(module: str):
    assert imported_by(f"import {module}") == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["components", "list"],
        ["components", "list", "--json"],
        ["components", "--help"],
        ["plugins"],
        ["plugins", "--json"],
        ["plugin", "--help"],
        ["plugin", "new", "--help"],
        ["recipe", "list"],
        ["recipe", "--help"],
    ],
    ids=" ".join,
)
def test_commands_that_only_list_import_nothing_heavy(arguments: list[str]):
    assert imported_by(COMMAND.format(arguments=arguments)) <= {"pydantic"}
