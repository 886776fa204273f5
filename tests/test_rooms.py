"""The rooms of the code: imports lead down, for types too, wherever they stand in a file."""

from __future__ import annotations

import ast
import re
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


DOCS = ROOT.parent / "docs"


def floors() -> dict[str, int]:
    """Return the floor of each room as the architecture's table gives it; "" is the package's own face."""
    found: dict[str, int] = {}
    for line in (DOCS / "architecture.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| (\d+) \| ([^|]+) \|", line):
            rooms = re.findall(r"`(\w+)/?`", row[2])
            assert not found.keys() & set(rooms)
            found |= dict.fromkeys(("" if room == "i2i" else room for room in rooms), int(row[1]))
    return found


FLOOR_OF = floors()


def public() -> set[str]:
    """Return the modules that the contract lets authors import: what ships with i2i is held to it too."""
    page = (DOCS / "plugins" / "contract.md").read_text(encoding="utf-8")
    section = page.partition("## What you may import")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(i2i[\w.]*)` \|", section, flags=re.M))


PUBLIC = public()


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


def method_names() -> set[str]:
    """Return the names of the methods that core and the packages of this tree declare."""
    from i2i.core import COMPONENTS

    declared = re.compile(r'registry\.method\(\s*"([\w-]+)"')
    entries = [path.read_text() for path in (ROOT.parent / "plugins").glob("*/src/*/__init__.py")]
    found = {name for name, *_ in COMPONENTS["method"]}
    return found | {name for text in entries for name in declared.findall(text)}


def test_no_method_is_known_by_name_outside_its_package():
    names = method_names()
    assert {"paired-adversarial", "cyclegan", "cut", "bridge", "flow"} <= names
    # The kit has a recipe of its own to try other components in.
    places = [path for path in MODULES.values() if path.parts[len(ROOT.parts)] not in ("core", "testing")]
    for path in places:
        constants = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        known = {name for name in names if {name, f"core/{name}"} & constants}
        # What packages are called stands in the list of i2i's own, to warn of names that are one letter away.
        assert known <= ({"bridge"} if path.name == "doctor.py" else set()), path
