"""Numbers as people read them: short text, clock times, axis ticks, short histories, best values.

Shared by the terminal view and the report. Nothing here is for files that programs read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from i2i.records import Direction

T = TypeVar("T")

BARS = "▁▂▃▄▅▆▇█"


def short(value: float) -> str:
    """Return `value` with 4 significant digits: ``0.04330``, ``12.94``, ``54,413,955``.

    Whole numbers are written out, digits before the point are never rounded away, and only what is
    smaller than 0.00001 or not below 1e12 gets an exponent.
    """
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.4g}")
    size = abs(rounded)
    if size and not 1e-5 <= size < 1e12:
        return f"{value:.3e}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{3 - math.floor(math.log10(size))}f}"


def clock(seconds: float) -> str:
    """Return a length of time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ticks(low: float, high: float, *, most: int = 5) -> list[tuple[float, str]]:
    """Return at most `most` round values within [low, high], each with its label.

    Steps are 1, 2, 2.5 or 5 times a power of ten. Needs low < high.
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (factor == 2.5))
    return [(index * step, f"{index * step:,.{digits}f}") for index in range(first, last + 1)]


class Thinned(Generic[T]):
    """At most `limit` items of a series of any length: the first, the last, and evenly spread ones.

    Every `stride`-th item is kept; when they become too many, the stride doubles. What is kept depends
    on the number of items alone, so the same series always gives the same picture.

    Args:
        limit: The most items that are ever held, at least 3.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stride = 1
        self._count = 0
        self._kept: list[T] = []
        self._last: list[T] = []

    def add(self, item: T) -> None:
        """Append one item."""
        if self._count % self._stride == 0:
            self._kept.append(item)
            self._last = []
        else:
            self._last = [item]
        self._count += 1
        if len(self._kept) == self._limit:
            self._last = [item] if self._limit % 2 == 0 else []
            self._kept = self._kept[::2]
            self._stride *= 2

    def items(self) -> list[T]:
        """Return what is kept, in order; the last one is always the last that was added."""
        return self._kept + self._last

    def __len__(self) -> int:
        return len(self._kept) + len(self._last)


class Trend:
    """The latest value of a noisy series, its moving average, and how that went from the beginning.

    Args:
        limit: How many points of the moving average are held.
        memory: The weight of the average so far when a value comes in.
    """

    def __init__(self, limit: int, *, memory: float = 0.9) -> None:
        self.now = self.smoothed = math.nan
        self._memory = memory
        self._history: Thinned[float] = Thinned(limit)

    def add(self, value: float) -> None:
        """Take the next value."""
        self.now = value
        if math.isnan(self.smoothed):
            self.smoothed = value
        self.smoothed = self._memory * self.smoothed + (1 - self._memory) * value
        self._history.add(self.smoothed)

    def bars(self, width: int) -> str:
        """Return the moving average as a row of at most `width` little bars."""
        points = self._history.items()
        count = min(width, len(points))
        points = [points[(index + 1) * len(points) // count - 1] for index in range(count)]
        low, high = min(points, default=0.0), max(points, default=0.0)
        if not 0 < high - low < math.inf:
            return BARS[0] * count
        return "".join(BARS[round((point - low) / (high - low) * (len(BARS) - 1))] for point in points)


@dataclass
class Standing:
    """One metric so far: its last value, its best one, and what copying the input scores.

    `direction` says which way is better; without it nothing is called best.
    """

    name: str
    direction: Direction | None
    last: float
    copied: float | None = None
    best: float | None = None
    best_step: int = 0

    def take(self, step: int, value: float, copied: float | None) -> None:
        """Make `value` the last one, and the best one if it is."""
        self.last, self.copied = value, copied
        if self.direction is None or math.isnan(value):
            return
        gain = -value if self.direction == "min" else value
        if self.best is None or gain > (-self.best if self.direction == "min" else self.best):
            self.best, self.best_step = value, step


class Standings:
    """All metrics of the validations so far; iterating gives one `Standing` for each."""

    def __init__(self, directions: Mapping[str, Direction]) -> None:
        self.step = 0
        self._directions = directions
        self._standings: dict[str, Standing] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one ``"kind": "val"`` object of metrics.jsonl."""
        self.step = record["step"]
        copied = record.get("copy_input") or {}
        for name, value in record["metrics"].items():
            score = self._standings.setdefault(name, Standing(name, self._directions.get(name), value))
            score.take(self.step, value, copied.get(name))

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standings.values())

    def __len__(self) -> int:
        return len(self._standings)
