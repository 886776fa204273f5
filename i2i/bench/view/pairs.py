"""Each seed beside its pair: what a variant and the baseline scored with the same seed, joined by a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from i2i.bench.results import CellResult, Results
from i2i.pages.charts import Axis, Box, Tick
from i2i.pages.numbers import short

PANEL = Box(left=50, right=150, top=10, bottom=130)


@dataclass(frozen=True)
class Pair:
    """What a variant and the baseline scored with one seed, and the run folders of both."""

    seed: int
    ours: float
    theirs: float
    our_folder: str
    their_folder: str

    @property
    def told(self) -> str:
        """The pair in words."""
        away = self.ours - self.theirs
        plus = "+" if away > 0 else ""
        return f"seed {self.seed}: {short(self.ours)}, baseline {short(self.theirs)}, {plus}{short(away)}"


def pairs_of(results: Results, metric: str) -> dict[str, list[Pair]]:
    """Return for each variant that has a difference on `metric` its pairs, by seed."""
    cells = {(cell.variant, cell.seed): cell for cell in results.cells if cell.status == "done"}
    found = {}
    for row in results.table:
        if row.metrics[metric].difference is not None:
            seeds = sorted(seed for variant, seed in cells if variant == row.variant)
            both = [(cells[row.variant, seed], cells.get((results.baseline, seed))) for seed in seeds]
            found[row.variant] = [
                pair for ours, theirs in both if theirs and (pair := _pair(ours, theirs, metric))
            ]
    return found


def _pair(ours: CellResult, theirs: CellResult, metric: str) -> Pair | None:
    one, other = ours.metrics.get(metric), theirs.metrics.get(metric)
    if one is None or other is None or not (math.isfinite(one) and math.isfinite(other)):
        return None
    return Pair(ours.seed, one, other, ours.folder, theirs.folder)


@dataclass(frozen=True)
class Joined:
    """A pair as it is drawn: the heights of both dots."""

    pair: Pair
    theirs: float
    ours: float


@dataclass(frozen=True)
class Panel:
    """The pairs of one variant: the baseline's dots stand at `left`, its own at `right`."""

    variant: str
    summary: str
    joined: Sequence[Joined]
    y_ticks: Sequence[Tick]
    left: float = PANEL.left + 18
    right: float = PANEL.right - 18
    box: Box = PANEL
    x_ticks: Sequence[Tick] = ()


def panels(pairs: Mapping[str, Sequence[Pair]], metric: str) -> list[Panel]:
    """Return a panel for each variant with a pair; all of them have the same axis."""
    known = {variant: each for variant, each in pairs.items() if each}
    values = [value for each in known.values() for pair in each for value in (pair.ours, pair.theirs)]
    if not values:
        return []
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    y = Axis(low - air, high + air, PANEL.bottom, PANEL.top)
    return [
        Panel(
            variant=variant,
            summary=f"{metric} of {variant} beside the baseline: {'; '.join(pair.told for pair in each)}.",
            joined=[Joined(pair, y(pair.theirs), y(pair.ours)) for pair in each],
            y_ticks=y.ticks(most=4),
        )
        for variant, each in known.items()
    ]
