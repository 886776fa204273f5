"""Whether the two sides of a data set belong together, as far as their edges tell.

Where an item's source and target show the same thing, edges of one tend to be where edges of the other are.
What all pictures share, such as a dark border, says nothing: so the agreement within items is compared with
that between a source and the targets of all other items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

GRID = 32
"""Edges are told by how many there are in each cell of a grid of so many cells a side."""

MOST = 400
"""Items of a split that are compared, spread evenly."""

FEWEST = 12
"""Items from which on chance is unlikely to make strangers look like pairs."""

FEWEST_STRANGERS = 24
"""Items from which on pairs that agree a little are unlikely to look like strangers."""

TOGETHER = 6.0
"""Standard errors above the agreement of strangers from which on the sides are said to belong together."""

STRANGERS = 2.0
"""Standard errors below which they are said not to."""

TELLING = 0.95
"""The mean correlation between pictures of one side up to which they differ enough to tell anything."""

Edges = NDArray[np.float32]
"""GRID x GRID numbers with the mean 0 and the length 1; all 0 for a picture without edges."""


def edges(image: Tensor) -> Edges:
    """Return where an image (C,H,W) has edges; those of a stack of classes are where the class changes."""
    values = image.to(torch.float32)
    classes = len(values) > 1 and bool((values.sum(0) == 1).all())
    if classes:
        numbers = values.argmax(0)
        down, right = ((numbers.diff(dim=axis) != 0).to(torch.float32) for axis in (0, 1))
    else:
        down, right = (values.diff(dim=axis).abs().mean(0) for axis in (1, 2))
    found = torch.zeros(values.shape[1:])
    found[1:] += down
    found[:, 1:] += right
    grid = interpolate(found[None, None], size=(GRID, GRID), mode="area").flatten()
    grid = grid - grid.mean()
    length = grid.norm()
    shape: Edges = (grid / length if length > 0 else grid).numpy()
    return shape


@dataclass(frozen=True)
class Agreement:
    """How much the edges of both sides agree within items, beyond strangers, in standard errors.

    `telling` says whether the pictures of either side differ enough for that to mean anything.
    """

    items: int
    errors: float
    telling: bool

    @property
    def together(self) -> bool:
        """Whether the sides clearly belong together."""
        return self.telling and self.items >= FEWEST and self.errors > TOGETHER

    @property
    def strangers(self) -> bool:
        """Whether nothing says that they do."""
        return self.telling and self.items >= FEWEST_STRANGERS and self.errors < STRANGERS


def agreement(sources: Sequence[Edges], targets: Sequence[Edges]) -> Agreement:
    """Compare the edges of each source with those of its own target, and with those of all others."""
    count = len(sources)
    if count < FEWEST:
        return Agreement(count, 0.0, telling=False)
    source, target = np.stack(sources), np.stack(targets)
    strangers = ~np.eye(count, dtype=bool)
    telling = all((side @ side.T)[strangers].mean() < TELLING and side.any() for side in (source, target))
    table = source @ target.T
    table = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    others = table[strangers]
    spread = float(others.std())
    gain = float(table.diagonal().mean() - others.mean())
    return Agreement(count, gain / spread * count**0.5 if spread > 0 else 0.0, telling and spread > 0)


@dataclass
class Belonging:
    """Takes the items of one split, and tells what is odd about how its sides belong together.

    `aligned` says whether each target is said to belong to its source.
    """

    aligned: bool
    _edges: list[tuple[Edges, Edges]] = field(default_factory=list)
    _digests: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add(self, digests: tuple[bytes, bytes], both: tuple[Edges, Edges] | None) -> None:
        """Take in an item: digests of source and target, and their edges if they are among those compared."""
        self._digests.append(digests)
        if both:
            self._edges.append(both)

    def remarks(self) -> Iterator[str]:
        """Yield a sentence for each thing that is odd."""
        yield from self._on_both_sides()
        found = agreement([source for source, _ in self._edges], [target for _, target in self._edges])
        if self.aligned and found.strangers:
            yield (
                f"edges of {found.items:,} sources are no more like those of their own targets than like "
                "those of others: where a pair shows the same thing, see whether the files are paired rightly"
            )
        if not self.aligned and found.together:
            yield (
                f"edges of {found.items:,} sources are far more like those of the targets that stand beside "
                'them in order than like those of others: where these are pairs, use = "paired-images" '
                "trains on them as such, and can compare"
            )

    def _on_both_sides(self) -> Iterator[str]:
        count = len(self._digests)
        if self.aligned:
            same = sum(source == target for source, target in self._digests)
            if same:
                yield f"the target is the source, value by value, in {same:,} of {count:,} pairs"
            return
        sources, targets = ({pair[side] for pair in self._digests} for side in (0, 1))
        if same := len(sources & targets):
            yield f"{same:,} of {len(sources):,} sources are among the targets too, value by value"


def is_compared(index: int, count: int) -> bool:
    """Whether the edges of an item are looked at, of so many."""
    return index % -(-count // MOST) == 0
