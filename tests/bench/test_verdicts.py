"""Which differences of a table are told from noise, once it is counted how many were looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2i.bench.outcomes import RunOutcome
from i2i.bench.results import ReportedMetric
from i2i.bench.statistics import ALPHA, seeds_needed
from i2i.bench.tabulate import tabulate
from i2i.bench.verdicts import judged

MAE, PSNR = ReportedMetric("mae", "min"), ReportedMetric("psnr", "max")


def rows(differences, metrics=(MAE,)):
    """Return a table of the baseline and of variants with these paired differences, by seed."""
    figures = {"base": [0.1, 0.2, 0.3], **differences}
    base = figures["base"]
    outcomes = []
    for name, own in figures.items():
        for seed, value in enumerate(own):
            mae = value if name == "base" else base[seed] + value
            metrics_of = {"mae": mae, "psnr": 1.0 + 0.1 * seed}
            outcomes.append(RunOutcome(name, seed, Path(name), "done", metrics=metrics_of))
    table = tabulate(outcomes, variants=list(figures), baseline="base", metrics=metrics)
    return {row.variant: row.metrics["mae"] for row in table}


# Of these three seeds t is 4.7 and p is .042: alone it is told from noise, among four it is not.
MAYBE = [-0.0063, -0.0042, -0.0029]
NOTHING = [0.001, -0.001, 0.0005]
SURE = [-0.0100, -0.0101, -0.0102]


def test_what_one_comparison_tells_four_do_not():
    alone = rows({"maybe": MAYBE})["maybe"]
    assert (alone.verdict, alone.corrected) == ("better", alone.difference.p)
    among = rows({"maybe": MAYBE, "b": NOTHING, "c": NOTHING, "d": NOTHING})["maybe"]
    assert among.difference == alone.difference
    assert among.difference.high < 0
    assert among.corrected == pytest.approx(4 * alone.difference.p)
    assert among.verdict == "within noise"


def test_a_difference_that_is_clear_survives_and_makes_the_next_ones_threshold_milder():
    found = rows({"maybe": MAYBE, "sure": SURE})
    assert found["sure"].verdict == "better"
    assert found["maybe"].verdict == "better"  # .042 times one, as the smaller one was taken out
    assert found["maybe"].corrected == pytest.approx(found["maybe"].difference.p)


def test_each_figure_is_a_family_of_its_own():
    one, two = rows({"maybe": MAYBE}), rows({"maybe": MAYBE}, metrics=(MAE, PSNR))
    assert one["maybe"] == two["maybe"]


def test_variants_without_an_interval_are_not_counted():
    found = rows({"maybe": MAYBE, "one seed": [-0.004]})
    assert found["maybe"].verdict == "better"
    assert (found["one seed"].verdict, found["one seed"].corrected) == ("cannot tell", None)


def test_what_is_within_noise_says_how_many_seeds_it_needs_at_the_level_of_the_smallest_p_value():
    found = rows({"a": MAYBE, "b": NOTHING, "c": NOTHING, "d": NOTHING})
    away = found["a"].difference
    assert found["a"].seeds_needed == seeds_needed(away.mean, away.deviation, level=ALPHA / 4)
    assert 3 < found["a"].seeds_needed < found["b"].seeds_needed
    assert rows({"sure": SURE})["sure"].seeds_needed is None


def test_a_table_from_which_differences_were_withheld_is_judged_anew():
    metrics = [MAE]
    outcomes = [
        RunOutcome(name, seed, Path(name), "done", metrics={"mae": 0.1 * seed + away[seed]})
        for name, away in {"base": [0.0] * 3, "maybe": MAYBE, "other": NOTHING}.items()
        for seed in range(3)
    ]
    table = tabulate(outcomes, variants=["base", "maybe", "other"], baseline="base", metrics=metrics)
    assert {row.variant: row.metrics["mae"].verdict for row in table}["maybe"] == "within noise"
    withheld = [
        replace(row, metrics={"mae": replace(row.metrics["mae"], difference=None)})
        if row.variant == "other"
        else row
        for row in table
    ]
    found = {row.variant: row.metrics["mae"] for row in judged(withheld, metrics)}
    assert found["base"].verdict == "baseline"
    assert found["maybe"].verdict == "better"
    assert (found["other"].verdict, found["other"].seeds_needed) == ("cannot tell", None)
