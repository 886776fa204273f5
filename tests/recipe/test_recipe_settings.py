"""What is set on top of a recipe, and the way back to TOML."""

from __future__ import annotations

import numbers
import random
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from i2i.errors import RecipeError
from i2i.recipe.recipe import differences, load_recipe, read_resolved

HEAD = 'recipe = 1\nname = "child"\nextends = "x.toml"\n'


class Whole:
    """A whole number of somebody else's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __int__(self) -> int:
        return self.value


numbers.Integral.register(Whole)


def problems(*args, **kwargs) -> str:
    with pytest.raises(RecipeError) as refused:
        load_recipe(*args, **kwargs)
    return str(refused.value)


# --- what is set on top ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("generator.depth=3", "generators.main.depth", 3),
        ("generators.main.depth = 3 # three", "generators.main.depth", 3),
        ("generator.norm=instance", "generators.main.norm", "instance"),
        ('generator.norm="instance"', "generators.main.norm", "instance"),
        ("data.root=/a folder/with=signs", "data.root", "/a folder/with=signs"),
        ("data.size=[16, 32]", "data.size", [16, 32]),
        ("generator.table={ a = 1, b.c = 2 }", "generators.main.table.b", None),
        ('optimizers."generators".lr=1e-3', "optimizers.generators.lr", 1e-3),
        ("seed=7", "seed", 7),
    ],
)
def test_a_setting_is_toml_or_a_bare_word(recipe_file, setting: str, path: str, value):
    if value is None:
        assert "it is table" in problems(recipe_file(), set=[setting])
        return
    found = load_recipe(recipe_file(), set=[setting]).table
    for key in path.split("."):
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generator.depth", '--set generator.depth\n  write it as KEY=VALUE; an empty string is KEY=""'),
        ("generator.depth=", "--set generator.depth=\n  write it as KEY=VALUE"),
        ("=3", "--set =3\n  '' is not a key"),
        ("a b=3", "--set a b=3\n  'a b' is not a key"),
        ("[x]\na=3", "'[x]\na' is not a key"),
        ("a." * 40 + "b=3", "is not a key"),
        ("data.size=[16", "--set data.size=[16\n  the value is not TOML"),
        ("data.size=" + "[" * 40 + "]" * 40, "tables and lists nest at most 32 deep"),
        ("data.root=" + "x" * 5000, "a value has at most 4 KiB"),
        ("extends=x.toml", "--set extends=x.toml\n  'extends' belongs in a recipe's file, it cannot be set"),
        ("generator.dept=3", "--set generator.dept=3  generator.dept\n  unknown key 'dept' for bits/net"),
        ("generator=3", "--set generator=3  generator\n  [generators] holds tables alone"),
        (
            "losses.l1=bits/distance",
            "--set losses.l1=bits/distance  losses.l1\n  [losses] holds tables alone",
        ),
    ],
)
def test_a_setting_that_cannot_be(recipe_file, setting: str, message: str):
    assert message in problems(recipe_file(), set=[setting])


def test_settings_apply_together_whatever_their_order(recipe_file):
    for settings in (
        ["generator.blocks=3", "generator.use=bits/other"],
        ["generator.use=bits/other", "generator.blocks=3"],
    ):
        recipe = load_recipe(recipe_file(), set=settings)
        assert recipe.slots["generators.main"].params["blocks"] == 3
        assert len(recipe.notes) == 1


def test_a_mapping_sets_python_values(recipe_file):
    settings = {"data.root": Path("a"), "data.size": (4, 4), "generator": {"depth": 2}}
    recipe = load_recipe(recipe_file(), set=settings, unset=["metrics.error"], steps=5, seed=9)
    assert recipe.data.params == {"root": Path("a"), "size": (4, 4)}
    assert recipe.slots["generators.main"].params["depth"] == 2
    assert (recipe.train.steps, recipe.seed, recipe.section("metrics")) == (5, 9, ())


@pytest.mark.parametrize("word", ["2024", "2024-05-01", "007", "true", "1e3", "inf", "0x10", "my pairs"])
def test_a_bare_word_is_a_text_where_the_key_wants_one(recipe_file, word: str):
    recipe = load_recipe(recipe_file(), set=[f"data.root={word}"])
    assert recipe.data.params["root"] == Path(word)
    assert recipe.table["data"]["root"] == word


def test_a_bare_word_is_a_number_where_the_key_wants_none_else(recipe_file):
    assert load_recipe(recipe_file(), set=["generator.depth=3"]).slots["generators.main"].params["depth"] == 3
    assert "'depth' cannot be 1000.0: it should be a valid integer, like 1000" in problems(
        recipe_file(), set=["generator.depth=1e3"]
    )
    assert "data.root" in problems(recipe_file(), set={"data.root": 2024})


def test_a_later_setting_replaces_the_word_of_an_earlier_one(recipe_file):
    recipe = load_recipe(recipe_file(), set=["data.root=2024", 'data.root="b"'])
    assert recipe.data.params["root"] == Path("b")


@pytest.mark.parametrize(
    "number",
    [np.int64(4), np.uint8(4), np.array(4), torch.tensor(4), Whole(4)],
    ids=lambda number: type(number).__name__,
)
def test_numbers_of_other_libraries_are_numbers(recipe_file, number):
    recipe = load_recipe(recipe_file(), set={"generator.depth": number})
    assert recipe.slots["generators.main"].params["depth"] == 4
    assert type(recipe.slots["generators.main"].params["depth"]) is int


@pytest.mark.parametrize("number", [np.float32(0.5), np.array(0.5), Decimal("0.5"), Fraction(1, 2)], ids=repr)
def test_fractions_of_other_libraries_are_numbers(recipe_file, number):
    recipe = load_recipe(recipe_file(), set={"optimizers.generators.lr": number})
    assert recipe.slots["optimizers.generators"].params["lr"] == 0.5


@pytest.mark.parametrize(
    ("value", "name"), [(np.ones(2), "ndarray"), (object(), "object"), ([1, {2}], "set"), (2j, "complex")]
)
def test_what_is_no_value_is_named_by_its_type(recipe_file, value, name: str):
    assert f"a {name} is no value for 'depth', like " in problems(
        recipe_file(), set={"generator.depth": value}
    )


@pytest.mark.parametrize("path", [r"C:\Users\me", r"D:\pairs"])
def test_a_backslash_in_double_quotes_is_told_of(recipe_file, path: str):
    words = "in double quotes a backslash begins an escape: use single quotes, like 'C:\\Users\\me'"
    assert words in problems(recipe_file(), set=[f'data.root="{path}"'])
    file = Path(recipe_file())
    file.write_text(f'{file.read_text()}\n[x]\nroot = "{path}"\n')
    assert words in problems(str(file))
    assert load_recipe(recipe_file(), set=[f"data.root='{path}'"]).table["data"]["root"] == path
    file.write_text("recipe = 1\nname = \n")
    assert "backslash" not in problems(str(file))


def test_steps_and_seed_are_checked_like_any_key(recipe_file):
    told = problems(recipe_file(), steps=0, seed=-1)
    assert "--steps 0  train.steps\n  'steps' cannot be 0" in told
    assert "--seed -1  seed\n  'seed' cannot be -1" in told


# --- the way back ---------------------------------------------------------------------------------


def test_a_resolved_recipe_reads_back_to_the_same_table(recipe_file):
    rng = random.Random(0)
    choices = {
        "generator.depth": [1, 7],
        "generator.norm": ["instance"],
        "generator.table": [{"a": 1, "b c": 2.5}],
        "generator.kernel": [[3, 5]],
        "generator.use": ["bits/net", "bits/other"],
        "generator.init_from": ["some/weights.safetensors", 'C:\\odd "path"'],
        "losses.l1.weight": [0, 1e-9, 250],
        "losses.adversarial.on": [["patch"]],
        "optimizers.generators.betas": [[0, 0.9]],
        "data.root": ["a/b", "~/ü\u2028", "line\nbreak"],
        "schedule.start": [0.25],
        "train.save_best": ["error:min"],
        "train.ema": [0.999],
        "summary": ["what it's about"],
        'optimizers."discriminators.patch"': [{"use": "bits/walk", "lr": 1e-5}],
    }
    for _ in range(40):
        keys = rng.sample(sorted(choices), 5)
        settings = {key: rng.choice(choices[key]) for key in keys}
        unset = ["optimizers.discriminators"] if 'optimizers."discriminators.patch"' in keys else []
        if settings.get("generator.use") == "bits/other":
            settings = {
                key: value
                for key, value in settings.items()
                if key.split(".")[-1] not in {"norm", "table", "kernel"}
            }
        first = load_recipe(recipe_file(), set=settings, unset=unset, seed=rng.randrange(2**32))
        again = load_recipe(recipe_file(first.to_toml(), name="again.toml"))
        assert again.table == first.table
        assert again.to_toml() == first.to_toml()
        assert again.train == first.train
        assert {path: slot.params for path, slot in again.slots.items()} == {
            path: slot.params for path, slot in first.slots.items()
        }
        assert read_resolved(Path("again.toml")) == first.table


def test_a_resolved_recipe_stands_alone(recipe_file):
    recipe_file()
    text = load_recipe(recipe_file(HEAD + 'unset = ["metrics.error"]\n', name="child.toml")).to_toml()
    table = tomllib.loads(text)
    assert not {"extends", "unset", "generator", "schedule"} & table.keys()
    assert table["recipe"] == 1
    assert table["train"]["keep"] == 3
    assert table["generators"]["main"] == {
        "use": "bits/net",
        "init": "normal",
        "depth": 5,
        "width": 8,
        "norm": "batch",
        "dropout": 0.5,
        "table": {},
    }


def test_differences_go_key_by_key(recipe_file):
    first = load_recipe(recipe_file())
    second = load_recipe(recipe_file(), set=["generator.depth=2"], unset=["metrics"])
    assert differences(first.table, first.table) == []
    assert differences(first.table, second.table) == [
        ("generators.main.depth", 5, 2),
        ("metrics.error.use", "bits/error", None),
        ("metrics.error.draws", 1, None),
    ]


@pytest.mark.parametrize("name", ["pix2pix", "l1-only"])
def test_a_shipped_recipe_is_sound_and_reads_back(tmp_path: Path, name: str):
    own_data = ["data.use=paired-images", "data.root=images"]
    recipe = load_recipe(name, set=own_data)
    assert recipe.name == name
    assert bool(recipe.section("discriminators")) == (name == "pix2pix")
    path = tmp_path / "resolved.toml"
    path.write_text(recipe.to_toml())
    assert load_recipe(path).table == recipe.table
