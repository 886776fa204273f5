"""`i2i recipe`: check, show, list, diff, init."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest


def test_shipped_recipes_are_listed(i2i):
    ended = i2i("recipe", "list")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines() if line][:3] == [
        "recipe",
        "pix2pix",
        "l1-only",
    ]
    assert {"pix2pix", "l1-only"} <= {
        recipe["name"] for recipe in json.loads(i2i("recipe", "list", "--json").out)["recipes"]
    }


def test_a_sound_recipe(i2i, recipe_file):
    assert i2i("recipe", "check", recipe_file()) == (
        0,
        "x.toml: no problem found; 10 components from bits\n",
        "",
    )


def test_mistakes_go_to_stderr(i2i, recipe_file):
    ended = i2i("recipe", "check", recipe_file(old="depth = 5", new="dept = 5"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("x.toml:10  generator.dept\n  unknown key 'dept' for bits/net")


def test_mistakes_as_json(i2i, recipe_file):
    ended = i2i("recipe", "check", recipe_file(old="depth = 5", new="dept = 5"), "--json")
    assert (ended.code, ended.err) == (2, "")
    (problem,) = json.loads(ended.out)["problems"]
    assert (problem["file"], problem["line"], problem["where"]) == ("x.toml", 10, "generator.dept")
    assert problem["hint"] == "keys: depth, dropout, kernel, norm, table, width"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("nope.toml", 2, "nope.toml\n  there is no such recipe file"),
        ("nope", 2, "no recipe 'nope' is shipped"),
        ("nobody/nope", 6, "'nobody/nope' needs a plug-in that provides 'nobody'"),
    ],
)
def test_a_recipe_that_is_not_there(i2i, source: str, code: int, message: str):
    ended = i2i("recipe", "check", source)
    assert ended.code == code
    assert ended.err.startswith(message)


def test_settings_are_checked_and_notes_told(i2i, recipe_file):
    ended = i2i(
        "recipe",
        "check",
        recipe_file(),
        "--set",
        "generator.use=bits/other",
        "--unset",
        "metrics.error",
        "--json",
    )
    assert ended.code == 0
    assert json.loads(ended.out)["notes"] == [
        "generator: 'bits/net' became 'bits/other', so depth went with it"
    ]
    assert ended.err == "note: generator: 'bits/net' became 'bits/other', so depth went with it\n"
    assert i2i("recipe", "check", "x.toml", "--set", "generator.depth=0").code == 2


def test_showing_a_recipe_gives_its_text(i2i, recipe_file):
    text = Path(recipe_file()).read_text()
    assert i2i("recipe", "show", "x.toml").out == text


def test_showing_a_recipe_does_not_need_its_plug_ins(i2i, recipe_file):
    recipe_file(old='use = "bits/net"', new='use = "nobody/net"')
    assert 'use = "nobody/net"' in i2i("recipe", "show", "x.toml").out
    assert i2i("recipe", "show", "x.toml", "--resolved").code == 6


def test_showing_a_resolved_recipe_gives_a_recipe(i2i, recipe_file):
    shown = i2i("recipe", "show", recipe_file(), "--resolved")
    assert tomllib.loads(shown.out)["generators"]["main"]["width"] == 8
    recipe_file(shown.out, name="again.toml")
    assert i2i("recipe", "diff", "x.toml", "again.toml").out == "no difference\n"
    assert tomllib.loads(i2i("recipe", "show", "x.toml", "--set", "seed=4").out)["seed"] == 4


def test_two_recipes_compared(i2i, recipe_file):
    recipe_file()
    other = recipe_file(
        'recipe = 1\nextends = "x.toml"\nunset = ["metrics"]\n[generator]\ndepth = 2\n', name="y.toml"
    )
    rows = [line.split() for line in i2i("recipe", "diff", "x.toml", other).out.splitlines()]
    assert rows == [
        ["key", "x.toml", "y.toml"],
        ["generators.main.depth", "5", "2"],
        ["metrics.error.use", '"bits/error"', "-"],
        ["metrics.error.draws", "1", "-"],
    ]
    found = json.loads(i2i("recipe", "diff", "x.toml", other, "--json").out)["differences"]
    assert found[0] == {"key": "generators.main.depth", "a": 5, "b": 2}
    assert found[1] == {"key": "metrics.error.use", "a": "bits/error", "b": None}


def test_a_recipe_of_ones_own_starts_from_another(i2i, recipe_file):
    recipe_file(
        old="[metrics.error]", new='[optimizers."discriminators.patch"]\nuse = "bits/walk"\n\n[metrics.error]'
    )
    ended = i2i("recipe", "init", "mine", "--from", "x.toml")
    assert ended == (0, "mine.toml starts from x.toml; change it, then: i2i run mine.toml\n", "")
    text = Path("mine.toml").read_text()
    assert text.startswith("# mine starts from x.toml")
    table = tomllib.loads(text)
    assert table == {"recipe": 1, "extends": "x.toml", "name": "mine"}
    # The commented tables, taken out of their comments, are the parent's.
    tables = text[text.index("# [") :]
    uncommented = tomllib.loads("\n".join(line.removeprefix("# ") for line in tables.splitlines()))
    parent = tomllib.loads(Path("x.toml").read_text())
    assert uncommented == {key: value for key, value in parent.items() if isinstance(value, dict)}


def test_a_recipe_of_ones_own_is_sound_as_it_is(i2i, recipe_file):
    recipe_file()
    i2i("recipe", "init", "mine.toml", "--from", "x.toml")
    assert i2i("recipe", "check", "mine.toml").code == 0


def test_starting_a_recipe_never_overwrites(i2i, recipe_file):
    recipe_file()
    assert i2i("recipe", "init", "x", "--from", "x.toml") == (
        2,
        "",
        "x.toml is there already; choose another name\n",
    )
    assert Path("x.toml").read_text().startswith("recipe = 1")


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", "", "a b"])
def test_a_name_that_is_no_files_is_refused(i2i, recipe_file, name: str):
    recipe_file()
    ended = i2i("recipe", "init", name, "--from", "x.toml")
    assert ended.code == 2
    assert "cannot name a recipe" in ended.err
    assert [path.name for path in Path().iterdir()] == ["x.toml"]


def test_starting_from_the_shipped_recipe_needs_no_other_plug_in(i2i, recipe_file):
    recipe_file()
    assert i2i("recipe", "init", "mine").code == 0
    assert 'extends = "pix2pix"' in Path("mine.toml").read_text()


CORE_RECIPE = """\
recipe = 1
name = "small"
[data]
use = "paired-images"
root = "."
[generator]
use = "unet"
depth = 3
width = 4
[discriminators.patch]
use = "patch"
layers = 1
width = 4
conditional = false
[losses.adversarial]
use = "lsgan"
[losses.l1]
use = "l1"
[method]
use = "paired-adversarial"
[optimizers.generators]
use = "adam"
[optimizers.discriminators]
use = "adam"
[train]
steps = 1
"""


@pytest.fixture
def small_recipe(recipe_file) -> str:
    """A recipe of built-ins with one tiny pair of images."""
    from PIL import Image

    for split in ("train", "val"):
        Path(split).mkdir()
        Image.new("RGB", (32, 16)).save(f"{split}/1.png")
    return recipe_file(CORE_RECIPE, name="small.toml")


def test_building_shows_every_network(i2i, small_recipe):
    ended = i2i("recipe", "check", small_recipe, "--build")
    assert (ended.code, ended.err) == (0, "")
    header, generator, judge, objective, _ = ended.out.splitlines()
    assert objective.startswith("objective: G minimises ")
    assert header.split()[:4] == ["network", "use", "in", "out"]
    assert generator.split()[:4] == ["generators.main", "core/unet", "3x16x16", "3x16x16"]
    assert judge.split()[:3] == ["discriminators.patch", "core/patch", "3x16x16"]
    assert judge.split()[-3:] == ["16", "-", "no"]


def test_the_networks_as_json(i2i, small_recipe):
    networks = json.loads(i2i("recipe", "check", small_recipe, "--build", "--json").out)["networks"]
    assert [network["path"] for network in networks] == ["generators.main", "discriminators.patch"]
    assert networks[0]["outputs"] == [[3, 16, 16]]


def test_a_shape_that_does_not_fit_is_told_with_its_place(i2i, small_recipe):
    ended = i2i("recipe", "check", small_recipe, "--build", "--set", "generator.depth=5")
    assert ended.code == 2
    assert "core/unet needs a height and width that are multiples of 32" in ended.err


REFUSES = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.paired_loss("picky", ":Picky", "takes even numbers")


class Picky:
    def __init__(self, *, number: int = 3) -> None:
        if number % 2:
            raise ValueError("'number' is even")

    def __call__(self, fake, real):
        return (fake - real).abs().mean()
"""


def test_building_asks_losses_and_transforms_for_their_parameters_too(i2i, small_recipe):
    Path("picky.py").write_text(REFUSES)
    check = ("recipe", "check", small_recipe, "--build", "--plugin", "picky.py")
    ended = i2i(*check, "--set", "losses.x.use=local/picky")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == "  local/picky: 'number' is even"
    assert i2i(*check, "--set", "losses.x.use=local/picky", "--set", "losses.x.number=2").code == 0
    ended = i2i(*check, "--set", "transforms.x.use=blur", "--set", "transforms.x.sigma=[2.0,1.0]")
    assert (ended.code, ended.out) == (2, "")
    assert "core/blur: 'sigma' goes from the least to the greatest" in ended.err


def test_a_loss_that_cannot_be_called_is_told_by_its_name(i2i, small_recipe):
    Path("mute.py").write_text(REFUSES.partition("    def __call__")[0])
    check = ("recipe", "check", small_recipe, "--build", "--plugin", "mute.py")
    ended = i2i(*check, "--set", "losses.x.use=local/picky", "--set", "losses.x.number=2")
    assert (ended.code, ended.out) == (6, "")
    assert "local/picky is no paired-loss: what its factory returned cannot be called" in ended.err


def test_benchmarks_are_listed_with_the_recipes(i2i):
    names = [entry["name"] for entry in json.loads(i2i("recipe", "list", "--json").out)["benchmarks"]]
    assert "l1-or-l2" in names
    assert "l1-or-l2" in i2i("recipe", "list").out
