"""What a plug-in can declare, and what the registrar refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.errors import PluginError
from i2i.kinds import KINDS
from i2i.registry import Entry, RecipeEntry, Registrar


@pytest.fixture
def registrar() -> Registrar:
    return Registrar("shapes", module="i2i_shapes", distribution="i2i-shapes", version="1.0")


def test_there_is_a_method_for_each_kind(registrar: Registrar):
    for number, kind in enumerate(KINDS):
        getattr(registrar, kind.replace("-", "_"))(f"part-{number}", "json:loads", "a part")
    assert [entry.kind for entry in registrar.entries] == list(KINDS)


def test_an_entry_knows_its_reference_and_loads_its_target(registrar: Registrar):
    registrar.generator("net", "json:loads", "a net", rev=3)
    (entry,) = registrar.entries
    assert (entry.ref, entry.rev, entry.distribution, entry.version) == ("shapes/net", 3, "i2i-shapes", "1.0")
    assert entry.load()("1") == 1


def test_a_target_may_be_in_the_plug_ins_own_module(registrar: Registrar):
    registrar.metric("size", ":Size", "a metric")
    assert registrar.entries[0].target == "i2i_shapes:Size"


@pytest.mark.parametrize("name", ["", "Net", "my_net", "-net", "net-", "a--b", "2net", "a/b", "net "])
def test_names_of_the_wrong_form_are_refused(registrar: Registrar, name: str):
    with pytest.raises(PluginError, match="lower-case words"):
        registrar.generator(name, "m:N", "a net")
    with pytest.raises(PluginError, match="lower-case words"):
        registrar.recipe(name, "pkg:x.toml", "a recipe")


@pytest.mark.parametrize("target", ["m", "m:", "m:N.x", "m.n", "m:N()", "m n:N", "os;x:N"])
def test_targets_of_the_wrong_form_are_refused(registrar: Registrar, target: str):
    with pytest.raises(PluginError, match="not of the form 'module:Name'"):
        registrar.generator("net", target, "a net")


def test_a_summary_is_required(registrar: Registrar):
    with pytest.raises(PluginError, match="needs a summary"):
        registrar.generator("net", "m:N", " ")
    with pytest.raises(PluginError, match="needs a summary"):
        registrar.recipe("mine", "pkg:x.toml", "")


@pytest.mark.parametrize("summary", [None, 3])
def test_a_summary_is_a_text(registrar: Registrar, summary):
    with pytest.raises(PluginError, match="generator 'net' needs a summary of one line"):
        registrar.generator("net", "m:N", summary)
    with pytest.raises(PluginError, match="benchmark 'mine' needs a summary of one line"):
        registrar.benchmark("mine", "pkg:x.toml", summary)


def test_names_and_targets_are_texts(registrar: Registrar):
    with pytest.raises(PluginError, match="generator None: None is not a text"):
        registrar.generator(None, "m:N", "a net")
    with pytest.raises(PluginError, match="recipe 'mine': 3 is not a text"):
        registrar.recipe("mine", 3, "a recipe")


@pytest.mark.parametrize("rev", ["2", 1.0, True, None])
def test_a_revision_is_a_number(registrar: Registrar, rev):
    with pytest.raises(PluginError, match=f"a revision is a whole number, and {rev!r} is none"):
        registrar.generator("net", "m:N", "a net", rev=rev)


def test_an_unknown_kind_is_refused(registrar: Registrar):
    with pytest.raises(PluginError, match="no kind 'painter'"):
        registrar.component("painter", "net", "m:N", "a net")


def test_a_name_is_unique_in_its_kind_and_among_all_losses(registrar: Registrar):
    registrar.generator("net", "m:N", "a net")
    registrar.discriminator("net", "m:N", "another kind may share the name")
    registrar.paired_loss("l1", "m:L", "a loss")
    with pytest.raises(PluginError, match="generator 'net' is declared twice: 'm:N' and 'm:O'"):
        registrar.generator("net", "m:O", "a net")
    with pytest.raises(PluginError, match=r"twice \(once as a paired-loss; all losses count as one"):
        registrar.adversarial_loss("l1", "m:L", "a loss")


@pytest.mark.parametrize("target", ["nowhere:Net", "json:Net", "i2i_quits:Net"])
def test_a_target_that_cannot_be_imported_says_so(distribution, target: str):
    distribution("quits", "1", None, {"i2i_quits.py": "raise SystemExit"})
    entry = Entry("generator", "shapes", "net", target, "a net", 1, "i2i-shapes", "1.0")
    with pytest.raises(PluginError, match=r"shapes/net \(i2i-shapes 1.0\) could not be loaded from"):
        entry.load()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("class Quit(BaseException): ...\nraise Quit('now')", "Quit: now"),
        ("raise OSError('one\\ntwo')", "OSError: one two"),
    ],
)
def test_whatever_a_module_raises_is_told_on_one_line(distribution, code: str, reason: str):
    distribution("odd", "1", None, {"i2i_odd.py": code})
    entry = Entry("generator", "shapes", "net", "i2i_odd:Net", "a net", 1, "i2i-shapes", "1.0")
    with pytest.raises(PluginError) as refused:
        entry.load()
    assert str(refused.value).endswith(f"from 'i2i_odd:Net': {reason}")


def test_what_a_module_prints_does_not_go_to_stdout(distribution, capsys):
    distribution("odd", "1", None, {"i2i_odd.py": "print('hello')\nclass Net: ..."})
    Entry("generator", "shapes", "net", "i2i_odd:Net", "a net", 1, "i2i-shapes", "1.0").load()
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


def test_a_recipe_is_found_inside_its_package(distribution):
    files = {"i2i_shapes/__init__.py": "", "i2i_shapes/recipes/round.toml": "recipe = 1"}
    site = distribution("i2i-shapes", "1.0", "shapes", files)
    entry = RecipeEntry("shapes", "round", "i2i_shapes:recipes/round.toml", "round things")
    assert entry.ref == "shapes/round"
    assert entry.path() == site / "i2i_shapes/recipes/round.toml"


def test_a_recipe_beside_an_installed_package_is_not_its_own(distribution):
    files = {"i2i_shapes/__init__.py": "", "recipes/round.toml": "recipe = 1"}
    distribution("i2i-shapes", "1.0", "shapes", files)
    with pytest.raises(PluginError, match="recipe 'shapes/round' is missing from its package"):
        RecipeEntry("shapes", "round", "i2i_shapes:recipes/round.toml", "round things").path()


def test_a_recipe_of_a_package_that_is_not_there_says_so():
    with pytest.raises(PluginError, match="No module named 'nowhere'"):
        RecipeEntry("shapes", "round", "nowhere:round.toml", "round things").path()


def test_a_recipes_resource_names_a_toml_file(registrar: Registrar):
    with pytest.raises(PluginError, match="not of the form"):
        registrar.recipe("round", "i2i_shapes/recipes", "round things")
    registrar.recipe("round", "i2i_shapes:round.toml", "round things")
    with pytest.raises(PluginError, match="recipe 'round' is declared twice"):
        registrar.recipe("round", "i2i_shapes:round.toml", "round things")


def test_a_recipe_of_core_goes_by_its_bare_name():
    assert RecipeEntry("core", "pix2pix", "i2i:recipes/pix2pix.toml", "…").ref == "pix2pix"
    assert Path(RecipeEntry("core", "pix2pix", "i2i:recipes/pix2pix.toml", "…").path()).is_file()


def test_a_recipe_declared_without_a_summary_has_that_of_its_file(distribution, registrar: Registrar):
    files = {"i2i_shapes/__init__.py": "", "i2i_shapes/round.toml": 'recipe = 1\nsummary = "round things"\n'}
    distribution("i2i-shapes", "1.0", "shapes", files)
    registrar.recipe("round", "i2i_shapes:round.toml")
    registrar.recipe("mine", "i2i_shapes:round.toml", "my own words")
    assert [entry.summary for entry in registrar.recipes] == ["round things", "my own words"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("recipe = 1", ""), ("summary = ", "its file cannot be read"), (None, "is missing from")],
)
def test_a_file_without_a_summary_that_can_be_read_stops_no_list(distribution, text: str | None, words: str):
    files = {"i2i_shapes/__init__.py": ""} | ({} if text is None else {"i2i_shapes/round.toml": text})
    distribution("i2i-shapes", "1.0", "shapes", files)
    summary = RecipeEntry("shapes", "round", "i2i_shapes:round.toml").summary
    assert words in summary
    assert bool(summary) == bool(words)


def test_a_layout_is_declared_like_a_component_and_only_loaded_when_it_is_asked_for(registrar: Registrar):
    registrar.layout("theirs", ":LAYOUT", "the weights of another code")
    (entry,) = registrar.layouts
    assert (entry.ref, entry.target, entry.version) == ("shapes/theirs", "i2i_shapes:LAYOUT", "1.0")
    registrar.layout("core-unet", "i2i.core.pix2pix_layouts:UNET", "U-Nets")
    assert registrar.layouts[1].load().component == "unet"
    registrar.layout("nothing", "json:loads", "no layout")
    with pytest.raises(
        PluginError, match=r"shapes/nothing .+ is of type function: 'json:loads' has to name an"
    ):
        registrar.layouts[2].load()


@pytest.mark.parametrize(
    ("name", "target", "summary", "words"),
    [
        ("Theirs", "m:N", "x", "lower-case words"),
        ("theirs", "m", "x", "not of the form 'module:Name'"),
        ("theirs", "m:N", " ", "needs a summary"),
        ("twice", "m:N", "x", "layout 'twice' is declared twice"),
    ],
)
def test_layouts_of_the_wrong_form_are_refused(registrar: Registrar, name, target, summary, words):
    registrar.layout("twice", "m:N", "a layout")
    with pytest.raises(PluginError, match=words):
        registrar.layout(name, target, summary)
