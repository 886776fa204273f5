"""Numbers as people read them: short text, clock times, axis ticks, short histories, best values.

Shared by the terminal view and the report. Nothing here is for files that programs read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from i2i.records import Direction

T = TypeVar("T")

Against = Literal["beats copying", "as good as copying", "worse than copying"]
"""How a figure stands to what the input itself would score; in these words wherever a figure is shown."""

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


def against_copying(value: float | None, copied: float | None, direction: Direction | None) -> Against | None:
    """Say how a figure stands to that of copying the input; None where nobody can tell.

    Two figures that read the same, with their four digits, are as good as each other.
    """
    if value is None or copied is None or direction is None or math.isnan(value) or math.isnan(copied):
        return None
    if _as_read(value) == _as_read(copied):
        return "as good as copying"
    return "beats copying" if (value < copied) == (direction == "min") else "worse than copying"


def _as_read(value: float) -> float:
    return float(short(value).replace(",", ""))


def over_seeds(found: Sequence[Against | None]) -> str:
    """Return in words how runs that differ in their seed stand to copying; nothing where any cannot tell.

    Where they do not agree: ``beats copying in 2 of 3 seeds``.
    """
    if not found or None in found:
        return ""
    if len(set(found)) == 1:
        return str(found[0])
    return f"beats copying in {found.count('beats copying')} of {len(found)} seeds"


def beside_copying(against: str | None, copied: float | None) -> str:
    """Return `against` with the figure of copying: ``beats copying (0.07627)``; nothing without a figure."""
    if copied is None:
        return ""
    return f"{against} ({short(copied)})" if against else f"copying scores {short(copied)}"


@dataclass
class Standing:
    """One metric so far: its last value, its best one, and what copying the input scores.

    `direction` says which way is better; without it nothing is called best, or better than copying.
    """

    name: str
    direction: Direction | None
    last: float
    copied: float | None = None
    best: float | None = None
    best_step: int = 0

    @property
    def against(self) -> Against | None:
        """How the last value stands to copying the input."""
        return against_copying(self.last, self.copied, self.direction)

    @property
    def beside(self) -> str:
        """The same in words, with the figure of copying; nothing where it could not be scored."""
        return beside_copying(self.against, self.copied)

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

    def clauses(self) -> list[tuple[Against, str]]:
        """Return how the last validation stands to copying the input, a clause for each way of standing.

        Like ``beats copying the input on psnr`` and ``worse than copying the input on mae and ssim``.
        """
        names: dict[Against, list[str]] = {words: [] for words in get_args(Against)}
        for score in self:
            if score.against:
                names[score.against].append(score.name)
        return [(words, f"{words} the input on {listed(own)}") for words, own in names.items() if own]

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standings.values())

    def __len__(self) -> int:
        return len(self._standings)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: ``mae``, ``mae and ssim``, ``mae, psnr and ssim``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
