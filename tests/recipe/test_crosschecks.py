"""What must hold between the slots of a recipe."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from i2i.building.objective import objective
from i2i.errors import PluginError, RecipeError
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe


@pytest.fixture
def told(recipe_file):
    """Return a function that breaks a sound recipe and returns what is said about it."""

    def tell(old: str = "", new: str = "", *, settings=(), unset=(), kind=RecipeError) -> str:
        with pytest.raises(kind) as refused:
            load_recipe(recipe_file(old=old, new=new), set=settings, unset=unset)
        assert type(refused.value) is kind
        return str(refused.value)

    return tell


NO_JUDGE = ["discriminators", "optimizers.discriminators", "losses.adversarial"]


@pytest.mark.parametrize(
    ("unset", "messages"),
    [
        (["data"], ["the recipe has no [data], the images"]),
        (["method"], ["the recipe has no [method], the way it is trained"]),
        (["train"], ["the recipe has no [train], with `steps`, `epochs` or `minutes`"]),
        (
            ["generator", "optimizers.generators"],
            ["the recipe has no [generator], the network that translates"],
        ),
        ([*NO_JUDGE, "losses.l1"], ["the recipe has no loss, like [losses.l1]"]),
        (
            ["losses.adversarial"],
            ["x.toml:13  discriminators.patch.use\n  no adversarial loss trains this discriminator"],
        ),
        (
            ["discriminators", "optimizers.discriminators"],
            ["losses.adversarial.use\n  bits/game works through discriminators; the recipe has none"],
        ),
        (
            ["discriminators", "losses.adversarial"],
            [
                "optimizers.discriminators.use\n"
                "  this optimizer has nothing to do: the recipe has no discriminators"
            ],
        ),
        (
            ["optimizers.generators"],
            ["x.toml:9  generator.use\n  no optimizer trains this network: add [optimizers.generators]"],
        ),
        (["optimizers"], ["add [optimizers.generators]", "add [optimizers.discriminators]"]),
    ],
)
def test_what_is_missing(told, unset: list[str], messages: list[str]):
    text = told(unset=unset)
    for message in messages:
        assert message in text
    assert text.count("\n  ") == len(messages)


def test_a_recipe_without_discriminators_or_schedule_is_sound(recipe_file):
    recipe = load_recipe(recipe_file(), unset=[*NO_JUDGE, "schedule", "metrics"])
    assert list(recipe.slots) == ["data", "generators.main", "losses.l1", "method", "optimizers.generators"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["losses.adversarial.on=['ptch']"],
            "losses.adversarial.on\n  there is no discriminator 'ptch' - did you mean 'patch'?",
        ),
        (["losses.m.use=bits/match"], "bits/any makes no use of a feature-loss, which bits/match is"),
        (["losses.adversarial.use=bits/critic"], "bits/critic needs a penalty, like bits/slope"),
        (["generators.second.use=bits/net"], "bits/any has no place for a generator 'second'; it takes main"),
        (
            ["discriminators.b.use=bits/judge", "losses.adversarial.on=['patch']"],
            "discriminators.b.use\n  no adversarial loss trains this discriminator",
        ),
        (
            ["optimizers.generator.use=bits/walk"],
            "'generator' is no network and no group of them - did you mean 'generators'?",
        ),
        (
            ["schedules.zzz.use=bits/fade"],
            "'zzz' is no network and no group of them; "
            "there are generators, discriminators, all, generators.main, discriminators.patch",
        ),
        (
            ["schedules.losses.use=bits/fade"],
            "'losses' is no network and no group of them; that of a loss is named in full, like 'losses.l1'",
        ),
        (['optimizers."discriminators.ptch".use=bits/walk'], "did you mean 'discriminators.patch'?"),
        (
            ['optimizers."generators.main".use=bits/walk'],
            "optimizers.generators.use\n  this optimizer has nothing to do: each network has one of its own",
        ),
        (
            ["schedules.generators.use=bits/fade", "schedules.discriminators.use=bits/fade"],
            "this schedule has nothing to do: each network has one of its own",
        ),
    ],
)
def test_what_does_not_fit_together(told, settings: list[str], message: str):
    text = told(settings=settings)
    assert message in text
    assert text.count("\n  ") == 1


def test_a_need_is_met_by_what_it_asks_for(recipe_file):
    settings = ["losses.adversarial.use=bits/critic", "losses.p.use=bits/slope", "losses.p.every=4"]
    recipe = load_recipe(recipe_file(), set=settings)
    assert recipe.slots["losses.p"].settings.every == 4
    recipe = load_recipe(recipe_file(), set=["schedule.use=bits/plateau"])
    assert recipe.slots["schedules.all"].entry.ref == "bits/plateau"


def test_what_watches_a_metric_needs_one(told):
    text = told(settings=["schedule.use=bits/plateau", "train.save_best=error:min"], unset=["metrics"])
    assert "bits/plateau watches a metric: add one as [metrics.NAME]" in text
    assert "'save_best' needs a metric: add one as [metrics.NAME]" in text


def test_a_method_with_names_of_its_own_asks_for_each(told):
    text = told(settings=["method.use=bits/pair"])
    for message in [
        "bits/pair needs a generator 'there': write [generators.there]",
        "bits/pair needs a generator 'back': write [generators.back]",
        "bits/pair has no place for a generator 'main'; it takes there, back",
        "bits/pair needs a discriminator 'end': write [discriminators.end]",
        "bits/pair has no place for a discriminator 'patch'; it takes end",
        "bits/pair needs a paired-loss of the name 'cycle': write [losses.cycle]",
    ]:
        assert message in text


def test_a_method_with_names_of_its_own_is_content_with_them(recipe_file):
    settings = [
        "method.use=bits/pair",
        "generators.there.use=bits/net",
        "generators.back.use=bits/net",
        "discriminators.end.use=bits/judge",
        "losses.cycle.use=bits/distance",
    ]
    recipe = load_recipe(
        recipe_file(), set=settings, unset=["generator", "discriminators.patch", "losses.l1"]
    )
    assert [slot.name for slot in recipe.section("generators")] == ["there", "back"]


def with_slots(losses: str, kinds: str) -> str:
    """Return a local plug-in with one method, which takes `losses` by name and others of `kinds`."""
    return f"""
from i2i import hookimpl
from i2i.kinds import GeneratorSlot, LossSlot, MethodSlots

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.method("named", ":Named", "takes losses by name")


class Named:
    slots = MethodSlots(
        generators={{"main": GeneratorSlot()}},
        exported="main",
        loss_kinds=frozenset({kinds}),
        losses={losses},
    )
"""


NUMBERS = count()
NAMED = ("method.use=local/named",)
ALONE = ("discriminators", "optimizers.discriminators", "losses.adversarial")


@pytest.fixture
def named(recipe_file):
    """Return a function that reads the recipe with a method that takes losses by name."""

    def read(losses: str, *settings: str, kinds: str = "()", unset: tuple[str, ...] = ()):
        plugin = Path(f"named_{next(NUMBERS)}.py")  # each is imported once in a process
        plugin.write_text(with_slots(losses, kinds))
        catalog = Catalog.installed(local=plugin)
        return load_recipe(recipe_file(), set=[*NAMED, *settings], unset=[*ALONE, *unset], catalog=catalog)

    return read


CYCLE = '{"cycle": LossSlot("paired-loss"), "identity": LossSlot("paired-loss", required=False)}'


def test_a_loss_of_another_kind_under_a_name_is_refused_at_its_line(named):
    with pytest.raises(RecipeError) as refused:
        named('{"l1": LossSlot("feature-loss")}')
    assert str(refused.value) == (
        "x.toml:19  losses.l1.use\n"
        "  local/named needs a feature-loss as 'l1', and bits/distance is a paired-loss"
    )
    with pytest.raises(RecipeError, match="needs an adversarial-loss as 'l1'"):
        named('{"l1": LossSlot("adversarial-loss")}')


def test_a_loss_that_a_method_needs_by_its_name_is_asked_for(named):
    with pytest.raises(RecipeError) as refused:
        named(CYCLE, unset=("losses.l1",))
    assert str(refused.value).startswith("--set method.use=local/named  method.use\n")
    assert "local/named needs a paired-loss of the name 'cycle': write [losses.cycle]" in str(refused.value)
    assert "identity" not in str(refused.value)


def test_a_loss_under_a_free_name_is_of_a_kind_that_the_method_takes(named):
    with pytest.raises(RecipeError) as refused:
        named(CYCLE, "losses.cycle.use=bits/distance")
    assert str(refused.value) == (
        "x.toml:19  losses.l1.use\n  local/named makes no use of a paired-loss, which bits/distance is"
    )
    assert named(CYCLE, "losses.cycle.use=bits/distance", kinds='("paired-loss",)')


def test_optional_losses_may_be_left_out_and_are_no_part_of_the_objective_then(named):
    cycle = "losses.cycle.use=bits/distance"
    without = named(CYCLE, cycle, unset=("losses.l1",))
    assert objective(without) == "G minimises 1 cycle [bits/distance]"
    both = named(CYCLE, cycle, "losses.identity.use=bits/distance", unset=("losses.l1",))
    assert objective(both) == "G minimises 1 cycle [bits/distance] + 1 identity [bits/distance]"


def test_a_method_that_needs_no_loss_needs_no_section_of_losses(named):
    optional = '{"identity": LossSlot("paired-loss", required=False)}'
    assert named(optional, unset=("losses",)).section("losses") == ()
    with pytest.raises(RecipeError, match="the recipe has no loss, like"):
        named(optional, kinds='("paired-loss",)', unset=("losses",))


def test_an_unknown_component_does_not_drag_others_into_the_list(told):
    text = told('use = "bits/game"', 'use = "bits/gaem"')
    assert (
        text == "x.toml:16  losses.adversarial.use\n  no loss 'gaem' in plug-in 'bits' - did you mean 'game'?"
    )
    text = told('use = "bits/net"\ndepth = 5', 'use = "bits/nte"\ndepth = 5')
    assert text == "x.toml:9  generator.use\n  no generator 'nte' in plug-in 'bits' - did you mean 'net'?"


def test_a_method_without_slots_is_its_plug_ins_fault(told):
    import i2i_bits.parts

    del i2i_bits.parts.Any.slots
    text = told(settings=["seed=3"], kind=PluginError)
    assert "bits/any has no attribute `slots` that says which networks it takes" in text


def test_needs_in_the_wrong_form_are_the_plug_ins_fault(told):
    import i2i_bits.parts

    i2i_bits.parts.Critic.requires = ["penalty"]
    text = told(settings=["losses.adversarial.use=bits/critic"], kind=PluginError)
    needs = "penalty, metric, features, labels, pairs, extra:NAME"
    assert f"bits/critic: `requires` maps what it needs ({needs}) to a sentence" in text


@pytest.mark.parametrize("name", ["pix2pix", "l1-only"])
def test_the_shipped_recipes_say_what_they_are(name: str):
    from i2i.plugins.catalog import Catalog

    entry = Catalog.installed().recipe(name)
    text = entry.path().read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f'summary = "{entry.summary}"' in text
