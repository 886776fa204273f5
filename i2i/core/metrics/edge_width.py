"""Edge width: over how many pixels does a picture go from dark to light?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from i2i.core.metrics.pixel import PerImage, needs_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction

DARK, LIGHT = 0.1, 0.9


class EdgeWidth(PerImage):
    """How many pixels of a row are neither dark nor light, between 10 % and 90 % of the range.

    It is meant for pictures of one edge between black and white, like those of the data set `edges`: there a
    sharp edge has a width of at most 1 pixel, and a ramp that of its slope. `edge_width` is the mean over
    rows, channels and images, in pixels; `edge_width_gap` is the mean difference from the truth's width,
    where 0 is perfect.
    """

    name = "edge_width"
    directions: Mapping[str, Direction] = {"edge_width_gap": "min"}
    requires = needs_pairs("edge-width")

    def measure(self, draws: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return both figures of each image; of several draws the mean."""
        widths = torch.stack([width(draw) for draw in draws])
        return {
            "edge_width": widths.mean(dim=0),
            "edge_width_gap": (widths - width(real)).abs().mean(dim=0),
        }


def width(image: Tensor) -> Tensor:
    """Return the mean width of the edges of each of (N,C,H,W), (N,), in pixels."""
    between = (image > DARK) & (image < LIGHT)
    return between.float().sum(dim=3).mean(dim=(1, 2))
