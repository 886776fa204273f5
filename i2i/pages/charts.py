"""The geometry of charts: where a value stands in a drawing, round ticks, places that the pointer finds.

Drawings are SVG, in units of their own, y downwards; templates/charts.html.j2 turns these records into
elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from i2i.pages.numbers import ticks

Tick = tuple[float, str]


@dataclass(frozen=True)
class Box:
    """The area of a chart where the curves are; ticks and labels stand around it."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` laid out from `start` to `end`, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return where `value` stands."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, *, most: int = 5) -> list[Tick]:
        """Return where at most `most` round values stand, with their labels."""
        found = _powers(self.low, self.high) if self.log else ticks(self.low, self.high, most=most)
        return [(self(value), label) for value, label in found]

    def whole_ticks(self) -> list[Tick]:
        """Return those ticks that are whole numbers: an axis of steps has no others."""
        found = ticks(self.low, self.high)
        return [(self(value), label) for value, label in found if value == int(value)]


@dataclass(frozen=True)
class Reading:
    """A place that the pointer can find: a strip of the chart, and the point and value it stands for."""

    left: float
    width: float
    x: float
    y: float
    text: str


def with_air(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis for values within [low, high]: from 0 where that is near, else some air."""
    air = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    bottom = 0.0 if 0 <= low <= 0.35 * high else low - air
    return bottom, high + air


def strips(places: Sequence[float], left: float, right: float) -> list[tuple[float, float]]:
    """Cut [left, right] halfway between `places`, in order; return where each strip begins, and its width."""
    edges = [left, *((a + b) / 2 for a, b in pairwise(places)), right]
    return [(round(a, 1), round(b - a, 1)) for a, b in pairwise(edges)]


def _powers(low: float, high: float) -> list[Tick]:
    """Return 1, 2 and 5 times each power of ten within [low, high], or the powers alone where those do."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 200 * low else (1,)
    values = (factor * 10.0**power for power in powers for factor in factors)
    return [(value, f"{value:,.12g}") for value in values if low <= value <= high]
