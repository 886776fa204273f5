"""Names that decide about splits: groups that stay together, and expressions that end in bearable time."""

from __future__ import annotations

import re

import pytest

from i2i.core.data.splits import ByName, check_group, split_of

SHARES = (0.8, 0.1, 0.1)


@pytest.mark.parametrize(
    ("expression", "name", "group"),
    [
        (r"^(p\d+)_", "p12_3", "p12"),
        (r"p\d+", "scan/p12_3", "p12"),
        (r"^(p\d+)_", "other_3", "other_3"),
        (r"(x)?_", "a_b", "a_b"),
        (r"z*", "abc", "abc"),
    ],
)
def test_a_group_is_the_first_group_or_the_match_and_a_name_without_is_alone(
    expression: str, name: str, group: str
) -> None:
    by_name = ByName(SHARES, re.compile(expression))
    assert by_name.group_of(name) == group
    assert by_name.split(name) == split_of(group, SHARES)


def test_without_an_expression_each_name_is_its_own_group() -> None:
    assert ByName(SHARES).group_of("a_1") == "a_1"


def test_training_and_validation_share_out_what_is_theirs() -> None:
    assert ByName((0.6, 0.2, 0.2)).without_test().shares == pytest.approx((0.75, 0.25, 0.0))
    assert ByName((0.0, 0.0, 1.0)).without_test().shares == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "expression", [r"^(\w+?)_\d+$", r"(?:ab){3}", r"[(+*]+\(", r"(\d{3})+", r"^patient-(\d+)-", r"(a|b)_x*"]
)
def test_ordinary_expressions_are_taken(expression: str) -> None:
    check_group(re.compile(expression))
    assert ByName(SHARES, re.compile(expression)).group_of("(+") in ("(+", "(")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (r"(a+)+$", "repeats what repeats already"),
        (r"((a|aa)b?)*$", "repeats what repeats already"),
        (r"(?:x{2,}){3,}", "repeats what repeats already"),
        (r"a*b*c*d*e*", "at most 4"),
        ("a" * 201, "at most 200 characters"),
    ],
)
def test_expressions_that_could_take_for_ever_are_refused(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_group(re.compile(expression))
