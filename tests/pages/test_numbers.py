"""Numbers as people read them, and series of any length kept short."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from i2i.pages.numbers import (
    Standings,
    Thinned,
    Trend,
    against_copying,
    beside_copying,
    clock,
    short,
    ticks,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0433, "0.04330"),
        (12.943, "12.94"),
        (0.99996, "1.000"),
        (999.96, "1,000"),
        (54413955, "54,413,955"),
        (12345.6, "12,346"),
        (0, "0"),
        (3.0, "3"),
        (-0.5, "-0.5000"),
        (0.0002, "0.0002000"),
        (3.2e-7, "3.200e-07"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_short_numbers_keep_four_digits(value, text):
    assert short(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.7, "1:00"), (3661, "1:01:01")])
def test_clock_times(seconds, text):
    assert clock(seconds) == text


def test_ticks_are_round_within_the_range_and_few():
    assert ticks(0, 4800) == [
        (0, "0"),
        (1000, "1,000"),
        (2000, "2,000"),
        (3000, "3,000"),
        (4000, "4,000"),
    ]
    assert [label for _, label in ticks(0.043, 0.0605)] == ["0.045", "0.050", "0.055", "0.060"]
    assert [label for _, label in ticks(0, 1, most=4)] == ["0.0", "0.5", "1.0"]


@pytest.mark.parametrize("low", [-3.7, 0.0, 0.001, 980.0])
@pytest.mark.parametrize("span", [1e-6, 0.013, 0.25, 1.0, 7.7, 4e5])
def test_ticks_never_leave_the_range_and_their_labels_are_distinct(low, span):
    marks = ticks(low, low + span)
    assert 2 <= len(marks) <= 5
    assert all(low - span * 1e-6 <= value <= low + span * (1 + 1e-6) for value, _ in marks)
    assert len({label for _, label in marks}) == len(marks)


@pytest.mark.parametrize("limit", [3, 8, 9, 400])
def test_a_thinned_series_keeps_the_first_the_last_and_an_even_spread(limit):
    series = Thinned(limit)
    for item in range(1000):
        series.add(item)
        kept = series.items()
        assert len(kept) == len(series) <= limit
        assert kept[0] == 0
        assert kept[-1] == item
        gaps = [after - before for before, after in pairwise(kept)]
        assert len(set(gaps[:-1])) <= 1
        assert item < limit - 1 or len(kept) >= limit / 2


def test_a_trend_shows_the_whole_way_and_smooths_noise():
    trend = Trend(24)
    assert trend.bars(12) == ""
    for index in range(1000):
        trend.add(1000 - index + (50 if index % 2 else -50))
    bars = trend.bars(12)
    assert len(bars) == 12
    assert bars[0] == "█"
    assert bars[-1] == "▁"
    assert list(bars) == sorted(bars, reverse=True)
    assert trend.now == 51
    assert 1 < trend.smoothed < 20


def test_scores_remember_the_best_in_the_metrics_own_direction():
    scores = Standings({"mae": "min", "psnr": "max"})
    for step, mae, psnr in ((1, 3.0, 20.0), (2, 2.0, 22.0), (3, math.nan, 21.0)):
        scores.add(
            {"step": step, "metrics": {"mae": mae, "psnr": psnr, "other": 1.0}, "copy_input": {"mae": 4.0}}
        )
    by_name = {score.name: score for score in scores}
    assert (by_name["mae"].best, by_name["mae"].best_step, by_name["mae"].copied) == (2.0, 2, 4.0)
    assert (by_name["psnr"].best, by_name["psnr"].last) == (22.0, 21.0)
    assert by_name["other"].best is None


@pytest.mark.parametrize(
    ("value", "copied", "direction", "words"),
    [
        (0.05, 0.06, "min", "beats copying"),
        (0.07, 0.06, "min", "worse than copying"),
        (21.0, 20.0, "max", "beats copying"),
        (19.0, 20.0, "max", "worse than copying"),
        (0.06, 0.06, "min", "as good as copying"),
        (0.060001, 0.06, "min", "as good as copying"),  # both read 0.06000
        (20.0, 20.001, "max", "as good as copying"),
        (math.inf, 20.0, "max", "beats copying"),
        (math.nan, 0.06, "min", None),
        (0.05, math.nan, "min", None),
        (0.05, 0.06, None, None),
        (0.05, None, "min", None),
        (None, 0.06, "min", None),
    ],
)
def test_a_figure_stands_to_copying_in_its_own_direction_and_as_it_reads(value, copied, direction, words):
    assert against_copying(value, copied, direction) == words


def test_the_words_come_with_the_figure_of_copying():
    assert beside_copying("beats copying", 0.0763) == "beats copying (0.07630)"
    assert beside_copying(None, 0.0763) == "copying scores 0.07630"
    assert beside_copying(None, None) == ""


def test_a_validation_is_told_by_how_its_figures_stand_to_copying():
    scores = Standings({"mae": "min", "psnr": "max", "ssim": "max"})
    assert scores.clauses() == []
    metrics = {"mae": 0.1, "psnr": 15.0, "ssim": 0.7, "kid": 1.0}
    scores.add({"step": 5, "metrics": metrics, "copy_input": {"mae": 0.08, "psnr": 14.0, "ssim": 0.8}})
    assert scores.clauses() == [
        ("beats copying", "beats copying the input on psnr"),
        ("worse than copying", "worse than copying the input on mae and ssim"),
    ]
