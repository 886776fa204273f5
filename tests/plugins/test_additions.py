"""`i2i plugin add`: one more component of any kind, in a package that stays as it was otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2i.errors import RecipeError, ResourceError
from i2i.kinds import KINDS
from i2i.plugins.additions import add
from i2i.plugins.catalog import Catalog
from i2i.plugins.scaffold import COMPONENTS, scaffold
from i2i.recipe.recipe import load_recipe

HOOK = Path("src/i2i_shiny/__init__.py")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a new package with a generator."""
    return scaffold("shiny", kind="generator", out=tmp_path, catalog=Catalog.installed()).folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that installs the package as an editable installation does."""
    info = tmp_path / "site" / "i2i_shiny-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: i2i-shiny\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[i2i]\nshiny = i2i_shiny\n")
    paths = [str(tmp_path / "site"), str(package / "src")]

    def install() -> Catalog:
        for path in paths:
            monkeypatch.syspath_prepend(path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
        return Catalog.installed()

    yield install
    for name in [name for name in sys.modules if name.startswith("i2i_shiny")]:
        del sys.modules[name]


def added(package: Path, kind: str, name: str | None = None):
    return add(package, kind=kind, name=name, catalog=Catalog.installed())


def files(package: Path) -> dict[str, str]:
    return {str(path.relative_to(package)): path.read_text() for path in package.rglob("*") if path.is_file()}


def test_components_of_every_kind_are_declared_and_their_recipes_are_sound(package, installed):
    for kind in KINDS:
        if kind != "generator":
            added(package, kind)
    catalog = installed()
    plugin = catalog.load("shiny")
    assert plugin.error == ""
    named = {(kind, component.name) for kind, component in COMPONENTS.items()}
    beside = {("method", component.method[0]) for component in COMPONENTS.values() if component.method}
    assert {(entry.kind, entry.name) for entry in plugin.entries} == named | beside
    assert all(entry.load() for entry in plugin.entries)
    names = {entry.name: entry.path() for entry in plugin.recipes}
    assert names.keys() == {"shiny", *(COMPONENTS[kind].name for kind in KINDS if kind != "generator")}
    for name, path in names.items():
        recipe = load_recipe(path, catalog=catalog)
        assert recipe.name == name


def test_what_is_there_stays_and_lines_are_added_to_the_hook(package):
    before = files(package)
    made = added(package, "metric")
    after = files(package)
    assert {name for name in after if before.get(name) != after[name]} == {*made.files}
    assert sorted(made.files) == [
        "recipes/rmse.toml",
        "src/i2i_shiny/__init__.py",
        "src/i2i_shiny/rmse.py",
    ]
    hook, old = after[str(HOOK)], before[str(HOOK)]
    assert hook.startswith(old)
    assert hook.removeprefix(old) == (
        "    registry.metric(\n"
        '        "rmse",\n'
        '        "i2i_shiny.rmse:RMSE",\n'
        '        "root mean square error, 0 to 1",\n'
        "        rev=1,\n"
        "    )\n"
        "    registry.recipe(\n"
        '        "rmse",\n'
        '        "i2i_shiny:recipes/rmse.toml",\n'
        '        "shiny/rmse on drawn shapes",\n'
        "    )\n"
    )


def test_code_after_the_hook_stays_after_it_and_its_argument_keeps_its_name(package):
    text = (package / HOOK).read_text().replace("registry", "r") + "\n\nAFTER = 1"
    (package / HOOK).write_text(text)
    added(package, "penalty")
    changed = (package / HOOK).read_text()
    assert changed.endswith("    )\n\n\nAFTER = 1")
    assert "    r.penalty(\n" in changed
    compile(changed, "hook", "exec")


def test_a_second_one_of_a_kind_takes_a_name_of_its_own(package, installed):
    with pytest.raises(RecipeError, match="declares the generator 'net' already: give another name"):
        added(package, "generator")
    assert added(package, "generator", "small-net").ref == "shiny/small-net"
    entry = installed().get(("generator",), "shiny/small-net")
    assert entry.target == "i2i_shiny.small_net:Net"
    assert entry.load()


def test_a_second_network_brings_its_method_under_a_name_of_its_own(package, installed):
    added(package, "network")
    added(package, "network", "second")
    catalog = installed()
    plugin = catalog.load("shiny")
    assert plugin.error == ""
    assert {entry.name for entry in plugin.entries if entry.kind == "method"} == {
        "side-views",
        "second-method",
    }
    paths = {entry.name: entry.path() for entry in plugin.recipes}
    assert load_recipe(paths["second"], catalog=catalog).method.entry.ref == "shiny/second-method"
    assert load_recipe(paths["second"], catalog=catalog).name == "second"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: (p / "pyproject.toml").unlink(), r"pyproject.toml is not there: give the folder"),
        (lambda p: (p / "pyproject.toml").write_text("[project]\n"), "has no entry points of the group i2i"),
        (lambda p: (p / HOOK).unlink(), "names the module 'i2i_shiny', and .* holds no package of that name"),
        (lambda p: (p / HOOK).write_text("x = 1\n"), r"has no function i2i_register\(registry\)"),
        (lambda p: (p / HOOK).write_text("def i2i_register(registry): pass\n"), "has no function"),
        (lambda p: (p / HOOK).write_text("def"), r"__init__.py:1: "),
        (lambda p: (p / "src/i2i_shiny/rmse.py").write_text("mine"), "rmse.py is there already"),
        (lambda p: (p / "recipes/rmse.toml").write_text("mine"), "rmse.toml is there already"),
    ],
)
def test_what_cannot_be_added_to_is_refused_and_left_as_it_is(package, change, reason):
    change(package)
    before = files(package)
    with pytest.raises(RecipeError, match=reason):
        added(package, "metric")
    assert files(package) == before


def test_half_an_addition_is_taken_back(package, monkeypatch):
    before, write = files(package), Path.write_text

    def full(self: Path, *args: object, **kwargs: object) -> int:
        if self.name == "rmse.toml":
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ResourceError, match="cannot be written: No space left on device"):
        added(package, "metric")
    assert files(package) == before


def test_without_a_folder_of_recipes_none_is_written(package):
    (package / "recipes" / "shiny.toml").unlink()
    (package / "recipes").rmdir()
    made = added(package, "metric")
    assert "no recipe was written" in made.note
    assert 'registry.recipe(\n        "rmse"' not in (package / HOOK).read_text()
    assert [command.split()[0] for command, _ in made.next_steps()] == ["pip", "i2i"]


def test_the_command_tells_what_to_do_next(i2i, package, installed, monkeypatch):
    monkeypatch.chdir(package)
    installed()
    ended = i2i("plugin", "add", "--kind", "schedule")
    assert (ended.code, ended.err) == (0, "")
    assert ". has the schedule shiny/warm-up too.\n" in ended.out
    commands = [line.strip() for line in ended.out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert commands == ["i2i plugin check shiny", "i2i run recipes/warm-up.toml --steps 20"]
    wrong = i2i("plugin", "add", "--kind", "scedule")
    assert wrong.code == 2
    assert wrong.err.startswith("--kind scedule: there is no such kind - did you mean 'schedule'?")
    assert i2i("plugin", "add", "--kind", "metric", "--name", "A b").code == 2


def test_what_is_added_is_tidy(package):
    for kind in KINDS:
        if kind != "generator":
            added(package, kind)
    for command in (["check", "--select", "E,F,I,UP,B,SIM,RUF", "--ignore", "E501"], ["format", "--check"]):
        line = [
            sys.executable,
            "-m",
            "ruff",
            command[0],
            "--isolated",
            "--no-cache",
            *command[1:],
            "i2i-shiny",
        ]
        ended = subprocess.run(line, capture_output=True, text=True, cwd=package.parent)
        assert ended.returncode == 0, ended.stdout
