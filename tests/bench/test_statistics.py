"""What may be said of a difference, checked against printed tables and by hand."""

from __future__ import annotations

import math

import pytest

from i2i.bench.statistics import (
    ALPHA,
    MOST_SEEDS,
    bootstrap,
    holm,
    p_value,
    paired_difference,
    seeds_needed,
    spread,
    t_quantile,
    verdict,
)


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
    assert (difference.low, difference.high, difference.p) == (None, None, None)
    assert verdict(difference.mean, difference.p, "min") == "cannot tell"
    assert spread([1.0]).deviation is None


def test_a_difference_that_is_not_finite_has_no_interval_and_no_p_value():
    difference = paired_difference([1e308, 1.0], [-1e308, 1.0])
    assert (difference.low, difference.high, difference.p) == (None, None, None)


def test_a_difference_is_told_in_percent_of_the_baseline():
    assert paired_difference([0.09, 0.19], [0.1, 0.2]).percent == pytest.approx(-100 / 15)
    assert paired_difference([-9.0], [-10.0]).percent == pytest.approx(10)
    assert paired_difference([1.0, 2.0], [-1.0, 1.0]).percent is None


@pytest.mark.parametrize(
    ("t", "degrees", "p"),
    [(12.706, 1, 0.05), (4.303, 2, 0.05), (9.925, 2, 0.01), (2.776, 4, 0.05), (3.250, 9, 0.01)],
)
def test_p_values_are_those_of_the_tables(t, degrees, p):
    n = degrees + 1
    assert p_value(t / math.sqrt(n), 1.0, n) == pytest.approx(p, rel=2e-3)
    assert p_value(-t / math.sqrt(n), 1.0, n) == p_value(t / math.sqrt(n), 1.0, n)


def test_with_three_seeds_the_p_value_is_that_of_the_closed_form():
    difference = paired_difference([2.0, 4.0, 6.0], [1.0, 1.0, 1.0])
    t = 3 / (2 / math.sqrt(3))
    assert difference.p == pytest.approx(1 - t / math.sqrt(t**2 + 2), rel=1e-12)


def test_an_interval_without_zero_and_a_p_value_below_a_twentieth_are_the_same():
    for step in range(1, 60):
        difference = paired_difference([0.1 * step, 0.1 * step + 1, 0.1 * step + 2], [0.0, 0.0, 0.0])
        assert (difference.low > 0) == (difference.p < ALPHA)


def test_equal_runs_have_a_p_value_of_one_and_a_constant_difference_one_of_zero():
    assert paired_difference([0.3, 0.4], [0.3, 0.4]).p == 1.0
    assert paired_difference([1.0, 2.0], [0.5, 1.5]).p == 0.0


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        # by hand: .005 * 4, .01 * 3, .03 * 2, then .04 * 1 is raised to the .06 before it
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.6, 0.001, 0.9], [1.0, 0.003, 1.0]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_p_values_are_corrected_as_holm_does_by_hand(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected)


@pytest.mark.parametrize(
    ("mean", "corrected", "better", "words"),
    [
        (-1.5, 0.01, "min", "better"),
        (-1.5, 0.01, "max", "worse"),
        (1.5, 0.01, "min", "worse"),
        (1.5, 0.01, "max", "better"),
        (1.5, 0.01, None, "differs"),
        (1.5, 0.05, "min", "within noise"),
        (0.5, 0.2, "max", "within noise"),
        (0.0, 1.0, "min", "within noise"),
        (math.nan, None, "min", "cannot tell"),
    ],
)
def test_a_verdict_needs_a_corrected_p_value_below_a_twentieth(mean, corrected, better, words):
    assert verdict(mean, corrected, better) == words


@pytest.mark.parametrize(
    # deviations apart, and the seeds that printed tables give for a paired test with power .8 at 5 %
    ("effect", "seeds"),
    [(0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)],
)
def test_the_seeds_needed_are_about_those_of_the_tables(effect, seeds):
    assert abs(seeds_needed(effect, 1.0, level=0.05) - seeds) <= 1
    assert seeds_needed(-10 * effect, 10.0, level=0.05) == seeds_needed(effect, 1.0, level=0.05)


def test_a_stricter_level_or_a_smaller_difference_needs_more_seeds_up_to_a_limit():
    assert seeds_needed(1.0, 1.0, level=0.05) < seeds_needed(1.0, 1.0, level=0.0125)
    assert seeds_needed(0.01, 1.0, level=0.05) == seeds_needed(0.0, 1.0, level=0.05) == MOST_SEEDS + 1


def test_more_seeds_are_needed_than_there_were_where_they_did_not_tell():
    for n in (2, 3, 5, 10):
        t = 0.999 * t_quantile(n - 1)
        assert seeds_needed(t / math.sqrt(n), 1.0, level=ALPHA) > n


def test_the_bootstrap_brackets_the_mean_and_is_the_same_each_time():
    values = [0.1 * index for index in range(50)]
    low, high = bootstrap(values)
    assert low < 2.45 < high
    assert (low, high) == bootstrap(values)
    assert bootstrap([1.0] * 10) == (1.0, 1.0)
