"""Histogram intersection in Lab: do translations use the colours of the truth as often?

Isola et al. 2017, figure 7 and section 4.2: L1 alone makes colours average and grey, which the marginal
distributions of L, a and b over the whole test set show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from kornia.color import rgb_to_lab

from i2i.core.metrics.rgb import as_rgb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Direction

RANGES = {"histogram_l": (0, 100), "histogram_a": (-110, 110), "histogram_b": (-110, 110)}
"""What is counted, in whole units; sRGB colours lie within a -87 to 99 and b -108 to 95."""


class HistogramIntersection:
    """Overlap of the histograms of L, a and b between all translations and all truths; 1 is perfect.

    CIE Lab (D65), bins of one unit, every pixel of the split in one histogram a channel, each made to sum
    to 1: the sum of the smaller of the two in each bin. Bins decide the figure, and the paper does not tell
    its own.
    """

    directions: Mapping[str, Direction] = dict.fromkeys(RANGES, "max")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._counts = {
            name: torch.zeros(2, high - low, dtype=torch.float64) for name, (low, high) in RANGES.items()
        }

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> None:
        """Count the colours of a batch in; several draws for a source are counted all."""
        draws = fake.reshape(-1, *real.shape[1:])
        for side, images in enumerate((draws, real)):
            lab = rgb_to_lab(as_rgb(images, metric="histogram-intersection"))
            for channel, (name, (low, high)) in enumerate(RANGES.items()):
                bins = (lab[:, channel] - low).floor().long().clamp(0, high - low - 1)
                counts = torch.bincount(bins.flatten(), minlength=high - low)
                self._counts[name][side] += counts.cpu()

    def compute(self) -> Mapping[str, float]:
        """Return the intersection for each channel over all images since `reset`."""
        shares = {name: counts / counts.sum(dim=1, keepdim=True) for name, counts in self._counts.items()}
        return {name: both.amin(dim=0).sum().item() for name, both in shares.items()}
