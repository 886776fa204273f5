"""The pairs that a generator was trained on, told from the sides that it reads and writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2i.errors import DataError
from i2i.records import GeneratorSlot, ImageSpec, PairSpec, TestSettings
from i2i.runs.header import ModelHeader

PAIRS = PairSpec(ImageSpec(1, 8, 8), ImageSpec(3, 8, 8), aligned=False)
PATH = Path("model.safetensors")


def header(role: GeneratorSlot) -> ModelHeader:
    made = ModelHeader("core/unet", 1, "i2i-toolkit", "1", {})
    seen = PAIRS.seen_by(role)
    return replace(made, reads=role.sides, writes=role.writes, pair_spec=seen, test=TestSettings())


@pytest.mark.parametrize(
    "role",
    [
        GeneratorSlot(),
        GeneratorSlot("target", "source"),
        GeneratorSlot(("source", "target"), "target"),
        GeneratorSlot(("target", "source"), "source"),
    ],
)
def test_the_pairs_are_those_of_the_training_whatever_a_generator_sees_of_them(role):
    assert header(role).pair(path=PATH) == PAIRS


def test_of_a_side_that_a_generator_never_saw_nothing_is_known(tmp_path):
    with pytest.raises(DataError, match="saw one side of its pairs alone"):
        header(GeneratorSlot("target", "target")).pair(path=PATH)


def test_a_stack_of_sides_is_no_map_of_classes_of_them_all():
    classes = replace(PAIRS, source=ImageSpec(4, 8, 8, labels=True))
    stack = classes.seen_by(GeneratorSlot(("source", "target"), "target")).source
    assert (stack.channels, stack.one_hot) == (7, False)
    assert classes.seen_by(GeneratorSlot()).source.one_hot
