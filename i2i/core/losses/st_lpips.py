"""ST-LPIPS as a loss: a translation should look like its truth, whether or not it sits on the same pixel."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from i2i.core.st_lpips import load


class STLPIPSLoss(nn.Module):
    """Mean ST-LPIPS distance (Ghildyal and Liu 2022, arXiv 2207.13686).

    (fake, real), both (B,3,H,W) or (B,1,H,W) in [-1,1] with sides of at least 21 -> a scalar, in float32.

    Args:
        weights: the file alex_shift_tolerant.pth; left out, it is looked for in the installed PyPI
            package stlpips-pytorch, which is not imported.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        super().__init__()
        self.network = load(weights)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the mean distance over the batch."""
        distances: Tensor = self.network(fake, real)
        return distances.mean()
