"""Reading recipes: files, names and parents, and the records that come of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from i2i.errors import MOST_TOLD, RecipeError
from i2i.recipe.recipe import load_recipe

HEAD = 'recipe = 1\nname = "child"\nextends = "x.toml"\n'


def problems(*args, **kwargs) -> str:
    with pytest.raises(RecipeError) as refused:
        load_recipe(*args, **kwargs)
    return str(refused.value)


def test_a_sound_recipe_has_its_slots_in_file_order(recipe_file):
    recipe = load_recipe(recipe_file())
    assert list(recipe.slots) == [
        "data",
        "generators.main",
        "discriminators.patch",
        "losses.adversarial",
        "losses.l1",
        "method",
        "optimizers.generators",
        "optimizers.discriminators",
        "schedules.all",
        "metrics.error",
    ]
    assert (recipe.name, recipe.seed, recipe.source, recipe.notes) == ("bits", 0, "x.toml", ())
    assert [slot.name for slot in recipe.section("losses")] == ["adversarial", "l1"]
    assert recipe.data.params == {"root": Path("images"), "size": (8, 8)}
    assert recipe.data.injected == {"split"}
    assert recipe.method.name == ""


def test_a_slot_is_ready_for_its_factory(recipe_file):
    slot = load_recipe(recipe_file()).slots["generators.main"]
    assert slot.params == {
        "depth": 5,
        "width": 8,
        "norm": "batch",
        "dropout": 0.5,
        "table": {},
        "kernel": None,
    }
    assert slot.settings.init == "normal"
    assert (slot.kind, slot.entry.ref, slot.factory.__name__) == ("generator", "bits/net", "Net")


def test_a_plug_in_that_the_recipe_does_not_name_is_not_imported(recipe_file, distribution):
    distribution("i2i-broken", "0.1", "broken", {"i2i_broken.py": "raise RuntimeError"})
    load_recipe(recipe_file())
    assert "i2i_broken" not in sys.modules


def test_a_shipped_recipe_goes_by_its_name(bits):
    from i2i.plugins.catalog import Catalog
    from i2i.recipe.merge import read_draft
    from i2i.recipe.origins import Findings

    draft = read_draft("pix2pix", Catalog.installed(), Findings())
    assert draft.table["name"] == "pix2pix"


# --- what cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "x.toml:1\n  this is not TOML: Invalid value"),
        (
            "recipe = 1\n\n[data\n",
            "x.toml:3\n  this is not TOML: Expected ']' at the end of a table declaration",
        ),
        ("recipe = 1\nrecipe = 2\n", "x.toml:2\n  this is not TOML: Cannot overwrite a value"),
        ("name = 'x'", "x.toml  recipe\n  a recipe says which format it is in; begin it with `recipe = 1`"),
        (
            "\nrecipe = 2",
            "x.toml:2  recipe\n  this recipe is of format 2, this i2i reads format 1: update i2i-toolkit",
        ),
        ("recipe = true", "x.toml:1  recipe\n  there is no such recipe format; write `recipe = 1`"),
        ("recipe = '1'", "x.toml:1  recipe\n  there is no such recipe format; write `recipe = 1`"),
        ("recipe = 1\nx = '" + "y" * 5000 + "'", "x.toml:2\n  a line has at most 4 KiB, this one has more"),
        ("recipe = 1\n" + "# pad\n" * 11000, "x.toml\n  a recipe has at most 64 KiB, this file has more"),
        ("recipe = 1\nx = " + "[" * 40 + "]" * 40, "x.toml:2\n  tables and lists nest at most 32 deep"),
        ("recipe = 1\n" + "a." * 1000 + "b = 1", "x.toml:2\n  tables and lists nest at most 32 deep"),
        ("recipe = 1\nextends = 3", "x.toml:2  extends\n  `extends` is one file or one name, in quotes"),
        (
            "recipe = 1\nunset = 'a'",
            'x.toml:2  unset\n  `unset` is a list of keys in quotes, like ["metrics.ssim"]',
        ),
        ("recipe = 1\nunset = ['a b']", "x.toml:2\n  'a b' is not a key; write it as TOML does, a.b.c"),
        (
            "recipe = 1\n[generator]\nuse = 'a'\n[generators.b]\nuse = 'b'",
            "x.toml:4  generators\n"
            "  [generator] is short for [generators.main]: write one or the other, not both",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_told_in_one_sentence(recipe_file, text: str, message: str):
    assert problems(recipe_file(text)) == message


def test_bytes_that_are_no_text(recipe_file):
    Path(recipe_file()).write_bytes(b"recipe = 1\n# \xff\n")
    assert problems("x.toml") == "x.toml:2\n  a recipe is UTF-8 text, this is not"


def test_a_byte_order_mark_and_windows_lines_do_no_harm(recipe_file):
    path = Path(recipe_file(old="depth = 5", new="dept = 5"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert problems("x.toml").startswith("x.toml:10  generator.dept")


def test_a_missing_file_and_a_folder(recipe_file):
    recipe_file()
    assert problems("nope.toml") == "nope.toml\n  there is no such recipe file"
    assert problems(Path("nope")) == "nope\n  there is no such recipe file"
    Path("folder.toml").mkdir()
    assert problems("folder.toml") == "folder.toml\n  cannot be read: Is a directory"


# --- parents --------------------------------------------------------------------------------------


def test_a_child_merges_tables_and_replaces_the_rest(recipe_file):
    recipe_file()
    child = HEAD + '[generator]\ndepth = 3\nkernel = [3, 3]\n[metrics.second]\nuse = "bits/error"\n'
    recipe = load_recipe(recipe_file(child, name="child.toml"))
    assert recipe.name == "child"
    assert recipe.slots["generators.main"].params["depth"] == 3
    assert recipe.slots["generators.main"].params["kernel"] == (3, 3)
    assert [slot.name for slot in recipe.section("metrics")] == ["error", "second"]
    assert recipe.text == child


def test_a_summary_tells_of_its_own_file(recipe_file):
    recipe_file(old='name = "bits"', new='name = "bits"\nsummary = "the parent"')
    assert load_recipe("x.toml").table["summary"] == "the parent"
    assert load_recipe(recipe_file(HEAD, name="child.toml")).table["summary"] == ""


def test_both_spellings_of_the_generator_merge(recipe_file):
    recipe_file()
    child = HEAD + "[generators.main]\ndepth = 'x'\n[schedules.all]\nstart = 'x'\n"
    told = problems(recipe_file(child, name="child.toml"))
    assert "child.toml:5  generators.main.depth\n" in told
    assert "child.toml:7  schedules.all.start\n" in told


def test_unset_takes_the_parents_tables_away(recipe_file):
    recipe_file()
    gone = (
        '["discriminators", "optimizers.discriminators", "losses.adversarial", "generator.depth", "schedule"]'
    )
    recipe = load_recipe(recipe_file(HEAD + f"unset = {gone}\n", name="child.toml"))
    assert recipe.section("discriminators") == ()
    assert recipe.slots["generators.main"].params["depth"] == 6
    assert "schedules" not in recipe.table


@pytest.mark.parametrize(
    ("key", "close"),
    [
        ("metrics.eror", " - did you mean 'metrics.error'?"),
        ("generator.dept", " - did you mean 'generator.depth'?"),
        ("generatr", " - did you mean 'generator'?"),
        ("name.x", ""),
    ],
)
def test_unset_of_what_is_not_there(recipe_file, key: str, close: str):
    recipe_file()
    child = recipe_file(HEAD + f'unset = ["{key}"]\n', name="child.toml")
    assert problems(child).startswith(f"child.toml:4  unset\n  there is no '{key}' to unset{close}")


def test_unset_below_what_is_not_there_names_the_table(recipe_file):
    recipe_file()
    child = recipe_file(HEAD + 'unset = ["metric.error"]\n', name="child.toml")
    assert "there is no 'metric' to unset - did you mean 'metrics'?" in problems(child)


def test_another_component_drops_the_old_ones_keys_and_says_so(recipe_file):
    recipe_file(old="depth = 5", new='depth = 5\ndropout = 0.1\ninit = "xavier"')
    recipe = load_recipe(
        recipe_file(HEAD + '[generator]\nuse = "bits/other"\nblocks = 2\n', name="child.toml")
    )
    slot = recipe.slots["generators.main"]
    assert slot.params == {"blocks": 2, "depth": 2}
    assert slot.settings.init == "xavier"
    assert recipe.notes == ("generator: 'bits/net' became 'bits/other', so depth, dropout went with it",)


def test_the_same_component_in_other_words_drops_nothing(recipe_file):
    recipe_file(old="depth = 5", new="depth = 3")
    recipe = load_recipe(recipe_file(HEAD + '[generator]\nuse = "bits/net"\n', name="child.toml"))
    assert recipe.slots["generators.main"].params["depth"] == 3
    assert recipe.notes == ()


def test_a_loss_keeps_its_weight_when_its_kind_changes(recipe_file):
    recipe_file(old='use = "bits/game"', new='use = "bits/game"\nweight = 3.0\non = ["patch"]')
    child = (
        HEAD
        + 'unset = ["discriminators", "optimizers.discriminators"]\n'
        + '[losses.adversarial]\nuse = "bits/distance"\n'
    )
    loss = load_recipe(recipe_file(child, name="child.toml")).slots["losses.adversarial"]
    assert loss.settings.weight == 3.0
    assert not hasattr(loss.settings, "on")


def test_steps_replace_the_parents_epochs_and_the_other_way_round(recipe_file):
    recipe_file()
    recipe = load_recipe(recipe_file(HEAD + "[train]\nepochs = 2\n", name="child.toml"))
    assert (recipe.train.steps, recipe.train.epochs) == (None, 2.0)
    recipe = load_recipe("child.toml", steps=7)
    assert (recipe.train.steps, recipe.train.epochs) == (7, None)


def test_problems_stand_in_the_file_that_made_them(recipe_file):
    recipe_file(old="depth = 5", new="dept = 5")
    told = problems(recipe_file(HEAD + "[losses.l1]\nwieght = 3\n", name="child.toml"))
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "child.toml:5  losses.l1.wieght",
        "x.toml:10  generator.dept",
    ]


def test_a_parent_is_found_beside_its_child(recipe_file, tmp_path: Path, monkeypatch):
    recipe_file(old="depth = 5", new="dept = 5")
    recipe_file(HEAD, name="child.toml")
    monkeypatch.chdir(tmp_path)
    assert problems("work/child.toml").startswith("work/x.toml:10  generator.dept")


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ("nope.toml", "there is no file 'nope.toml' beside this recipe"),
        ("pix2pixx", "no recipe 'pix2pixx' is shipped - did you mean 'pix2pix'?"),
        ("child.toml", "a recipe cannot extend itself, also not by way of others"),
    ],
)
def test_a_parent_that_cannot_be(recipe_file, parent: str, message: str):
    child = recipe_file(HEAD.replace("x.toml", parent), name="child.toml")
    assert problems(child).startswith(f"child.toml:3  extends\n  {message}")


def test_recipes_cannot_extend_each_other_in_a_ring(recipe_file):
    recipe_file(HEAD.replace("x.toml", "a.toml"), name="b.toml")
    recipe_file(HEAD.replace("x.toml", "b.toml"), name="a.toml")
    assert problems("a.toml").startswith("b.toml:3  extends\n  a recipe cannot extend itself")


def test_the_chain_of_parents_has_an_end(recipe_file):
    for number in range(12):
        recipe_file(HEAD.replace("x.toml", f"r{number + 1}.toml"), name=f"r{number}.toml")
    assert "recipes extend each other at most 8 deep" in problems("r0.toml")


# --- for what comes later -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("generators.main.depth", "x.toml:10  generator.depth"),
        ("generators.main.norm", "x.toml:8  generator.norm"),
        ("generators.main", "x.toml:8  generator"),
        ("data.root", "x.toml:6  data.root"),
        ("train.save_best", "x.toml:35  train.save_best"),
        ("optimizers.discriminators.patch", 'x.toml:41  optimizers."discriminators.patch"'),
        (
            "optimizers.discriminators.patch.lr",
            '--set optimizers."discriminators.patch".lr=1  optimizers."discriminators.patch".lr',
        ),
        ("transforms.none", "x.toml  transforms.none"),
    ],
)
def test_a_later_problem_finds_its_place(recipe_file, path: str, place: str):
    own = '\n[optimizers."discriminators.patch"]\nuse = "bits/walk"\n'
    file = recipe_file(new=own)
    recipe = load_recipe(
        file, set=['optimizers."discriminators.patch".lr=1'], unset=["optimizers.discriminators"]
    )
    if path == "optimizers.discriminators.patch":
        recipe = load_recipe(file, unset=["optimizers.discriminators"])
    assert recipe.problem(path, "so it is").render() == f"{place}\n  so it is"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("", "x.toml:8  generator"),
        ("depth", "x.toml:10  generator.depth"),
        ("init", "x.toml:8  generator.init"),
    ],
)
def test_a_slot_places_problems_at_its_table_or_at_a_key_whether_or_not_that_was_written(
    recipe_file, key: str, place: str
):
    slot = load_recipe(recipe_file()).slots["generators.main"]
    assert (slot.section, slot.name, slot.path) == ("generators", "main", "generators.main")
    assert slot.problem("so it is", key=key).render() == f"{place}\n  so it is"


def test_the_slot_in_charge_of_a_network(recipe_file):
    own = '\n[optimizers."discriminators.patch"]\nuse = "bits/walk"\n[discriminators.b]\nuse = "bits/judge"\n'
    recipe = load_recipe(recipe_file(new=own))
    paths = ["generators.main", "discriminators.patch", "discriminators.b"]
    assert [recipe.slot_for("optimizers", path).name for path in paths] == [
        "generators",
        "discriminators.patch",
        "discriminators",
    ]
    assert recipe.slot_for("schedules", "generators.main").name == "all"
    assert load_recipe("x.toml", unset=["schedule"]).slot_for("schedules", "generators.main") is None


def test_of_very_many_mistakes_the_first_are_told_and_the_others_counted(recipe_file):
    losses = "\n".join(f'[losses.odd{number}]\nuse = "l1x"' for number in range(2000))
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file(new=losses))
    assert len(caught.value.problems) == MOST_TOLD + 1
    assert "more; mend these first." in str(caught.value)
    assert len(str(caught.value)) < 10_000
