"""The documents say what the code does: signatures, tables and messages are those of the code.

The commands of the authors' book are run by tests/book.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from i2i import hookspecs, testing
from i2i.kinds import KINDS
from i2i.plugins.schema import schema_of
from i2i.registry import Registrar
from i2i.testing.outcomes import PLUGIN, Check

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def section(heading: str) -> str:
    """Return what stands in the authors' book from a heading to the next one."""
    _, _, after = CONTRIBUTING.partition(f"\n{heading}\n")
    assert after, f"the book has no heading '{heading}'"
    return re.split(r"^##+ ", after, maxsplit=1, flags=re.M)[0]


# --- the authors' book: what it shows is what there is --------------------------------------------


def shown() -> dict[str, dict[str, Any]]:
    """Return what the book's blocks of signatures define, by the module that they are of."""
    found: dict[str, dict[str, Any]] = {}
    for block in blocks(CONTRIBUTING, "python"):
        if module := re.match(r"# (i2i[\w.]*)\n", block):
            stub: dict[str, Any] = {}
            exec(compile(f"from __future__ import annotations\n{block}", module[1], "exec"), stub)
            names = {name: thing for name, thing in stub.items() if name[0] != "_" and name != "annotations"}
            found.setdefault(module[1], {}).update(names)
    return found


SHOWN = shown()


def functions(thing: Any) -> dict[str, Any]:
    """Return what can be called on a class, its inherited and internal methods aside."""
    used = ("__call__", "__len__", "__getitem__")
    own = {name: getattr(thing, name) for name in vars(thing) if name[0] != "_" or name in used}
    return {name: method for name, method in own.items() if isinstance(method, FunctionType)}


def signature(thing: Any) -> str:
    return str(inspect.signature(thing))


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, things in SHOWN.items() for name in things]
)
def test_a_signature_in_the_book_is_the_live_one(module, name):
    told, live = SHOWN[module][name], getattr(import_module(module), name)
    if not inspect.isclass(told):
        assert signature(told) == signature(live)
        return
    fields = inspect.get_annotations(live)
    for field, annotation in inspect.get_annotations(told).items():
        assert annotation == fields[field], field
        assert vars(told).get(field) == vars(live).get(field), field
    for method, function in functions(told).items():
        if name != "Callback":  # which no protocol describes: see below
            assert signature(function) == signature(getattr(live, method)), method


def test_every_hook_is_in_the_book():
    hooks = {name for name, thing in vars(hookspecs).items() if hasattr(thing, "i2i_spec")}
    assert SHOWN["i2i.hookspecs"].keys() == hooks


def test_every_method_of_the_registrar_is_in_the_book():
    assert functions(SHOWN["i2i.registry"]["Registrar"]).keys() == functions(Registrar).keys() - {"component"}
    assert {name.replace("-", "_") for name in KINDS} <= functions(Registrar).keys()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_is_in_the_book_with_all_that_is_called_on_it(kind):
    from i2i.testing.checks.callbacks import EVENTS

    told = SHOWN["i2i.kinds"][kind.protocol.__name__]
    if kind.name == "callback":
        events = {name: tuple(inspect.signature(f).parameters)[1:] for name, f in functions(told).items()}
        assert events == EVENTS
    else:
        assert functions(told).keys() == functions(kind.protocol).keys()
        assert inspect.get_annotations(told) == inspect.get_annotations(kind.protocol)


def test_the_table_of_kinds_is_that_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section("### The kinds"), flags=re.M)
    told = {name: (listed(injected), listed(keys)) for name, injected, keys in rows}
    real = {
        kind.name.replace("-", "_"): (
            set(kind.injected),
            set(schema_of(kind.settings, owner=kind.name).names),
        )
        for kind in KINDS.values()
    }
    assert told == real


def listed(cell: str) -> set[str]:
    return set() if cell.strip() == "-" else {name.strip() for name in cell.split(",")}


def test_every_check_of_the_kit_is_in_the_book_with_its_purpose():
    rows = re.findall(r"^\| `[\w-]+` \| .* \|$", section("## Testing"), flags=re.M)
    checks = testing.CHECKS.values()
    assert rows == [f"| `{check.name}` | {applies_to(check)} | {check.purpose} |" for check in checks]


def applies_to(check: Check) -> str:
    others = [name for name in KINDS if name not in check.kinds]
    if check.kinds == {PLUGIN} or len(others) > 2:
        return ", ".join(name for name in (PLUGIN, *KINDS) if name in check.kinds)
    return f"every kind but {', '.join(others)}" if others else "every kind"


def test_everything_in_the_kit_is_in_the_book():
    for name in testing.__all__:
        assert re.search(rf"\b{name}\b", section("## Testing")), name


def test_the_first_plug_in_has_twelve_lines():
    assert sum(bool(line) for line in blocks(CONTRIBUTING, "python")[0].splitlines()) == 12


# --- the README ------------------------------------------------------------------------------------


def i2i_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "i2i", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def own_pairs(tmp_path: Path) -> Path:
    """The README's recipe for one's own pairs, at a size that trains in a second."""
    from PIL import Image

    for split in ("train", "val"):
        folder = tmp_path / "pairs" / split
        folder.mkdir(parents=True)
        for index in range(2):
            Image.effect_noise((32, 16), 80).convert("RGB").save(folder / f"{index}.png")
    text = next(block for block in blocks(README, "toml") if 'extends = "pix2pix"' in block)
    text = text.replace('"my-pairs"', f'"{tmp_path / "pairs"}"').replace("[256, 256]", "[16, 16]")
    text = text.replace("depth = 8", "depth = 3").replace("width = 64", "width = 4").replace("286", "18")
    text = text.replace("[discriminators.patch]", "[discriminators.patch]\nreceptive_field = 16")
    text += '\n[train]\nsteps = 2\n\n[metrics.ssim]\nuse = "ssim"\n'
    (tmp_path / "mine.toml").write_text(text)
    return tmp_path / "mine.toml"


def test_the_readmes_recipe_for_own_pairs_trains(i2i, own_pairs):
    done = i2i("run", str(own_pairs), "--out", str(own_pairs.parent / "out"))
    assert done.code == 0, done.err
    model = str(own_pairs.parent / "out" / "model.safetensors")
    assert done.out.rstrip().splitlines()[-1].split() == ["model", model]


def test_with_the_first_plug_in_of_the_book_it_trains_too_and_the_model_translates(own_pairs):
    folder = own_pairs.parent
    (folder / "mine.py").write_text(blocks(CONTRIBUTING, "python")[0])
    trained = i2i_process(
        *("run", "mine.toml", "--plugin", "mine.py", "--set", "generator.use=local/shallow", "--out", "out"),
        cwd=folder,
    )
    assert trained.returncode == 0, trained.stderr
    translated = i2i_process(
        *("translate", "out/model.safetensors", "pairs/val", "coloured", "--plugin", "mine.py"), cwd=folder
    )
    assert translated.returncode == 0, translated.stderr


def test_the_error_shown_in_the_readme_is_the_one_that_is_printed(i2i, tmp_path, monkeypatch):
    pytest.importorskip("i2i_openmoji")  # without the images, their absence is told as well
    text = (ROOT / "recipes" / "pix2pix.toml").read_text().replace("\ndepth = 6", "\ndept = 6")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "pix2pix.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = i2i("recipe", "check", "recipes/pix2pix.toml")
    assert done.code == 2
    line = next(n for n, content in enumerate(text.splitlines(), 1) if content.startswith("dept = 6"))
    message = next(block for block in blocks(README, "text") if "dept'" in block)
    assert message.strip().replace(":21", f":{line}") == done.err.strip()


def test_both_commands_of_the_readme_name_files_that_are_there():
    assert (ROOT / "recipes" / "pix2pix.toml").is_file()
    assert (ROOT / "requirements-dev.txt").is_file()
    commands = "\n".join(blocks(README, "console"))
    assert "python -m pip install -e . -e plugins/i2i-openmoji && i2i run recipes/pix2pix.toml" in commands
    test_command = "python -m pip install -r requirements-dev.txt && python -m pytest"
    assert test_command in commands
    assert blocks(section("## Working on i2i itself"), "console") == [f"{test_command}\n"]
    assert f"\n{test_command}\n" in (ROOT / ".ci" / "run").read_text()


# --- both ------------------------------------------------------------------------------------------


def test_the_blocks_of_toml_parse():
    for block in (*blocks(CONTRIBUTING, "toml"), *blocks(README, "toml")):
        assert tomllib.loads(block)


def test_links_in_the_documents_lead_somewhere():
    for text in (README, CONTRIBUTING):
        headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), flags=re.M)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
            assert (ROOT / target).exists(), target
            assert not anchor or target or anchor in anchors, anchor
