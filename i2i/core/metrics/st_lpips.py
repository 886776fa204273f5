"""ST-LPIPS as a metric: how different translation and truth look, hardly moved by a shift of a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from i2i.core.metrics.pixel import PerImage, needs_pairs
from i2i.core.st_lpips import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction


class STLPIPS(PerImage):
    """Shift-tolerant perceptual distance, AlexNet (Ghildyal and Liu, ECCV 2022); 0 is perfect.

    Unrelated photos of 256 pixels are about 0.5 apart. It is not LPIPS, and not to be compared with it.

    Args:
        weights: the file alex_shift_tolerant.pth; looked for in the package stlpips-pytorch by default.
    """

    name = "st_lpips"
    directions: Mapping[str, Direction] = {"st_lpips": "min"}
    requires = needs_pairs("st-lpips")

    def __init__(self, *, weights: Path | None = None) -> None:
        super().__init__()
        self.network = load(weights)

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the distance of each image from its truth."""
        distance: Tensor = self.network.to(real.device)(fake * 2 - 1, real * 2 - 1)
        return distance
