"""Which class was found where another one is true: the table behind every figure of label maps."""

from __future__ import annotations

import torch
from torch import Tensor


class Confusion:
    """Counts pixels by their true class and the class found there; those of no known class apart.

    Args:
        classes: how many there are, numbered from 0; a true class below 0 is not known.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._table = torch.zeros(classes, classes, dtype=torch.long)
        self._unknown = 0

    def add(self, found: Tensor, truth: Tensor) -> Tensor:
        """Count the pixels of (draws,N,H,W) and their truth (N,H,W); return each image's share found, (N,).

        Images none of whose pixels has a known class get a share that is not a number.
        """
        truth = truth.long().expand(found.shape)
        known = truth >= 0
        places = truth[known] * self._classes + found.long()[known]
        counts = torch.bincount(places.cpu(), minlength=self._classes**2)
        self._table += counts.reshape(self._classes, self._classes)
        self._unknown += int((~known).sum())
        hits = ((found == truth) & known).sum(dim=(0, 2, 3))
        return hits.float() / known.sum(dim=(0, 2, 3))

    @property
    def pixels(self) -> int:
        """How many pixels were counted, of a known class or not."""
        return int(self._table.sum()) + self._unknown

    @property
    def unknown(self) -> float:
        """The share of pixels without a known class."""
        return self._unknown / self.pixels

    def scores(self) -> dict[str, float]:
        """Return the figures of all pixels so far."""
        return scores(self._table)


def scores(table: Tensor) -> dict[str, float]:
    """Return the three figures of a table of pixels (true class, found class), of classes that occur."""
    pixels = table.double()
    hits, true, found = pixels.diagonal(), pixels.sum(dim=1), pixels.sum(dim=0)
    there = true > 0
    return {
        "pixel_accuracy": (hits.sum() / pixels.sum()).item(),
        "class_accuracy": (hits / true)[there].mean().item(),
        "class_iou": (hits / (true + found - hits))[there].mean().item(),
    }
