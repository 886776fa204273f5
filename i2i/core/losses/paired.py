"""Losses between a translation and its truth, pixel by pixel.

Means are taken in float32 whatever the images' precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


class L1:
    """Mean absolute difference; its best answer is the median (Isola et al. 2017, section 3.1).

    (fake, real), both (B,C,H,W) -> a scalar, at most 2 for images in [-1,1].
    """

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.l1_loss(fake.float(), real.float())


class L2:
    """Mean squared difference; its best answer is the mean, which smears edges.

    (fake, real), both (B,C,H,W) -> a scalar, at most 4 for images in [-1,1].
    """

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.mse_loss(fake.float(), real.float())


class Charbonnier:
    """L1 rounded off near 0: the mean of sqrt(difference^2 + epsilon^2) (Charbonnier et al. 1994).

    (fake, real), both (B,C,H,W) -> a scalar, no less than epsilon.

    Args:
        epsilon: the difference below which it behaves like L2; images are in [-1,1].
    """

    def __init__(self, *, epsilon: Annotated[float, Gt(0)] = 1e-3) -> None:
        self.epsilon = epsilon

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        return ((fake.float() - real.float()).square() + self.epsilon**2).sqrt().mean()


class GradientDifference:
    """Compares how steep edges are, not how bright pixels are (Mathieu et al. 2016, arXiv 1511.05440, eq. 6).

    (fake, real), both (B,C,H,W) with sides of at least 2 -> a scalar: the mean over vertical neighbours plus
    that over horizontal ones of | |step in real| - |step in fake| | ^ alpha. It is blind to the level of an
    image, so use it beside another loss.

    Args:
        alpha: the power of each difference.
    """

    def __init__(self, *, alpha: Annotated[float, Ge(1)] = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        fake, real = fake.float(), real.float()
        down, across = (
            (real.diff(dim=side).abs() - fake.diff(dim=side).abs()).abs().pow(self.alpha).mean()
            for side in (-2, -1)
        )
        return down + across
