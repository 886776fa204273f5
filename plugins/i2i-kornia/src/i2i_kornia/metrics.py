"""Metrics of translations as saved, (B,C,H,W) float32 in [0,1]: their colours, and their edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from kornia.color import rgb_to_lab
from kornia.filters import canny
from torch.nn import functional as F

from i2i.errors import DataError
from i2i_kornia.hysteresis import kept
from i2i_kornia.images import as_rgb, check_size

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import Direction


SMALLEST = 3
"""The least side of an image that Canny's Gaussian of 5x5 pixels can mirror."""


def needs_pairs(metric: str) -> Mapping[str, str]:
    """Return the `requires` of a metric that scores each translation beside its own truth."""
    return {
        "pairs": f"kornia/{metric} compares each translation with its own target, and the data has no pairs: "
        "take it out, or take a metric of whole sets, such as kid"
    }


class PerImage:
    """Figures for each image, averaged over the images since `reset`; of several draws the mean.

    A subclass names its `directions` and gives `score`.
    """

    directions: Mapping[str, Direction]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._totals = dict.fromkeys(self.directions, 0.0)
        self._count = 0

    def score(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return each figure of each image, (N,), for (N,C,H,W) twice."""
        raise NotImplementedError

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> Mapping[str, Tensor]:
        """Count a batch in and return the figures of each of its images, (B,)."""
        scores = [self.score(draw, real) for draw in fake.reshape(-1, *real.shape)]
        figures = {name: torch.stack([score[name] for score in scores]).mean(dim=0) for name in scores[0]}
        for name, values in figures.items():
            self._totals[name] += values.sum(dtype=torch.float64).item()
        self._count += len(real)
        return figures

    def compute(self) -> Mapping[str, float]:
        """Return the means over all images since `reset`; raise DataError when there was none."""
        if not self._count:
            raise DataError(f"{', '.join(self.directions)}: there is no image to average over.")
        return {name: total / self._count for name, total in self._totals.items()}


class DeltaE(PerImage):
    """Mean colour difference in CIE Lab (D65): the Euclidean distance (CIE76), averaged over pixels.

    0 is perfect, some 2 is the least that is seen, 100 is black for white. Grey counts as RGB.
    """

    directions: Mapping[str, Direction] = {"delta_e": "min"}
    requires = needs_pairs("delta-e")

    def score(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return the mean distance of each image."""
        one, other = (rgb_to_lab(as_rgb(image, owner="kornia/delta-e")) for image in (fake, real))
        return {"delta_e": torch.linalg.vector_norm(one - other, dim=1).mean(dim=(1, 2))}


class Edges(PerImage):
    """How well the edges of the truth are found again: precision, recall and their harmonic mean, 0 to 1.

    Edges are those of kornia's Canny (1986) on the grey image, after a Gaussian of 5x5 pixels with sigma 1,
    between its two thresholds. `edge_precision` is the part of a translation's edge pixels that lie within
    `tolerance` of one of the truth's, `edge_recall` the part of the truth's within that of the translation's;
    `edge_f` is 2 P R / (P + R). All are 1 where neither has an edge, and 0 where one alone has. Images with a
    side under 3 pixels are refused.

    Args:
        tolerance: how far off an edge may be, in pixels, diagonals counted as 1.
        low: an edge goes on as long as it is steeper than this.
        high: an edge is one if it is steeper than this somewhere; a step from black to white is 2.6.
    """

    directions: Mapping[str, Direction] = {"edge_f": "max", "edge_precision": "max", "edge_recall": "max"}
    requires = needs_pairs("edges")

    def __init__(
        self,
        *,
        tolerance: Annotated[int, Ge(0), Le(64)] = 1,
        low: Annotated[float, Gt(0)] = 0.2,
        high: Annotated[float, Gt(0)] = 0.5,
    ) -> None:
        if low > high:
            raise ValueError("'low' is at most 'high'")
        super().__init__()
        self.tolerance = tolerance
        self.low, self.high = low, high

    def score(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return the three figures of each image."""
        found, true = self._edges(fake), self._edges(real)
        precision, recall = self._near(found, true), self._near(true, found)
        f = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
        return {"edge_f": f, "edge_precision": precision, "edge_recall": recall}

    def _edges(self, image: Tensor) -> Tensor:
        rgb = as_rgb(image, owner="kornia/edges")
        check_size(image, SMALLEST, owner="kornia/edges")
        _, edges = canny(rgb, self.low, self.high, hysteresis=False)
        return kept(edges)

    def _near(self, edges: Tensor, others: Tensor) -> Tensor:
        """Return the part of each image's `edges` that are near `others`, (N,)."""
        reach = F.max_pool2d(others, 2 * self.tolerance + 1, stride=1, padding=self.tolerance)
        count, theirs = edges.sum(dim=(1, 2, 3)), others.sum(dim=(1, 2, 3))
        part = (edges * reach).sum(dim=(1, 2, 3)) / count.clamp(min=1)
        return torch.where((count == 0) & (theirs == 0), 1.0, part)
