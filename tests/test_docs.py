"""The documents say what the code does: signatures, tables and messages are those of the code.

The commands of the plug-in book are run by tests/book.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2i import hookspecs, testing
from i2i.kinds import CALLBACK_EVENTS, KINDS, PROTOCOLS
from i2i.plugins.schema import schema_of
from i2i.recipe.slots import TrainSettings
from i2i.registry import Registrar
from i2i.testing.table import applies_to, updated

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "docs" / "plugins"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


README, CONTRIBUTING = text_of(ROOT / "README.md"), text_of(ROOT / "CONTRIBUTING.md")
PAGES = {path.stem: text_of(path) for path in sorted(BOOK.glob("*.md"))}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def section(page: str, heading: str) -> str:
    """Return what stands on a page of the plug-in book from a heading to the next one."""
    _, _, after = PAGES[page].partition(f"\n{heading}\n")
    assert after, f"the page {page} has no heading '{heading}'"
    return re.split(r"^##+ ", after, maxsplit=1, flags=re.M)[0]


# --- the plug-in book: what it shows is what there is ----------------------------------------------


def shown() -> dict[str, dict[str, Any]]:
    """Return what the book's blocks of signatures define, by the module that they are of."""
    found: dict[str, dict[str, Any]] = {}
    for block in blocks("\n".join(PAGES.values()), "python"):
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
    protocol = PROTOCOLS[kind.name]
    told = SHOWN["i2i.kinds"][protocol.__name__]
    if kind.name == "callback":
        events = {name: tuple(inspect.signature(f).parameters)[1:] for name, f in functions(told).items()}
        assert events == CALLBACK_EVENTS
    else:
        assert functions(told).keys() == functions(protocol).keys()
        assert inspect.get_annotations(told) == inspect.get_annotations(protocol)


def test_the_table_of_kinds_is_that_of_the_code():
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section("contract", "## The kinds"), flags=re.M
    )
    told = {name: (listed(injected), listed(keys)) for name, injected, keys in rows}
    real = {
        kind.name.replace("-", "_"): (
            set(kind.injected),
            set(schema_of(kind.settings, owner=kind.name).names),
        )
        for kind in KINDS.values()
    }
    assert told == real


def test_the_table_of_the_training_page_has_every_key_of_train_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("training", "## The keys of [train]"), flags=re.M)
    told = {
        key: None if default.strip() == "-" else tomllib.loads(f"x = {default.strip(' `')}")["x"]
        for key, default in rows
    }
    assert told == {key.name: key.default for key in dataclasses.fields(TrainSettings)}


def listed(cell: str) -> set[str]:
    return set() if cell.strip() == "-" else {name.strip() for name in cell.split(",")}


def test_the_table_of_checks_is_that_of_the_code():
    page = BOOK / "testing.md"
    command = f"python -m i2i.testing.table {page.relative_to(ROOT).as_posix()}"
    made = updated(PAGES["testing"], testing.CHECKS.values())
    assert made == PAGES["testing"], f"the table of checks is not that of the code. Run: {command}"
    assert command in PAGES["testing"], "the page does not say how its table is made"


def test_every_check_of_the_kit_is_in_the_book_with_its_purpose():
    rows = re.findall(r"^\| `[\w-]+` \| .* \|$", section("testing", "## The checks"), flags=re.M)
    checks = testing.CHECKS.values()
    assert rows == [f"| `{check.name}` | {applies_to(check)} | {check.purpose} |" for check in checks]


def test_everything_in_the_kit_is_in_the_book():
    for name in testing.__all__:
        assert re.search(rf"\b{name}\b", section("testing", "## The kit")), name


def public() -> dict[str, list[str]]:
    """Return the modules that authors may import, with the names that the contract gives of each."""
    rows = re.findall(
        r"^\| `(i2i[\w.]*)` \| (.+) \|$", section("contract", "## What you may import"), flags=re.M
    )
    return {module: re.findall(r"`(\w+)`", told) for module, told in rows}


@pytest.mark.parametrize("module", public())
def test_what_authors_may_import_is_there(module):
    live = import_module(module)
    assert [name for name in public()[module] if not hasattr(live, name)] == []


def promised() -> set[str]:
    """Return the dotted names of the modules that authors may import, and of what is in them."""
    names = {*public(), *(f"i2i.{name}" for name in public()["i2i"])}
    for module in public().keys() - {"i2i"}:
        things = vars(import_module(module)) | dict.fromkeys(public()[module])
        names |= {f"{module}.{name}" for name, thing in things.items() if not inspect.ismodule(thing)}
    return names


def test_the_book_shows_names_and_imports_only_what_authors_may_import():
    used = {*SHOWN, *re.findall(r"`(i2i(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?)", "\n".join(PAGES.values()))}
    for block in blocks("\n".join(PAGES.values()), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                used |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
    assert {"i2i.hookimpl", "i2i.testtime", "i2i.errors.ResourceError"} <= used
    assert {name for name in used if name.split(".")[0] == "i2i"} <= promised()


def test_the_first_plug_in_has_twelve_lines():
    assert sum(bool(line) for line in blocks(PAGES["tutorial"], "python")[0].splitlines()) == 12


# --- the README ------------------------------------------------------------------------------------


def i2i_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "i2i", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def own_pairs(tmp_path: Path) -> Path:
    """The README's recipe for one's own pairs, at a size that trains in a second."""
    for split in ("train", "val"):
        folder = tmp_path / "pairs" / split
        folder.mkdir(parents=True)
        for index in range(2):
            Image.effect_noise((32, 16), 80).convert("RGB").save(folder / f"{index}.png")
    text = next(block for block in blocks(README, "toml") if 'name = "mine-256"' in block)
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


def test_the_readmes_recipe_for_few_pairs_starts_from_a_model_and_is_used_from_python(
    i2i, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 10), ("val", 2)):
        Path("my-pairs", split).mkdir(parents=True)
        for index in range(count):
            Image.effect_noise((128, 64), 80).save(f"my-pairs/{split}/{index}.png")
    Path("mine.toml").write_text(next(b for b in blocks(README, "toml") if 'name = "mine"' in b))
    small = ("--set", "generator.width=4", "--set", "discriminators.patch.width=4")
    first = i2i("run", "mine.toml", "--steps", "2", "--out", "runs/short", *small)
    assert first.code == 0, first.err
    tuned = i2i("run", "mine.toml", "--steps", "2", "--init-from", "latest", *small)
    assert tuned.code == 0, tuned.err
    assert "Started from an earlier training: generators.main from runs/short/model.safetensors" in tuned.err
    Image.effect_noise((64, 64), 80).save("drawing.png")
    array = np.array(Image.open("drawing.png").convert("RGB"))
    known = {"array": array, "other_array": array}
    exec(next(block for block in blocks(README, "python") if "Translator(" in block), known)
    assert known["coloured"].size == (64, 64)
    assert [len(known["several"]), len(known["four"])] == [2, 4]


def test_with_the_first_plug_in_of_the_book_it_trains_too_and_the_model_translates(own_pairs):
    folder = own_pairs.parent
    (folder / "mine.py").write_text(blocks(PAGES["tutorial"], "python")[0])
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
    assert blocks(CONTRIBUTING, "console")[0] == f"{test_command}\n"
    assert f"\n{test_command}\n" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_leads_to_the_first_plug_in():
    own = README.partition("\n## Your own components\n")[2].partition("\n## ")[0]
    assert "(docs/plugins/tutorial.md)" in own


def test_the_citation_is_of_this_version_and_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = text_of(ROOT / "CITATION.cff").splitlines()
    assert {f"version: {project['version']}", f"license: {project['license']}"} <= set(lines)
    assert "(CITATION.cff)" in README


# --- how i2i itself is worked on -------------------------------------------------------------------


def test_the_first_link_for_contributors_is_to_the_plug_in_book():
    assert next(iter(links(ROOT / "CONTRIBUTING.md")))[0] == BOOK / "README.md"


def test_the_style_that_contributors_are_told_of_is_the_one_that_is_checked():
    style = blocks(CONTRIBUTING, "console")[1].splitlines()
    assert [line.removeprefix("python -m ") for line in style] == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
    ]
    assert set(style) <= set((ROOT / ".ci" / "run").read_text().splitlines())


def test_contributors_are_told_where_the_tests_look_for_real_data():
    tests = [text_of(path) for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("test_*.py")]
    used = {name for text in tests for name in re.findall(r'"(I2I_TEST_\w+)"', text)}
    assert used == {"I2I_TEST_DATA"}
    assert "`I2I_TEST_DATA`" in CONTRIBUTING


# --- all documents ---------------------------------------------------------------------------------

PATTERNS = ("*.md", "docs/**/*.md", "plugins/*/README.md", "recipes/**/*.md")
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path for each in PATTERNS for path in sorted(ROOT.glob(each))}


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text_of(path), flags=re.S | re.M)


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of every link within the project; either may be the document's own."""
    for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]*))?\)", prose(path)):
        yield (path.parent / target).resolve() if target else path, anchor


def anchors(path: Path) -> set[str]:
    """Return what the headings of a document can be linked to as."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_blocks_of_toml_parse():
    found = [block for path in DOCUMENTS.values() for block in blocks(text_of(path), "toml")]
    assert len(found) > 10
    for block in found:
        assert tomllib.loads(block)


@pytest.mark.parametrize("path", DOCUMENTS.values(), ids=DOCUMENTS)
def test_links_in_the_documents_lead_somewhere(path):
    for target, anchor in links(path):
        assert target.exists(), target
        assert target.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def test_no_two_headings_of_a_document_that_is_linked_into_share_an_anchor():
    for target in {target for path in DOCUMENTS.values() for target, anchor in links(path) if anchor}:
        assert len(anchors(target)) == len(re.findall(r"^#+ ", prose(target), flags=re.M)), target


def test_the_source_distribution_holds_all_that_its_documents_link_to(tmp_path):
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True, timeout=300)
    (archive,) = tmp_path.glob("i2i_toolkit-*.tar.gz")
    with tarfile.open(archive) as file:
        files = {Path(*Path(name).parts[1:]) for name in file.getnames()}
    held = files | {folder for path in files for folder in path.parents}
    assert {BOOK.relative_to(ROOT) / f"{page}.md" for page in PAGES} <= held
    for path in DOCUMENTS.values():
        assert path.relative_to(ROOT) in held
        for target, _ in links(path):
            assert target.relative_to(ROOT) in held, f"{path.name}: {target}"
