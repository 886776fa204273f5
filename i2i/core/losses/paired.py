"""Losses between a translation and its truth, pixel by pixel; both blur, each in its own way.

Means are taken in float32 whatever the images' precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
