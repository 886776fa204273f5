"""The drawings of a benchmark's page: intervals against zero, quality over cost, curves with bands.

A variant looks the same in all of them: a colour that people who see few colours can tell, a dash and a
marker of its own. Values that are out of all proportion are cut at the edge, and marked there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

from i2i.bench.results import MetricCurve, MetricResult, ReportedMetric, VariantResult
from i2i.bench.view.pairs import Pair
from i2i.pages.charts import Axis, Box, Tick, strips, with_air
from i2i.pages.numbers import Thinned, short

COLOURS, DASHES, MARKERS = 6, 5, 7  # that the template knows, the baseline's own aside
MOST_POINTS = 160  # of a curve
MOST_MARKERS = 7  # on a curve, so that lines which cross can be told apart
MOST_READINGS = 60


@dataclass(frozen=True)
class Look:
    """How a variant is drawn: the numbers of its colour, dash and marker; 0 is the baseline's."""

    number: int
    name: str
    colour: int
    dash: int
    marker: int


def looks(names: Sequence[str], baseline: str) -> dict[str, Look]:
    """Return a look for each variant; neighbours differ in all three."""
    found = {baseline: Look(0, baseline, 0, 0, 0)}
    for index, name in enumerate(name for name in names if name != baseline):
        found[name] = Look(index + 1, name, 1 + index % COLOURS, index % DASHES, 1 + index % MARKERS)
    return {name: found[name] for name in names}


# --- intervals --------------------------------------------------------------------------------------

BAR = Box(left=8, right=172, top=4, bottom=20)
SEEDS = Box(left=8, right=172, top=25, bottom=37)  # below the bar


@dataclass(frozen=True)
class Dot:
    """The difference of one seed: where, and what it is of. A seed has the same height in every bar."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A difference against zero: its mean, its interval, and that of the images, in the units of BAR.

    An interval that goes on beyond the edge is `cut` there. `dots` are its seeds.
    """

    mean: float
    interval: tuple[float, float] | None
    images: tuple[float, float] | None
    cut: tuple[bool, bool]
    dots: Sequence[Dot] = ()


@dataclass(frozen=True)
class Bars:
    """The differences of one metric on a common scale, by variant, and where zero is."""

    zero: float
    bars: Mapping[str, Bar]


def bars(
    table: Sequence[VariantResult], metric: str, pairs: Mapping[str, Sequence[Pair]] = MappingProxyType({})
) -> Bars:
    """Return a bar for each variant that has a difference; zero is in the middle."""
    found = {row.variant: row.metrics[metric] for row in table}
    aways = [result.difference for result in found.values() if result.difference]
    means = [abs(away.mean) for away in aways]
    over_images = [result.images for result in found.values() if result.difference and result.images]
    ends = [abs(end) for away in aways for end in (away.low, away.high) if end is not None]
    ends += [abs(end) for interval in over_images for end in (interval.low, interval.high)]
    # One interval from two seeds can be a hundred times as wide as the others.
    usual = max(3 * max(means, default=0.0), 2 * median(ends or [0.0]))
    reach = 1.08 * min(max(means + ends, default=0.0), usual) or 1.0
    axis = Axis(-reach, reach, BAR.left, BAR.right)
    seeds = sorted({pair.seed for each in pairs.values() for pair in each})
    drawn = {name: _bar(result, axis, pairs.get(name, ()), seeds) for name, result in found.items()}
    return Bars(axis(0.0), {name: bar for name, bar in drawn.items() if bar})


def _bar(result: MetricResult, axis: Axis, pairs: Sequence[Pair], seeds: Sequence[int]) -> Bar | None:
    away, images = result.difference, result.images
    if away is None:
        return None

    def at(value: float) -> float:
        return min(max(axis(value), BAR.left), BAR.right)

    over_images = None if images is None else (at(images.low), at(images.high))
    height = Axis(0, max(len(seeds) - 1, 1), SEEDS.top, SEEDS.bottom)
    dots = [Dot(at(pair.ours - pair.theirs), height(seeds.index(pair.seed)), pair.told) for pair in pairs]
    if away.low is None or away.high is None:
        return Bar(at(away.mean), None, over_images, (False, False), dots)
    cut = away.low < axis.low, away.high > axis.high
    return Bar(at(away.mean), (at(away.low), at(away.high)), over_images, cut, dots)


# --- quality over cost ------------------------------------------------------------------------------

CHART = Box(left=52, right=436, top=12, bottom=226)


class Weighed(NamedTuple):
    """What one variant costs and what it scores, each with its deviation."""

    cost: float
    mean: float
    deviation: float = 0.0
    cost_deviation: float = 0.0


@dataclass(frozen=True)
class Point:
    """A variant in the plot: where, and how far its deviations reach: up and down, left and right."""

    look: Look
    x: float
    y: float
    low: float
    high: float
    left: float
    right: float
    text: str


@dataclass(frozen=True)
class Plot:
    """Quality over one cost."""

    title: str
    summary: str
    points: Sequence[Point]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    box: Box = CHART


def cost_plot(
    title: str, metric: str, values: Mapping[str, Weighed], found: Mapping[str, Look]
) -> Plot | None:
    """Return a plot of each variant's cost and score; None where there is nothing to weigh up.

    Both axes begin at 0, so that twice as far is twice as much. Points have no names beside them, which would
    cover each other: the legend tells their looks.
    """
    costs = [each.cost for each in values.values()]
    if len(values) < 2 or min(costs) == max(costs):
        return None
    x = _from_zero([(each.cost, each.cost_deviation) for each in values.values()], CHART.left, CHART.right)
    y = _from_zero([(each.mean, each.deviation) for each in values.values()], CHART.bottom, CHART.top)
    told = [f"{name} {short(each.mean)} at {short(each.cost)}" for name, each in values.items()]
    return Plot(
        title=title,
        summary=f"{metric} over {title}: {'; '.join(told)}.",
        points=[
            Point(
                look=found[name],
                x=x(each.cost),
                y=y(each.mean),
                low=y(max(each.mean - each.deviation, y.low)),
                high=y(each.mean + each.deviation),
                left=x(max(each.cost - each.cost_deviation, x.low)),
                right=x(each.cost + each.cost_deviation),
                text=f"{name}: {_spread(each.mean, each.deviation)} at "
                f"{_spread(each.cost, each.cost_deviation)}",
            )
            for name, each in values.items()
        ],
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
    )


def _from_zero(values: Sequence[tuple[float, float]], start: float, end: float) -> Axis:
    """Return an axis with all of the values and their deviations on it, and 0."""
    ends = [0.0, *(value + side * deviation for value, deviation in values for side in (-1, 1))]
    low, high = min(ends), max(ends)
    if all(value >= 0 for value, _ in values):
        low = 0.0
    air = 0.06 * (high - low) or 1.0
    return Axis(low - air if low < 0 else 0.0, high + air if high > 0 else 0.0, start, end)


def _spread(value: float, deviation: float) -> str:
    return f"{short(value)} ± {short(deviation)}" if deviation else short(value)


# --- curves -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """One variant's curve: the mean, the band from the lowest to the highest seed, and its markers."""

    look: Look
    line: str
    band: str
    markers: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Moment:
    """A strip that the pointer finds, with what all variants had there."""

    left: float
    width: float
    x: float
    text: str


@dataclass(frozen=True)
class Curves:
    """One metric over steps, for all variants; `copied` is what copying the input scores."""

    title: str
    better: str | None
    summary: str
    series: Sequence[Series]
    moments: Sequence[Moment]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    copied: float | None
    box: Box = CHART


Knot = tuple[int, float, float, float]
"""Step, mean, lowest and highest."""


def curves(
    metric: ReportedMetric,
    by_variant: Mapping[str, Mapping[str, MetricCurve]],
    found: Mapping[str, Look],
    copied: float | None,
) -> Curves | None:
    """Return the chart of one metric, or None when no variant has two points."""
    name = metric.name
    lines = {
        variant: knots
        for variant in found
        if len(knots := _knots(by_variant.get(variant, {}).get(name, MetricCurve()))) > 1
    }
    if not lines:
        return None
    low, high = _usual([value for knots in lines.values() for _, *values in knots for value in values])
    if copied is not None and low - 0.4 * (high - low) <= copied <= high + 0.4 * (high - low):
        low, high = min(low, copied), max(high, copied)
    elif copied is not None:
        copied = None
    x = Axis(0, max(knots[-1][0] for knots in lines.values()) or 1, CHART.left, CHART.right)
    y = Axis(*with_air(low, high), CHART.bottom, CHART.top)
    # The baseline is drawn last, on top of the others.
    order = sorted(lines, key=lambda variant: found[variant].number, reverse=True)
    ends = ", ".join(f"{variant} {short(knots[-1][1])}" for variant, knots in lines.items())
    return Curves(
        title=name,
        better=metric.better,
        summary=f"{name} over steps, for each variant; at the end: {ends}.",
        series=[_series(found[variant], lines[variant], x, y) for variant in order],
        moments=_moments(lines, x),
        x_ticks=x.whole_ticks(),
        y_ticks=y.ticks(),
        copied=None if copied is None else y(copied),
    )


def _knots(curve: MetricCurve) -> list[Knot]:
    """Return the points that have all their values, thinned."""
    kept: Thinned[Knot] = Thinned(MOST_POINTS)
    for step, mean, low, high in zip(curve.steps, curve.mean, curve.low, curve.high, strict=True):
        if mean is not None and low is not None and high is not None:
            kept.add((step, mean, low, high))
    return kept.items()


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of `values`, but for what lies far outside that of nine tenths of them."""
    ordered = sorted(values)
    twentieth = len(ordered) // 20
    low, high = ordered[twentieth], ordered[-1 - twentieth]
    air = 1.5 * (high - low) or abs(high)
    return max(ordered[0], low - air), min(ordered[-1], high + air)


def _series(look: Look, knots: Sequence[Knot], x: Axis, y: Axis) -> Series:
    def inside(value: float) -> float:
        return min(max(y(value), CHART.top - 8), CHART.bottom + 8)  # clipped there by the drawing

    points = [(x(step), inside(mean)) for step, mean, _, _ in knots]
    wide = any(low < high for _, _, low, high in knots)
    edge = [(x(step), inside(high)) for step, _, _, high in knots]
    edge += [(x(step), inside(low)) for step, _, low, _ in reversed(knots)]
    every = max(1, round(len(points) / MOST_MARKERS))
    first = look.number % every
    return Series(
        look=look,
        line=_path(points),
        band=_path(edge) if wide else "",
        markers=[(across, up) for across, up in points[first::every] if CHART.top <= up <= CHART.bottom],
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _moments(lines: Mapping[str, Sequence[Knot]], x: Axis) -> list[Moment]:
    steps: Thinned[int] = Thinned(MOST_READINGS)
    values = {variant: {step: mean for step, mean, _, _ in knots} for variant, knots in lines.items()}
    for step in sorted({step for found in values.values() for step in found}):
        steps.add(step)
    places = [x(step) for step in steps.items()]
    return [
        Moment(
            left,
            width,
            at,
            "\n".join(
                [f"step {step:,}"]
                + [f"{variant}: {short(found[step])}" for variant, found in values.items() if step in found]
            ),
        )
        for (left, width), at, step in zip(
            strips(places, CHART.left, CHART.right), places, steps.items(), strict=True
        )
    ]
