"""Which channels a loss with a part compares, where a method's generators write one side or both."""

from __future__ import annotations

import pytest
import torch

from i2i.building.components import build_losses, method_slots
from i2i.building.parts import part_problem, written_sides
from i2i.errors import RecipeError
from i2i.kinds import Batch, ImageSpec, PairSpec, Part
from i2i.recipe.recipe import load_recipe

SEG = Part("seg", 3, "uint8", 0, 1, labels=True)
DEPTH = Part("depth", 1, "uint16", 0, 900)
COLOUR = Part("colour", 3, "uint8", 0, 255)

GIVEN = {"batch": Batch(torch.zeros(1), torch.zeros(1), ()), "run": None}
"""What a loss that asks for no more than images does without."""


def side(*parts: Part) -> ImageSpec:
    return ImageSpec(sum(part.channels for part in parts), 16, 16, "float32", -1, 1, parts=parts)


@pytest.fixture
def both_ways(two_way):
    """A recipe with a paired loss on a part, whose method has a generator for each direction."""
    return load_recipe(two_way, set=["losses.cycle.part=depth"])


def test_a_part_of_one_side_is_told_by_how_many_channels_images_have(both_ways):
    spec = PairSpec(ImageSpec(3, 16, 16), side(COLOUR, DEPTH))
    assert written_sides(method_slots(both_ways)) == ("target", "source")
    cycle = build_losses(both_ways, "cpu", spec)["cycle"]
    fake, real = torch.zeros(2, 4, 5, 5), torch.zeros(2, 4, 5, 5)
    fake[:, :3] = 1
    assert cycle(fake, real, **GIVEN) == 0
    with pytest.raises(RecipeError, match=r"images of 3 channel\(s\) have no part 'depth'"):
        cycle(fake[:, :3], real[:, :3], **GIVEN)


def test_the_losses_of_a_kind_are_those_that_the_method_does_not_name(both_ways):
    losses = build_losses(both_ways, "cpu", PairSpec(ImageSpec(3, 16, 16), side(COLOUR, DEPTH)))
    paired = [term.name for term in losses.terms if term.kind == "paired-loss"]
    assert "cycle" in paired
    assert [term.name for term in losses.of("paired-loss")] == [name for name in paired if name != "cycle"]


def test_both_sides_may_have_it_each_in_its_place(both_ways):
    spec = PairSpec(side(DEPTH, SEG, COLOUR), side(COLOUR, DEPTH))
    cycle = build_losses(both_ways, "cpu", spec)["cycle"]
    for channels, place in ((7, 0), (4, 3)):
        fake = torch.zeros(1, channels, 5, 5)
        fake[:, place] = 1
        apart = torch.ones(1, 1, 5, 5)
        expected = cycle.loss(apart, torch.zeros_like(apart))
        assert cycle(fake, torch.zeros_like(fake), **GIVEN) == expected


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (side(SEG, Part("edges", 1, "uint8", 0, 255)), side(COLOUR, DEPTH), "both have 4 channels"),
        (side(DEPTH, SEG), side(COLOUR, DEPTH), "both have 4 channels"),
        (side(SEG, COLOUR), ImageSpec(3, 16, 16), "its parts are seg, colour"),
        (ImageSpec(3, 16, 16), ImageSpec(3, 16, 16), "the target has no part 'depth': it has no parts"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_place(both_ways, two_way, source, target, words):
    slot = next(slot for slot in both_ways.section("losses") if slot.name == "cycle")
    problem = part_problem(slot, PairSpec(source, target), ("target", "source"))
    assert words in problem.message
    with pytest.raises(RecipeError, match=r"losses\.cycle\.part"):
        build_losses(both_ways, "cpu", PairSpec(source, target))
