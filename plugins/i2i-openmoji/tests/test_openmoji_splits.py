"""Splits by what an emoji shows."""

from __future__ import annotations

from collections import Counter

import pytest
from i2i_openmoji.selection import shipped_names
from i2i_openmoji.splits import base_code_point, split_of


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("1F600", "1F600"),
        ("1F3C3-200D-2640-FE0F", "1F3C3"),
        ("2764-FE0F-200D-1F525", "2764"),
        ("E0AC-200D-2640-FE0F", "E0AC"),
        ("1F468-200D-1F9B0", "1F468"),
        ("1F469-200D-1F9B0", "1F468"),
        ("1F9D1-200D-1F9B0", "1F468"),
        ("1F467", "1F466"),
        ("0031-FE0F-20E3", "20E3"),
        ("0023-FE0F-20E3", "20E3"),
    ],
)
def test_variants_share_a_base(name: str, base: str) -> None:
    assert base_code_point(name) == base


def test_an_emoji_stays_in_its_split_for_ever() -> None:
    assert {name: split_of(name) for name in ("1F468", "1F3C3", "20E3", "1F3CA", "1F6CB")} == {
        "1F468": "train",
        "1F3C3": "train",
        "20E3": "train",
        "1F3CA": "test",
        "1F6CB": split_of("1F6CB-FE0F"),
    }


def test_no_base_is_on_two_sides_and_the_sizes_are_about_right() -> None:
    names = shipped_names("17.0.0") or []
    sides: dict[str, set[str]] = {}
    for name in names:
        sides.setdefault(base_code_point(name), set()).add(split_of(name))
    assert {len(found) for found in sides.values()} == {1}
    assert Counter(map(split_of, names)) == {"train": 1155, "val": 116, "test": 110}
