"""The drawings of a benchmark's page, and the words on it."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from i2i.bench.results import Cost, MetricCurve, MetricResult, ReportedMetric, VariantResult
from i2i.bench.statistics import Difference
from i2i.bench.view import words
from i2i.bench.view.drawing import BAR, CHART, bars, cost_plot, curves, looks


def row(name, verdict, mean=0.06, **score):
    found = MetricResult(mean=mean, verdict=verdict, **score)
    return VariantResult(name, verdict == "baseline", 1, {"mae": found}, Cost())


def results(*verdicts, better="min"):
    table = [row("base", "baseline")]
    table += [row(name, verdict, 0.05 + 0.001 * i) for i, (name, verdict) in enumerate(verdicts)]
    return SimpleNamespace(metrics=[ReportedMetric("mae", better)], baseline="base", table=table)


# --- the answer in words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([("a", "better")], "a beats base on mae."),
        (
            [("a", "better"), ("b", "within noise"), ("c", "within noise")],
            "a beats base on mae; 2 others are within noise.",
        ),
        ([("a", "better"), ("b", "better"), ("c", "worse")], "a and b beat base on mae; c is worse."),
        ([(name, "better") for name in "abcde"], "a, b and 3 others beat base on mae."),
        (
            [("a", "worse"), ("b", "within noise")],
            "Nothing beats base on mae; a is worse; b is within noise.",
        ),
        ([("a", "worse"), ("b", "worse")], "base beats a and b on mae."),
        ([("a", "within noise")] * 2, "Within noise on mae: nothing can be told apart from base."),
        ([("a", "cannot tell")], "With these runs nothing can be told apart from base on mae."),
        ([("a", "better"), ("b", "cannot tell")], "a beats base on mae; b is not to be told apart."),
        ([("a", "differs")], "a differs from base on mae."),
        ([], "There is nothing to compare base with."),
    ],
)
def test_the_answer_is_made_of_verdicts(verdicts, said):
    assert words.answer(results(*verdicts)) == said


def test_a_variant_without_figures_is_named():
    found = results(("a", "better"))
    found.table.append(row("b", "cannot tell", None))
    assert words.answer(found) == "a beats base on mae; b has no figure."


def test_a_better_mean_within_noise_is_not_said_to_win():
    found = results(("a", "within noise"))
    found.table[1] = row("a", "within noise", 0.0001)
    assert "beats" not in words.answer(found)


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "deviations", "said"),
    [
        ([0.0612, 0.0598], [0.0011, 0.0009], "0.0612 ± 0.0011"),
        ([21.513, 22.0], [0.12, 0.2], "21.51 ± 0.12"),
        ([154.31, 170.2], [12.0, 9.0], "154 ± 12"),
        ([0.06123], [None], "0.06123"),
        ([1e30], [None], "1.00e+30"),
        ([0.5], [1e-9], "0.50000 ± 0.000000001"),
    ],
)
def test_a_mean_has_as_many_digits_as_its_deviation_makes_sense_of(means, deviations, said):
    assert words.measured(means[0], deviations[0], words.places(means, deviations)) == said


def test_differences_have_signs_but_a_zero_has_none():
    away = Difference(-0.002, -0.004, 0.00001, n=3)
    assert words.difference(away, 3) == "-0.002 [-0.004, 0.000]"
    assert words.difference(Difference(-0.002, None, None, n=1), 3) == "-0.002"
    assert words.difference(None, 3) == words.NOTHING


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (999, "999"),
        (2_768, "2.77 k"),
        (54_413_955, "54.4 M"),
        (1.23e10, "12.3 G"),
        (4e15, "4,000 T"),
    ],
)
def test_large_numbers_are_short(value, said):
    assert words.compact(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.066, "66.0 ms"), (0.9, "900 ms"), (1.234, "1.23 s"), (20.0, "20 s")]
)
def test_the_time_of_a_step_has_its_unit(seconds, said):
    assert words.duration(seconds) == said


# --- intervals --------------------------------------------------------------------------------------


def away(mean, low=None, high=None):
    return {"difference": Difference(mean, low, high, n=3)}


def test_bars_share_a_scale_with_zero_in_the_middle():
    table = [row("a", "better", **away(-2.0, -3.0, -1.0)), row("b", "worse", **away(1.0, 0.5, 1.5))]
    found = bars(table, "mae")
    assert found.zero == (BAR.left + BAR.right) / 2
    a, b = found.bars["a"], found.bars["b"]
    assert a.interval[0] < a.mean < a.interval[1] < found.zero < b.interval[0] < b.mean < b.interval[1]
    assert found.zero - a.mean == pytest.approx(2 * (b.mean - found.zero), abs=0.2)
    assert a.cut == b.cut == (False, False)


def test_one_wide_interval_is_cut_so_that_the_others_can_be_seen():
    table = [row(f"v{i}", "better", **away(-1.0, -1.2, -0.8)) for i in range(4)]
    table.append(row("wide", "within noise", **away(1.0, -400.0, 402.0)))
    found = bars(table, "mae").bars
    assert found["wide"].interval == (BAR.left, BAR.right)
    assert found["wide"].cut == (True, True)
    assert found["v0"].interval[1] - found["v0"].interval[0] > 5


def test_a_difference_of_one_seed_has_a_place_but_no_interval():
    found = bars([row("a", "cannot tell", **away(0.5)), row("b", "cannot tell", **away(0.0))], "mae")
    assert found.bars["a"].interval is None
    assert found.zero < found.bars["a"].mean < BAR.right
    assert found.bars["b"].mean == found.zero


def test_without_any_difference_there_are_no_bars():
    assert bars([row("a", "baseline", difference=None)], "mae").bars == {}


# --- the plot ---------------------------------------------------------------------------------------


def test_every_point_has_the_look_of_its_variant_and_is_inside_the_axes():
    rng = random.Random(4)
    values = {f"variant-{i}": (rng.uniform(1, 9), rng.uniform(0, 1), 0.01) for i in range(20)}
    found = looks(list(values), "variant-0")
    points = cost_plot("ms", "mae", values, found).points
    assert [point.look for point in points] == list(found.values())
    assert len({(look.colour, look.marker) for look in found.values()}) == 20
    assert all(CHART.left <= point.x <= CHART.right for point in points)
    assert all(CHART.top <= point.high <= point.low <= CHART.bottom for point in points)


def test_a_plot_of_equal_costs_is_none_and_a_wide_range_is_logarithmic():
    found = looks(["a", "b", "c"], "a")
    assert cost_plot("ms", "mae", {"a": (1, 0.1, 0), "b": (1, 0.2, 0)}, found) is None
    assert cost_plot("ms", "mae", {"a": (1, 0.1, 0)}, found) is None
    plot = cost_plot("ms", "mae", {"a": (1, 0.1, 0.01), "b": (10, 0.2, 0), "c": (100, 0.1, 0)}, found)
    a, b, c = (point.x for point in plot.points)
    assert b - a == pytest.approx(c - b, abs=0.2)
    assert [label for _, label in plot.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert plot.points[0].low > plot.points[0].y > plot.points[0].high


# --- curves -----------------------------------------------------------------------------------------


def curve(mean, steps=None):
    steps = steps or [100 * (i + 1) for i in range(len(mean))]
    return {"mae": MetricCurve(steps, mean, [v and v - 0.01 for v in mean], mean)}


METRIC = ReportedMetric("mae", "min")


def heights(series):
    return [float(point.split(",")[1]) for point in series.line.split()]


def test_the_baseline_is_drawn_last_on_top_of_the_others():
    chart = curves(METRIC, {"a": curve([0.3, 0.2]), "b": curve([0.4, 0.3])}, looks(["a", "b"], "a"), None)
    assert [series.look.name for series in chart.series] == ["b", "a"]
    assert chart.moments[0].text == "step 100\na: 0.3000\nb: 0.4000"


def test_a_variant_that_went_astray_does_not_flatten_the_others():
    found = {f"v{i}": curve([0.5 - 0.01 * i - 0.02 * k for k in range(8)]) for i in range(5)}
    found["astray"] = curve([0.5, 0.6] + [1e6] * 1 + [0.6] * 5)
    chart = curves(METRIC, found, looks(list(found), "v0"), None)
    own = {series.look.name: heights(series) for series in chart.series}
    assert max(own["v0"]) - min(own["v0"]) > 20
    assert min(own["astray"]) < CHART.top


def test_points_that_are_not_known_are_left_out():
    chart = curves(METRIC, {"a": curve([0.3, None, 0.2])}, looks(["a"], "a"), None)
    assert len(heights(chart.series[0])) == 2
    assert curves(METRIC, {"a": curve([0.3])}, looks(["a"], "a"), None) is None


def test_a_variant_without_a_curve_is_left_out():
    found = looks(["a", "b", "c", "d"], "a")
    chart = curves(METRIC, {"a": curve([0.3, 0.2]), "b": curve([]), "c": {}}, found, None)
    assert [series.look.name for series in chart.series] == ["a"]


def test_copying_the_input_is_drawn_where_it_is_near():
    found = {"a": curve([0.3, 0.2])}
    assert curves(METRIC, found, looks(["a"], "a"), 0.25).copied is not None
    assert curves(METRIC, found, looks(["a"], "a"), 9.0).copied is None


def test_long_curves_are_thinned_and_keep_their_end():
    chart = curves(METRIC, {"a": curve([1 / (i + 1) for i in range(5000)])}, looks(["a"], "a"), None)
    line = chart.series[0].line.split()
    assert len(line) < 200
    assert float(line[-1].split(",")[0]) == CHART.right
    assert len(chart.series[0].markers) <= 9
