"""`i2i plugin new`: what it writes is sound for every kind, installs, passes its own tests and trains."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.errors import RecipeError, ResourceError
from i2i.kinds import KINDS
from i2i.plugins.catalog import Catalog
from i2i.plugins.scaffold import COMPONENTS, LONGEST_NAME, Scaffold, scaffold

TAKES_A_PROCESS = "spawn-safe"

EVERYTHING = """
import sys

import pytest

from i2i.cli import main


def i2i(*arguments):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)


folder, namespace, steps = sys.argv[1:]
assert pytest.main([folder, "-q", "-p", "no:cacheprovider", "-W", "error"]) == 0
i2i("plugin", "check", namespace)
i2i("run", f"{folder}/recipes/{namespace}.toml", "--steps", steps, "--out", "out")
"""


def made(name: str, kind: str, out: Path) -> Scaffold:
    return scaffold(name, kind=kind, out=out, catalog=Catalog.installed())


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scaffold]]:
    """A scaffold of each kind, each as an editable installation leaves it: its src/ is on the path."""
    out, site = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("site")
    scaffolds = {kind: made(f"new-{kind}", kind, out) for kind in KINDS}
    paths = [site]
    for kind, new in scaffolds.items():
        package = f"i2i_new_{kind.replace('-', '_')}"
        info = site / f"{package}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {new.folder.name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[i2i]\nnew-{kind} = {package}\n")
        paths.append(new.folder / "src")
    with pytest.MonkeyPatch.context() as patch:
        for path in paths:
            patch.syspath_prepend(str(path))
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        yield scaffolds
    for name in [name for name in sys.modules if name.startswith("i2i_new_")]:
        del sys.modules[name]


# --- what is written ------------------------------------------------------------------------------


def test_every_kind_has_a_template():
    assert COMPONENTS.keys() == KINDS.keys()


def test_the_package_is_complete(tmp_path):
    new = made("shiny", "generator", tmp_path)
    assert new.folder == tmp_path / "i2i-shiny"
    assert new.ref == "shiny/net"
    assert sorted(new.files) == [
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "recipes/shiny.toml",
        "src/i2i_shiny/__init__.py",
        "src/i2i_shiny/net.py",
        "src/i2i_shiny/py.typed",
        "tests/test_contract.py",
    ]
    assert {str(path.relative_to(new.folder)) for path in new.folder.rglob("*") if path.is_file()} == {
        *new.files
    }
    project = tomllib.loads((new.folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "i2i-shiny"
    assert project["dependencies"] == ["i2i-toolkit>=0.1"]
    assert project["entry-points"] == {"i2i": {"shiny": "i2i_shiny"}}
    assert "license" not in project
    recipe = tomllib.loads((new.folder / "recipes" / "shiny.toml").read_text())
    assert recipe["requires"] == {"i2i": ">=0.1", "plugins": {"shiny": ">=0.1"}}


def test_nothing_is_left_to_fill_in_and_other_dollars_stay(tmp_path):
    new = made("two-words", "data", tmp_path)
    for name in new.files:
        text = (new.folder / name).read_text()
        assert "$" not in text.replace("${{ matrix.python }}", "")
    assert "${{ matrix.python }}" in (new.folder / ".github/workflows/test.yml").read_text()
    assert (new.folder / "src/i2i_two_words/hills.py").is_file()


@pytest.mark.parametrize(
    "command", [["check", "--select", "E,F,I,UP,B,SIM,RUF", "--ignore", "E501"], ["format", "--check"]]
)
def test_what_is_written_is_tidy(checkouts, command):
    folders = [str(new.folder) for new in checkouts.values()]
    line = [sys.executable, "-m", "ruff", command[0], "--isolated", "--no-cache", *command[1:], *folders]
    # Away from this checkout, where `i2i` would count as the author's own.
    ended = subprocess.run(line, capture_output=True, text=True, cwd=Path(folders[0]).parent)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_what_is_written_passes_a_strict_type_checker(checkouts, tmp_path):
    files = [str(path) for new in checkouts.values() for path in (new.folder / "src").rglob("*.py")]
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *files]
    ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "i2i-shiny").mkdir()
    (tmp_path / "i2i-shiny" / "mine.txt").write_text("mine")
    with pytest.raises(RecipeError, match="i2i-shiny is there already; choose another name"):
        made("shiny", "generator", tmp_path)
    assert [path.name for path in (tmp_path / "i2i-shiny").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_there_too(tmp_path):
    (tmp_path / "i2i-shiny").mkdir()
    with pytest.raises(RecipeError, match="is there already"):
        made("shiny", "generator", tmp_path)


def test_a_folder_that_cannot_be_made_is_a_matter_of_resources(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="i2i-shiny cannot be made"):
        made("shiny", "generator", tmp_path / "file")


def test_a_link_that_leads_nowhere_is_there_already(tmp_path):
    (tmp_path / "i2i-shiny").symlink_to("nowhere")
    with pytest.raises(RecipeError, match="i2i-shiny is there already"):
        made("shiny", "generator", tmp_path)


def test_a_file_and_a_name_that_is_too_long_hold_no_package(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"i2i-shiny cannot be made: .*file is a file\."):
        made("shiny", "generator", tmp_path / "file")
    with pytest.raises(ResourceError, match="i2i-shiny cannot be made: File name too long"):
        made("shiny", "generator", tmp_path / ("x" * 300))


def test_half_a_package_is_taken_back(tmp_path, monkeypatch):
    write = Path.write_text

    def full(self: Path, *args: object, **kwargs: object) -> int:
        if self.name == "test_contract.py":
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ResourceError, match="i2i-shiny cannot be written: No space left on device"):
        made("shiny", "generator", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shiny", "cannot name a plug-in"),
        ("shiny_things", "cannot name a plug-in"),
        ("2shiny", "cannot name a plug-in"),
        ("shiny-", "cannot name a plug-in"),
        ("../shiny", "cannot name a plug-in"),
        ("", "cannot name a plug-in"),
        ("a" * (LONGEST_NAME + 1), "cannot name a plug-in"),
        ("i2i-shiny", "'i2i-shiny' is a package's name; give the namespace alone: shiny"),
        ("local", "'local' is a name that i2i keeps for itself"),
        ("toolkit", "'toolkit' is a name that i2i keeps for itself"),
        ("core", "'core' is the name of one of i2i's own plug-ins"),
        ("ray", "'ray' is the name of one of i2i's own plug-ins"),
    ],
)
def test_a_name_that_cannot_be_used(tmp_path, name, reason):
    with pytest.raises(RecipeError, match=reason):
        made(name, "generator", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken(tmp_path, distribution):
    distribution("i2i-shiny", "0.3", "shiny", {"i2i_shiny.py": "raise RuntimeError"})
    with pytest.raises(RecipeError, match=r"there is a plug-in 'shiny' already \(i2i-shiny 0.3\)"):
        made("shiny", "generator", tmp_path)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_tells_what_to_do_next(i2i, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = i2i("plugin", "new", "shiny", "--kind", "penalty")
    assert (ended.code, ended.err) == (0, "")
    assert "i2i-shiny/src/i2i_shiny/flat_on_fakes.py\n" in ended.out
    assert "i2i-shiny is a plug-in with the penalty shiny/flat-on-fakes.\n" in ended.out
    commands = [line.strip() for line in ended.out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert commands == [
        "pip install -e ./i2i-shiny",
        "i2i plugin check shiny",
        "i2i run i2i-shiny/recipes/shiny.toml --steps 20",
    ]
    again = i2i("plugin", "new", "shiny")
    assert (again.code, again.out) == (2, "")
    assert again.err == "i2i-shiny is there already; choose another name, or another --out\n"
    assert i2i("plugin", "new", "shiny", "--out", "elsewhere/deep").code == 0
    assert Path("elsewhere/deep/i2i-shiny/pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("out", "pip", "recipe"),
    [
        ("my nets", "'./my nets/i2i-shiny'", "'my nets/i2i-shiny/recipes/shiny.toml'"),
        ("-nets", "./-nets/i2i-shiny", "./-nets/i2i-shiny/recipes/shiny.toml"),
    ],
)
def test_the_commands_can_be_pasted_whatever_the_folder_is_called(
    i2i, tmp_path, monkeypatch, out, pip, recipe
):
    monkeypatch.chdir(tmp_path)
    ended = i2i("plugin", "new", "shiny", f"--out={out}")
    assert f"\n  pip install -e {pip}\n" in ended.out
    assert f"\n  i2i run {recipe} --steps 20\n" in ended.out


def test_the_component_may_be_given_its_name(i2i, tmp_path):
    named = ("plugin", "new", "shiny", "--kind", "method", "--out", str(tmp_path), "--name")
    assert i2i(*named, "Two Codes").err.startswith("--name Two Codes: use lower-case words joined by '-'")
    ended = i2i(*named, "two-codes")
    assert "is a plug-in with the method shiny/two-codes.\n" in ended.out
    package = tmp_path / "i2i-shiny"
    assert (package / "src/i2i_shiny/two_codes.py").is_file()
    written = "".join(path.read_text() for path in package.rglob("*.*") if path.is_file())
    assert 'use = "shiny/two-codes"' in written
    assert "head-start" not in written


def test_the_command_refuses_an_unknown_kind(i2i, tmp_path):
    ended = i2i("plugin", "new", "shiny", "--kind", "generater", "--out", str(tmp_path))
    assert ended.code == 2
    assert ended.err.startswith(
        "--kind generater: there is no such kind - did you mean 'generator'?; kinds: "
    )


def test_a_name_one_letter_away_from_a_known_one_is_noted(i2i, tmp_path):
    ended = i2i("plugin", "new", "day", "--out", str(tmp_path))
    assert (ended.code, ended.err) == (0, "note: 'day' is one letter away from i2i's own plug-in 'ray'\n")


# --- what was written works -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_of_each_kind_keeps_the_contract(checkouts, kind):
    from i2i.testing.examination import examine_plugin

    outcomes = [
        examination.outcome(name)
        for examination in examine_plugin(f"new-{kind}", catalog=Catalog.installed())
        for name in examination.checks
        if name != TAKES_A_PROCESS
    ]
    assert len(outcomes) > 10
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_of_each_kind_is_shipped_and_sound(checkouts, kind):
    from i2i.recipe.recipe import load_recipe

    new, catalog = checkouts[kind], Catalog.installed()
    assert catalog.recipe(f"new-{kind}/new-{kind}").path() == new.folder / "recipes" / f"new-{kind}.toml"
    recipe = load_recipe(f"new-{kind}/new-{kind}", catalog=catalog)
    used = {slot.entry.ref for slot in recipe.slots.values()}
    assert (new.ref in used) is KINDS[kind].in_recipes


def install(new: Scaffold, site: Path) -> None:
    """Build and install a package into a folder of its own, without a network."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    line = [sys.executable, "-m", "pip", "install", "-q", *options, "--target", str(site), str(new.folder)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "kind", [kind if kind == "generator" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_scaffold_installs_passes_its_tests_and_trains(tmp_path, kind):
    new = made("shiny", kind, tmp_path)
    install(new, tmp_path / "site")
    assert (tmp_path / "site/i2i_shiny/recipes/shiny.toml").is_file()
    shutil.rmtree(new.folder / "src")  # what is tested is what was installed
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    line = [sys.executable, "-c", EVERYTHING, str(new.folder), "shiny", "3"]
    ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert "passed" in ended.stdout


@pytest.mark.slow
def test_an_executor_from_a_scaffold_trains_a_benchmark(checkouts, tmp_path):
    line = [sys.executable, "-m", "i2i", "bench", "new-executor/new-executor", "--steps", "2", "--seeds", "1"]
    line += ["--swap", "losses.l1.weight=10,100", "--set", "data.count=40", "--out", "out"]
    line += ["--executor", checkouts["executor"].ref]
    ended = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 of 2" in ended.stdout + ended.stderr
    assert (tmp_path / "out" / "results.json").is_file()
