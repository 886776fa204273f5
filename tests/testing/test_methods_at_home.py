"""Where methods are checked: in a recipe of their own package, or with stand-ins that have what they need."""

from __future__ import annotations

import pytest

from i2i.plugins.catalog import Catalog
from i2i.testing import check_component
from i2i.testing.own_recipe import own_recipe
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import HEAVY, callback_session, method_session

FLOW = 'registry.recipe("flow", "i2i_sound:recipes/flow.toml", "a sampler")'
ALIKE = 'registry.recipe("alike", "i2i_sound:recipes/alike.toml", "features and a judge of the image alone")'
DUEL = 'registry.recipe("duel", "i2i_sound:recipes/duel.toml", "all of it together")'


def method(name: str, **params) -> Subject:
    catalog = Catalog.installed()
    return Subject(catalog.get(("method",), f"sound/{name}"), catalog, params)


def uses(session, section: str) -> dict[str, str]:
    return {slot.name: slot.entry.ref for slot in session.recipe.section(section)}


@pytest.mark.parametrize(("name", "recipe"), [("flow", FLOW), ("alike", ALIKE)])
def test_a_method_without_a_recipe_is_checked_with_stand_ins_that_meet_its_needs(sound, name, recipe):
    sound(recipe, "pass")
    assert own_recipe(method(name)) is None
    outcomes = check_component(f"sound/{name}")
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []
    session = method_session(method(name))
    assert set(uses(session, "generators").values()) == {"testing/net"}


def test_a_recipe_of_its_package_lends_networks_losses_and_parameters(sound):
    sound()
    session = method_session(method("flow"))
    assert uses(session, "generators") == {"velocity": "sound/drift"}
    assert session.recipe.slots["generators.velocity"].params["wide"] == 4
    assert session.recipe.method.params["rounds"] == 2
    assert uses(session, "losses") == {"squares": "core/l2"}
    assert [term.weight for term in session.losses.terms] == [2.0]
    heavy = method_session(method("flow"), heavy="squares")
    assert [term.weight for term in heavy.losses.terms] == [2.0 * HEAVY]


def test_parameters_of_the_check_go_before_those_of_the_recipe(sound):
    sound()
    assert method_session(method("flow", rounds=5)).recipe.method.params["rounds"] == 5


def test_an_optional_loss_that_the_recipe_lacks_is_tried_too(sound):
    sound()
    assert uses(method_session(method("alike")), "losses") == {"game": "sound/game", "identity": "core/l1"}
    left_out = method_session(method("alike"), without=["identity"])
    assert uses(left_out, "losses") == {"game": "sound/game"}


FLOWING = '[method]\nuse = "sound/flow"'
STAGED = """[stages.telling]
until = 0.5
frozen = ["generators.main"]

[stages.answering]
frozen = ["discriminators.alone"]

[method]
use = "sound/alike\""""


def test_what_a_network_and_a_loss_do_in_a_later_stage_counts(sound):
    sound('[method]\nuse = "sound/alike"', STAGED)
    session = method_session(method("alike"))
    assert session.stages.begins() == [0, 2]
    assert [o for o in check_component("sound/alike") if o.status != "passed"] == []


WATCHED = """[callbacks.counter]
use = "sound/counter"

[method]
use = "sound/flow\""""


@pytest.mark.parametrize(("old", "new", "names"), [("", "", {"main"}), (FLOWING, WATCHED, {"velocity"})])
def test_a_callback_is_tried_where_a_recipe_of_its_package_has_it_beside_another_method(
    sound, old, new, names
):
    sound(old, new)
    catalog = Catalog.installed()
    session = callback_session(Subject(catalog.get(("callback",), "sound/counter"), catalog, {}))
    assert session.networks.generators.keys() == names
    outcomes = check_component("sound/counter")
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []


def test_a_recipe_that_needs_what_is_not_installed_is_left_aside(sound):
    sound('[generators.velocity]\nuse = "sound/drift"', '[generators.velocity]\nuse = "elsewhere/drift"')
    assert own_recipe(method("flow")) is None


def test_judges_of_a_free_slot_see_a_condition_only_where_there_is_one(sound):
    sound(ALIKE, "pass")
    assert [judge.conditional for judge in method_session(method("alike")).networks.judges.values()] == [
        False
    ]


def test_judges_with_a_condition_see_it(sound):
    sound(DUEL, "pass")
    assert [judge.conditional for judge in method_session(method("duel")).networks.judges.values()] == [True]


@pytest.mark.parametrize(("refused", "channels"), [("!=", (3, 3)), ("==", (1, 3))])
def test_a_method_that_refuses_sides_of_other_channels_is_checked_on_pairs_of_equal_ones(
    sound, refused, channels
):
    plain = "def __init__(self, networks, losses, *, rounds: int = 3) -> None:"
    refusing = (
        "def __init__(self, networks, losses, spec, *, rounds: int = 3) -> None:\n"
        f"        if spec.source.channels {refused} spec.target.channels:\n"
        "            raise ValueError('such sides are not for it')"
    )
    sound(plain, refusing)
    session = method_session(method("flow"))
    spec = session.data["train"].spec
    assert (spec.source.channels, spec.target.channels) == channels


def test_small_parameters_are_for_checks_alone(sound):
    sound()
    catalog = Catalog.installed()
    entry = catalog.get(("generator",), "sound/drift")
    assert Subject(entry, catalog).build().into.out_channels == 4
    assert Subject(entry, catalog, {"wide": 6}).build().into.out_channels == 6
    assert entry.load()(in_channels=6, out_channels=3).into.out_channels == 1024


def test_data_that_name_something_small_are_taken_with_it(sound):
    sound('credit = "Made up."', 'credit = "Made up."\n    small = {"count": 7}')
    data = method_session(method("flow")).recipe.data
    assert (data.entry.ref, data.params["count"], data.settings.batch_size) == ("sound/squares", 7, 2)


def test_other_data_are_made_up_at_a_size_that_the_networks_take(sound):
    sound("size_multiple = 2", "size_multiple = 24")
    data = method_session(method("duel")).recipe.data
    assert data.entry.ref == "testing/pairs"
    assert data.params["size"] == 24


def test_what_would_fetch_weights_or_read_a_file_is_left_out(sound):
    sound('use = "l2"\nweight = 2.0', 'use = "st-lpips"')
    assert uses(method_session(method("flow")), "losses") == {"own-paired-loss": "core/l1"}


def test_networks_start_from_no_file(sound):
    sound('use = "sound/drift"', 'use = "sound/drift"\ninit_from = "nowhere.safetensors"')
    slot = method_session(method("flow")).recipe.slots["generators.velocity"]
    assert slot.settings.init_from is None
