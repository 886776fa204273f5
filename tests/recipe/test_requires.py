"""`[requires]`: what a recipe says about versions is compared with what is installed."""

from __future__ import annotations

import json
import sys
import tomllib

import pytest

from i2i.errors import PluginError, RecipeError
from i2i.recipe.recipe import load_recipe

HEAD = "\n[data]"


@pytest.fixture
def told(recipe_file):
    """Return a function that puts lines into `[requires]` and returns what is said about them."""

    def tell(lines: str, *, kind=PluginError, old: str = HEAD, new: str = "", **options) -> str:
        with pytest.raises(kind) as refused:
            load_recipe(recipe_file(old=old, new=f"\n[requires]\n{lines}\n{new or old}"), **options)
        assert type(refused.value) is kind
        return str(refused.value)

    return tell


def requires(path: str, **options) -> object:
    return load_recipe(path, **options).table.get("requires")


def test_versions_that_fit_are_kept_in_the_resolved_recipe(recipe_file):
    lines = '\n[requires]\ni2i = ">=0.1"\nplugins.bits = ">=1,<2"\n'
    path = recipe_file(old=HEAD, new=lines + HEAD)
    wanted = {"i2i": ">=0.1", "plugins": {"bits": ">=1,<2"}}
    assert requires(path) == wanted
    again = recipe_file(load_recipe(path).to_toml(), name="again.toml")
    assert requires(again) == wanted


def test_a_recipe_that_asks_for_nothing_has_no_such_table(recipe_file):
    assert requires(recipe_file()) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'i2i = ">=9"',
            "x.toml:5  requires.i2i\n  this recipe needs i2i >=9, and installed is 0.1.0: "
            "install one that fits, or unset this line if you know better.",
        ),
        (
            'plugins.bits = "<1.0"',
            "x.toml:5  requires.plugins.bits\n  this recipe needs the plug-in 'bits' <1.0, and installed is "
            "i2i-bits 1.0: install one that fits",
        ),
        (
            'plugins.bots = ">=0.1"',
            "x.toml:5  requires.plugins.bots\n  this recipe needs the plug-in 'bots' >=0.1; none is installed"
            " - did you mean 'bits'? Installed: core, bits",
        ),
        (
            'plugins.zzzz = ""',
            "this recipe needs the plug-in 'zzzz'; none is installed. Installed: core, bits",
        ),
    ],
)
def test_what_does_not_fit_is_placed_and_a_matter_of_plug_ins(told, line: str, message: str):
    assert message in told(line)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'i2i = "0.1"',
            'x.toml:5  requires.i2i\n  \'0.1\' is no range of versions; write it like ">=0.1" or ">=0.1,<2"',
        ),
        ('plugins.bits = "new"', "x.toml:5  requires.plugins.bits\n  'new' is no range of versions"),
        ("plugins.bits = 1.0", "x.toml:5  requires.plugins.bits\n  this is no range of versions"),
        ("plugins.bits.x = 1", "x.toml:5  requires.plugins.bits\n  this is no range of versions"),
        (
            'plugins = ">=1"',
            'x.toml:5  requires.plugins\n  a plug-in is named: requires.plugins.NAME = ">=0.1"',
        ),
        ('i2i-toolkit = ">=1"', "unknown key 'i2i-toolkit' for [requires]"),
        (
            'bits = ">=1"',
            "x.toml:5  requires.bits\n  unknown key 'bits' for [requires] - for a plug-in write plugins.bits"
            "   (keys: i2i, plugins)",
        ),
        ('plugin.bits = ">=1"', "unknown key 'plugin' for [requires] - did you mean 'plugins'?"),
    ],
)
def test_what_cannot_be_read_is_a_mistake_of_the_recipe(told, lines: str, message: str):
    assert message in told(lines, kind=RecipeError)


def test_requires_is_a_table(recipe_file):
    with pytest.raises(RecipeError, match=r"x.toml:3  requires\n  'requires' is a table: write \[requires\]"):
        load_recipe(recipe_file(old=HEAD, new='requires = ">=1"\n' + HEAD))


def test_a_misspelt_table_is_pointed_to(recipe_file):
    with pytest.raises(RecipeError, match=r"unknown key 'require' for a recipe - did you mean 'requires'\?"):
        load_recipe(recipe_file(old=HEAD, new='\n[require]\ni2i = ""\n' + HEAD))


def test_everything_is_told_at_once_in_the_order_of_the_file(told):
    lines = told(
        'i2i = "<0.0.1"\nplugins.bits = "?"\nplugins.bots = ">=2"\n[generator]\ndept = 5',
        kind=RecipeError,
        old='\n[generator]\nuse = "bits/net"\ndepth = 5\n',
        new='use = "bits/net"\n',
    ).splitlines()
    assert [line.split("  ")[1] for line in lines[::2]] == [
        "requires.i2i",
        "requires.plugins.bits",
        "requires.plugins.bots",
        "generator.dept",
    ]


def test_a_child_asks_for_other_versions_than_its_parent(recipe_file):
    recipe_file(old=HEAD, new='\n[requires]\ni2i = ">=9"\nplugins.bits = ">=0.5"\n' + HEAD)
    child = 'recipe = 1\nname = "child"\nextends = "x.toml"\n'
    with pytest.raises(PluginError, match=r"x\.toml:5  requires\.i2i"):
        load_recipe(recipe_file(child, name="child.toml"))
    recipe_file(child + '[requires]\ni2i = ">=0.1"\n', name="child.toml")
    assert requires("child.toml") == {"i2i": ">=0.1", "plugins": {"bits": ">=0.5"}}
    recipe_file(child + 'unset = ["requires.i2i"]\n', name="child.toml")
    assert requires("child.toml") == {"plugins": {"bits": ">=0.5"}}
    assert requires("child.toml", unset=["requires"]) is None
    assert requires("child.toml", set=["requires.plugins.bits=>=0.7"]) == {"plugins": {"bits": ">=0.7"}}


def test_a_version_before_its_release_counts(recipe_file, distribution, monkeypatch):
    distribution("i2i-early", "0.2.dev3", "early", {"i2i_early.py": "raise RuntimeError"})
    path = recipe_file(old=HEAD, new='\n[requires]\nplugins.early = ">=0.1"\n' + HEAD)
    assert requires(path) == {"plugins": {"early": ">=0.1"}}
    assert "i2i_early" not in sys.modules


def test_a_plug_in_that_is_switched_off_or_claimed_twice_is_not_there(told, distribution, monkeypatch):
    distribution("i2i-a", "1.0", "twice", {"i2i_a.py": ""})
    distribution("i2i-b", "1.0", "twice", {"i2i_b.py": ""})
    assert "two installed packages provide the plug-in 'twice'" in told('plugins.twice = ""')
    monkeypatch.setenv("I2I_DISABLE", "twice")
    assert "needs the plug-in 'twice' >=1, which I2I_DISABLE switches off" in told('plugins.twice = ">=1"')


def test_a_version_that_is_no_version_fits_nothing(told, distribution):
    distribution("i2i-odd", "one", "odd", {"i2i_odd.py": ""})
    assert "'odd' >=1, and installed is i2i-odd one" in told('plugins.odd = ">=1"')


def test_any_version_will_do_where_none_is_named(recipe_file, distribution):
    distribution("i2i-odd", "one", "odd", {"i2i_odd.py": ""})
    assert requires(recipe_file(old=HEAD, new='\n[requires]\nplugins.odd = ""\n' + HEAD))


def test_the_commands_know_it(recipe_file, i2i):
    path = recipe_file(old=HEAD, new='\n[requires]\nplugins.bits = ">=1"\n' + HEAD)
    assert i2i("recipe", "check", path).code == 0
    assert tomllib.loads(i2i("recipe", "show", path, "--resolved").out)["requires"] == {
        "plugins": {"bits": ">=1"}
    }
    found = json.loads(i2i("recipe", "diff", path, recipe_file(name="y.toml"), "--json").out)["differences"]
    assert found == [{"key": "requires.plugins.bits", "a": ">=1", "b": None}]
    recipe_file(old=HEAD, new='\n[requires]\nplugins.bits = ">=2"\n' + HEAD)
    ended = i2i("recipe", "check", "x.toml")
    assert (ended.code, ended.out) == (6, "")
    assert ended.err.startswith("x.toml:5  requires.plugins.bits\n")
