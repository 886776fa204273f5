"""The held-out images that score worst: kept while a split is scored, so that nothing is translated twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from i2i.records import Batch, Direction


@dataclass(frozen=True)
class ScoredImage:
    """One image as it was scored: its figure, and its pictures (C,H,W) in [-1,1], the answer's first draw."""

    id: str
    value: float
    source: Tensor
    fake: Tensor
    target: Tensor


class Worst:
    """Watches a scoring and keeps the images that are worst by the first figure that each image has.

    An image whose figure is not a number is worse than all others.

    Args:
        count: The most images that are held at any time.
        directions: For each figure which way is better; one without is never chosen.
    """

    def __init__(self, count: int, directions: Mapping[str, Direction]) -> None:
        self.figure: str | None = None
        self.images: list[ScoredImage] = []
        """From the worst on."""
        self._count, self._directions = count, directions

    def __call__(self, batch: Batch, fake: Tensor, figures: Mapping[str, Sequence[float]]) -> None:
        """Take a batch, its answers (B,C,H,W) and each figure of its images, (B,)."""
        if self.figure is None:
            self.figure = next((name for name in figures if name in self._directions), None)
        if self.figure is None:
            return
        for index, value in enumerate(figures[self.figure]):
            if len(self.images) == self._count and self._rank(value) <= self._rank(self.images[-1].value):
                continue
            source, answer, target = (side[index].clone() for side in (batch.source, fake, batch.target))
            self.images.append(ScoredImage(batch.ids[index], value, source, answer, target))
            self.images.sort(key=lambda image: self._rank(image.value), reverse=True)
            del self.images[self._count :]

    def _rank(self, value: float) -> float:
        """Return a number that is the larger, the worse an image is."""
        if math.isnan(value):
            return math.inf
        return value if self._directions.get(self.figure or "") == "min" else -value
