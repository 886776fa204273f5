"""The rooms of the code: imports lead down, for types too, wherever they stand in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

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


FLOORS = (
    ("_version", "errors", "maps", "seeds", "slot_keys"),
    ("networks", "records", "system", "torch_files"),
    ("context", "images"),
    ("kinds", "pages", "testtime"),
    ("augmentation", "registry"),
    ("hookspecs",),
    ("plugins",),
    ("recipe",),
    ("runs",),
    ("building",),
    ("data",),
    ("engine",),
    ("models",),
    ("", "bench"),
    ("core", "testing"),
    ("cli",),
    ("__main__",),
)
"""The rooms, from the ground up; "" is the package's own face, with its lazy names."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

PUBLIC = {
    "i2i",
    "i2i.augmentation",
    "i2i.bench.jobs",
    "i2i.bench.processes",
    "i2i.context",
    "i2i.errors",
    "i2i.hookspecs",
    "i2i.images",
    "i2i.kinds",
    "i2i.maps",
    "i2i.networks",
    "i2i.records",
    "i2i.registry",
    "i2i.seeds",
    "i2i.slot_keys",
    "i2i.testing",
    "i2i.testtime",
    "i2i.torch_files",
}
"""What a component may import: what ships with i2i is held to it as everybody else is."""


def room_of(module: str) -> str:
    """Return the file or the folder directly below the package that a module is in."""
    return module.partition(".")[2].partition(".")[0]


def test_every_room_has_a_floor_and_every_floor_its_rooms():
    assert {room_of(module) for module in MODULES} == set(FLOOR_OF)


def test_imports_lead_down_for_types_too():
    up = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if room_of(imported) != room_of(module) and FLOOR_OF[room_of(imported)] >= FLOOR_OF[room_of(module)]
    ]
    assert not up, "\n".join(up)


def test_a_folder_says_in_one_sentence_which_question_it_answers():
    exceptions = {"cli", "core", "images", "testing", ""}  # these hold names of their own
    for path in ROOT.glob("*/__init__.py"):
        if path.parent.name not in exceptions:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, path
            assert ast.get_docstring(ast.Module(body, [])), path


PLUGINS = ROOT.parent / "plugins"
COMPONENTS = [
    *(ROOT / "core").rglob("*.py"),
    *PLUGINS.glob("*/src/**/*.py"),
    *(ROOT / "plugins" / "templates").rglob("*.py.txt"),
]


def names_of_i2i(path: Path) -> set[str]:
    """Return the modules of i2i outside of the file's own package that it imports, as it names them."""
    text = path.read_text(encoding="utf-8").replace("$", "")
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if name in MODULES}
            found |= modules or {node.module}
    own = "i2i.core" if (ROOT / "core") in path.parents else "-"
    return {name for name in found if name.split(".")[0] == "i2i" and not name.startswith(own)}


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_components_import_only_what_every_author_may(path: Path):
    assert names_of_i2i(path) <= PUBLIC


def test_there_are_components_to_look_at():
    assert len(COMPONENTS) > 60
