"""What may be said of a difference, checked against printed tables and by hand."""

from __future__ import annotations

import math

import pytest

from i2i.bench.statistics import Difference, bootstrap, paired_difference, spread, t_quantile, verdict


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_students_quantiles_are_those_of_the_tables(degrees, quantile):
    assert t_quantile(degrees) == pytest.approx(quantile, abs=6e-4)


def test_differences_are_taken_pair_by_pair():
    difference = paired_difference([1.0, 2.0, 3.5], [0.9, 1.9, 3.4])
    assert difference.mean == pytest.approx(0.1)
    assert difference.high - difference.low == pytest.approx(0, abs=1e-9)


def test_an_interval_is_as_wide_as_t_says():
    difference = paired_difference([2.0, 4.0, 6.0], [1.0, 1.0, 1.0])
    reach = 4.3027 * 2.0 / math.sqrt(3)
    assert (difference.low, difference.high) == pytest.approx((3 - reach, 3 + reach), abs=1e-3)


def test_one_seed_cannot_tell():
    difference = paired_difference([1.0], [2.0])
    assert (difference.low, difference.high) == (None, None)
    assert verdict(difference, "min") == "cannot tell"
    assert spread([1.0]).deviation is None


@pytest.mark.parametrize(
    ("low", "high", "better", "words"),
    [
        (-2.0, -1.0, "min", "better"),
        (-2.0, -1.0, "max", "worse"),
        (1.0, 2.0, "min", "worse"),
        (1.0, 2.0, "max", "better"),
        (1.0, 2.0, None, "differs"),
        (-1.0, 2.0, "max", "within noise"),
        (0.0, 0.0, "min", "within noise"),
        (-math.inf, 1.0, "min", "cannot tell"),
        (math.nan, math.nan, "min", "cannot tell"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, better, words):
    assert verdict(Difference((low + high) / 2, low, high, 3), better) == words


def test_the_bootstrap_brackets_the_mean_and_is_the_same_each_time():
    values = [0.1 * index for index in range(50)]
    low, high = bootstrap(values)
    assert low < 2.45 < high
    assert (low, high) == bootstrap(values)
    assert bootstrap([1.0] * 10) == (1.0, 1.0)
