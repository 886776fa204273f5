"""The drawings of a benchmark's page, and the words on it."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from i2i.bench.results import Cost, MetricCurve, MetricResult, ReportedMetric, VariantResult
from i2i.bench.statistics import Difference
from i2i.bench.view import words
from i2i.bench.view.drawing import BAR, CHART, SEEDS, Weighed, bars, cost_plot, curves, looks
from i2i.bench.view.pairs import Pair


def row(name, verdict, mean=0.06, **score):
    found = MetricResult(mean=mean, verdict=verdict, **score)
    return VariantResult(name, verdict == "baseline", 1, {"mae": found}, Cost())


def results(*verdicts, better="min"):
    table = [row("base", "baseline")]
    table += [row(name, verdict, 0.05 + 0.001 * i) for i, (name, verdict) in enumerate(verdicts)]
    metrics = [ReportedMetric("mae", better)]
    return SimpleNamespace(metrics=metrics, baseline="base", table=table, status="done", cells=[], copied={})


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


def test_an_unfinished_benchmark_says_so_first():
    found = results(("a", "better"))
    found.status, found.ended, found.cells = "incomplete", 4, [None] * 6
    assert words.answer(found) == "Unfinished: 4 of 6 cells have ended. a beats base on mae."


@pytest.mark.parametrize(
    ("copied", "said"),
    [
        ({"mae": 0.055}, "base is worse than copying the input on mae."),
        ({"mae": 0.0505}, "base and b are worse than copying the input on mae."),
        ({"mae": 0.01}, "All variants are worse than copying the input on mae."),
        ({"mae": 0.07}, ""),
        ({}, ""),
    ],
)
def test_the_answer_names_the_variants_that_are_worse_than_copying_the_input(copied, said):
    found = results(("a", "within noise"), ("b", "within noise"))
    found.copied = copied
    whole = "Within noise on mae: nothing can be told apart from base."
    assert words.answer(found) == f"{whole} {said}".strip()


def test_metrics_on_which_other_variants_are_worse_than_copying_are_told_after_the_first():
    table = [
        VariantResult(name, name == "base", 1, {m: MetricResult(mean=v) for m, v in own.items()}, Cost())
        for name, own in {
            "base": {"mae": 1, "psnr": 9, "ssim": 8},
            "a": {"mae": 3, "psnr": 4, "ssim": 2},
        }.items()
    ]
    found = results()
    found.metrics += [ReportedMetric("psnr", "max"), ReportedMetric("ssim", "max")]
    found.table, found.copied = table, {"mae": 2, "psnr": 10, "ssim": 9}
    said = "a is worse than copying the input on mae; all variants on psnr and ssim."
    assert words.answer(found).endswith(said)


# --- how it was judged ------------------------------------------------------------------------------


def judged(*corrected, needed=None):
    found = results()
    found.table += [
        row(f"v{number}", "within noise", corrected=p, seeds_needed=needed)
        for number, p in enumerate(corrected)
    ]
    return words.how_judged(found)


def test_it_is_said_how_many_comparisons_the_verdicts_allow_for():
    (said,) = judged(0.01, 0.2, 0.3, 0.4)
    assert said == "Verdicts are made at 5 % after Holm's correction over the 4 comparisons of each figure."
    assert judged(0.01) == ["Verdicts are made at 5 %, with one comparison for each figure."]
    assert judged() == judged(None) == []


def test_it_is_said_where_a_difference_is_noise_although_its_interval_leaves_out_zero():
    found = results()
    for number, low in enumerate((0.1, -0.1)):
        away = Difference(0.3, low, 0.5, n=3)
        found.table.append(row(f"v{number}", "within noise", corrected=0.1, difference=away))
    told = "of each figure, so a difference may be within noise whose own interval leaves out zero."
    assert words.how_judged(found)[0].endswith(told)
    del found.table[1]
    assert words.how_judged(found) == ["Verdicts are made at 5 %, with one comparison for each figure."]


def test_it_is_said_what_the_seeds_needed_are_of():
    assert judged(0.1, 0.2, needed=12)[1] == (
        "Seeds needed: to tell a difference of the size found four times in five, at 2.5 % (5 % / 2)."
    )


@pytest.mark.parametrize(("needed", "said"), [(None, ""), (12, "about 12 seeds"), (101, "> 100 seeds")])
def test_seeds_needed_are_about_so_many_or_more_than_anybody_trains(needed, said):
    assert words.seeds_needed(MetricResult(seeds_needed=needed)) == said


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
    ("percent", "said"), [(-6.41, "-0.5 (-6.4 %)"), (0.001, "-0.5 (0.0 %)"), (250.4, "-0.5 (+250 %)")]
)
def test_a_difference_says_how_many_percent_of_the_baseline_it_is(percent, said):
    assert words.difference(Difference(-0.5, None, None, n=1, percent=percent), 1) == said


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


def test_the_time_of_a_step_has_its_deviation_where_that_is_known():
    assert words.duration(0.066, 0.0012) == "66.0 ms ± 1.20 ms"


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


def test_each_seed_is_a_dot_at_its_difference_at_the_same_height_in_every_bar():
    pairs = {
        "a": [Pair(seed, 1.0 - 0.1 * seed, 1.0, "", "") for seed in range(3)],
        "b": [Pair(seed, 1.0 + 0.1 * seed, 1.0, "", "") for seed in (0, 2)],
    }
    table = [row("a", "better", **away(-0.1, -0.3, 0.1)), row("b", "worse", **away(0.1, -0.1, 0.3))]
    found = bars(table, "mae", pairs)
    a, b = found.bars["a"].dots, found.bars["b"].dots
    assert [dot.x for dot in a] == sorted((dot.x for dot in a), reverse=True)
    assert a[0].x == b[0].x == found.zero
    assert (a[0].y, a[2].y) == (b[0].y, b[1].y)
    assert SEEDS.top <= a[0].y < a[1].y < a[2].y <= SEEDS.bottom
    assert a[1].text == "seed 1: 0.9000, baseline 1, -0.1000"


def test_without_any_difference_there_are_no_bars():
    assert bars([row("a", "baseline", difference=None)], "mae").bars == {}


# --- the plot ---------------------------------------------------------------------------------------


def test_every_point_has_the_look_of_its_variant_and_is_inside_the_axes():
    rng = random.Random(4)
    values = {f"variant-{i}": Weighed(rng.uniform(1, 9), rng.uniform(0, 1), 0.01) for i in range(20)}
    found = looks(list(values), "variant-0")
    points = cost_plot("ms", "mae", values, found).points
    assert [point.look for point in points] == list(found.values())
    assert len({(look.colour, look.marker) for look in found.values()}) == 20
    assert all(CHART.left <= point.x <= CHART.right for point in points)
    assert all(CHART.top <= point.high <= point.low <= CHART.bottom for point in points)


def test_a_plot_of_equal_costs_is_none():
    found = looks(["a", "b"], "a")
    assert cost_plot("ms", "mae", {"a": Weighed(1, 0.1), "b": Weighed(1, 0.2)}, found) is None
    assert cost_plot("ms", "mae", {"a": Weighed(1, 0.1)}, found) is None


def test_both_axes_of_a_plot_begin_at_zero_so_that_twice_as_far_is_twice_as_much():
    found = looks(["a", "b"], "a")
    plot = cost_plot("ms", "mae", {"a": Weighed(50, 0.1, 0.01), "b": Weighed(100, 0.2)}, found)
    assert (plot.x_ticks[0], plot.y_ticks[0]) == ((CHART.left, "0"), (CHART.bottom, "0.00"))
    a, b = plot.points
    assert b.x - CHART.left == pytest.approx(2 * (a.x - CHART.left), abs=0.2)
    assert CHART.bottom - b.y == pytest.approx(2 * (CHART.bottom - a.y), abs=0.2)
    assert a.low > a.y > a.high


def test_a_figure_below_zero_is_on_the_plot():
    found = looks(["a", "b"], "a")
    plot = cost_plot("ms", "gap", {"a": Weighed(1, -0.5, 0.1), "b": Weighed(2, 0.2)}, found)
    zero = next(y for y, label in plot.y_ticks if float(label) == 0)
    assert CHART.top < plot.points[1].y < zero < plot.points[0].y < plot.points[0].low < CHART.bottom
    assert cost_plot("ms", "gap", {"a": Weighed(1, -1), "b": Weighed(2, -2)}, found).y_ticks[-1][1] == "0.0"


def test_a_point_reaches_as_far_as_the_deviation_of_its_cost():
    found = looks(["a", "b"], "a")
    plot = cost_plot("ms", "mae", {"a": Weighed(60, 0.1, 0, 6), "b": Weighed(100, 0.2, 0, 150)}, found)
    a, b = plot.points
    assert a.x - a.left == pytest.approx(a.right - a.x, abs=0.2)
    assert (b.left, a.text) == (CHART.left, "a: 0.1000 at 60 ± 6")
    assert b.right < CHART.right


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
