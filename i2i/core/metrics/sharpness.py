"""Sharpness: has a translation as much fine structure as the truth, wherever it may stand?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from i2i.core.metrics.pixel import PerImage, needs_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction

FLOOR = 1e-3
"""What a flat image counts as: a quarter of an 8-bit level from one pixel to the next."""


class Sharpness(PerImage):
    """Mean gradient of a translation divided by the truth's: 1 is as sharp, less is blurred, more is noisy.

    The gradient is the length of the differences to the pixels on the right and below, averaged over
    pixels and channels, at least 0.001. `sharpness` is the mean ratio over images; `sharpness_gap` is the
    mean of |ln ratio|, where 0 is perfect.
    """

    name = "sharpness"
    directions: Mapping[str, Direction] = {"sharpness_gap": "min"}
    requires = needs_pairs("sharpness")

    def measure(self, draws: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return both figures of each image; of several draws the mean."""
        ratios = torch.stack([mean_gradient(draw) for draw in draws]) / mean_gradient(real)
        return {"sharpness": ratios.mean(dim=0), "sharpness_gap": ratios.log().abs().mean(dim=0)}


def mean_gradient(image: Tensor) -> Tensor:
    """Return the mean gradient of each of (N,C,H,W), (N,), at least `FLOOR`."""
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    lengths = (across.square() + down.square()).sqrt()
    return lengths.mean(dim=(1, 2, 3)).clamp(min=FLOOR)
