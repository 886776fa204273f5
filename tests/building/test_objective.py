"""What a recipe minimises, told in a line."""

from __future__ import annotations

from i2i.building.objective import objective
from i2i.recipe.recipe import load_recipe

PLAIN = ("discriminators.patch", "losses.adversarial", "optimizers.discriminators")


def told(*settings: str, unset: tuple[str, ...] = ()) -> str:
    return objective(load_recipe("shapes", set=[*settings], unset=unset))


def test_weights_names_and_discriminators_are_those_of_the_recipe():
    assert told() == "G minimises 1 adversarial(patch) + 100 l1; patch minimises lsgan, halved"


def test_without_a_discriminator_there_is_one_side():
    assert told(unset=PLAIN) == "G minimises 100 l1"


def test_a_loss_is_told_through_the_discriminators_it_is_on():
    both = ("discriminators.dots.use=pixel", "losses.adversarial.weight=0.5")
    assert told(*both) == (
        "G minimises 0.5 adversarial(patch, dots) + 100 l1; patch minimises lsgan, halved; "
        "dots minimises lsgan, halved"
    )
    each = ('losses.adversarial.on=["dots"]', "losses.other.use=vanilla", 'losses.other.on=["patch"]')
    assert told(*both, *each) == (
        "G minimises 0.5 adversarial(dots) + 100 l1 + 1 other(patch); patch minimises vanilla, halved; "
        "dots minimises lsgan, halved"
    )


def test_a_penalty_belongs_to_the_discriminators_and_is_told_with_how_seldom_it_counts():
    assert told("losses.slope.use=r1", "losses.slope.weight=10", "losses.slope.every=16").endswith(
        "; patch minimises lsgan, halved + 10 slope [r1] every 16 steps"
    )


def test_a_loss_that_is_called_otherwise_than_its_component_is_told_with_it():
    assert told("losses.l1.use=l2", unset=PLAIN) == "G minimises 100 l1 [l2]"
