"""The header of a network's file: one record, written and read in one place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from i2i.errors import DataError
from i2i.kinds import ImageSpec, PairSpec, Part, TestSettings
from i2i.runs.header import ModelHeader

PATH = Path("m.safetensors")
SPEC = PairSpec(
    ImageSpec(3, 8, 8, parts=(Part("a", 3, "uint8", 0.0, 255.0),)),
    ImageSpec(2, 8, 8, high=1.0, labels=True, palette=((0, 0, 0), (9, 8, 7))),
)
HEADER = ModelHeader(
    component="core/unet",
    rev=2,
    distribution="i2i-toolkit",
    version="0.1.0",
    slot={"use": "unet", "depth": 5},
    provenance={"recipe": "mine", "step": 7},
    pair_spec=SPEC,
    test=TestSettings(dropout=True, norm="batch"),
    data={"use": "shapes"},
)


def again(header: ModelHeader, **changes: object) -> ModelHeader:
    return ModelHeader.read(json.loads(json.dumps({**header.entries(), **changes})), path=PATH)


def test_a_header_comes_back_as_it_was_written():
    assert again(HEADER) == HEADER
    assert "metrics" not in HEADER.entries()


def test_entries_of_later_versions_are_left():
    assert again(HEADER, colour="blue") == HEADER


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("component", None),
        ("rev", "2"),
        ("slot", []),
        ("test", {"norm": "odd"}),
        ("pair_spec", {"source": 3}),
    ],
)
def test_a_damaged_entry_is_named_with_the_file(entry, value):
    with pytest.raises(DataError, match=rf"m\.safetensors is not a model: .*'{entry}"):
        again(HEADER, **{entry: value})


def test_a_network_that_is_no_generator_says_so():
    judge = replace(HEADER, pair_spec=None, test=None)
    assert again(judge) == judge
    with pytest.raises(DataError, match=r"m\.safetensors is not a model: its header describes no generator"):
        judge.generator(path=PATH)
    assert HEADER.generator(path=PATH) == (SPEC, HEADER.test)
