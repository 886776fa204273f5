"""The rooms of the code: imports lead down, for types too, wherever they stand in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import i2i

ROOT = Path(i2i.__file__).parent


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = ("i2i", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported_by(path: Path) -> Iterator[str]:
    """Yield the modules of i2i that a file imports, also within functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in inside]
        else:
            continue
        yield from (name for name in names if name in MODULES)


IMPORTS = {module: set(imported_by(path)) - {module} for module, path in MODULES.items()}


def test_the_reading_of_imports_sees_those_for_types_and_those_in_functions(tmp_path: Path):
    file = tmp_path / "file.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from i2i.kinds import Side\n"
        "def f():\n    from i2i import seeds\n    import i2i.errors\n"
    )
    assert set(imported_by(file)) == {"i2i.kinds", "i2i.seeds", "i2i.errors"}


def test_no_file_imports_another_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
