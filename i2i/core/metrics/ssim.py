"""SSIM and MS-SSIM: how alike two images are in local brightness, contrast and structure.

Libraries differ in window, border and variance and so in the second decimal; the definition here is
part of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from i2i.core.metrics.pixel import PerImage, needs_pairs
from i2i.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The weight of each scale, full size first (Wang et al. 2003, section 3.2)."""


class SSIM(PerImage):
    """Structural similarity (Wang et al. 2004, IEEE Transactions on Image Processing 13(4)); 1 is perfect.

    Gaussian window of 11x11 with sigma 1.5, K1 0.01, K2 0.03, data range 1, population variances; the mean
    over channels and over the positions where the window lies wholly inside the image.
    """

    name = "ssim"
    smallest = WINDOW
    directions: Mapping[str, Direction] = {"ssim": "max"}
    requires = needs_pairs("ssim")

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the mean similarity of each image; raise DataError for images smaller than the window."""
        _check_size(self.name, real, smallest=self.smallest)
        luminance, contrast = similarity(fake, real)
        return (luminance * contrast).mean(dim=(1, 2, 3))


class MSSSIM(PerImage):
    """Multi-scale structural similarity (Wang et al. 2003, Asilomar Conference on Signals); 1 is perfect.

    Five scales, each half of the one before (2x2 means), weighted 0.0448, 0.2856, 0.3001, 0.2363, 0.1333:
    contrast and structure at all of them, luminance at the last, each as in ssim and averaged over channels
    and positions before the product is taken; negative averages count as 0.
    """

    name = "ms_ssim"
    smallest = WINDOW * 2 ** (len(SCALES) - 1)
    directions: Mapping[str, Direction] = {"ms_ssim": "max"}
    requires = needs_pairs("ms-ssim")

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the similarity of each image; raise DataError where the last scale is too small."""
        _check_size("ms-ssim", real, smallest=self.smallest)
        result = torch.ones(len(real), device=real.device)
        for scale, weight in enumerate(SCALES):
            if scale:
                fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
            luminance, contrast = similarity(fake, real)
            last = scale == len(SCALES) - 1
            mean = (luminance * contrast if last else contrast).mean(dim=(1, 2, 3))
            result = result * mean.clamp(min=0) ** weight
        return result


def similarity(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Return the luminance term and the contrast-structure term of two (N,C,H,W) in [0,1].

    Both are (N,C,H-10,W-10): one value for each position where the window lies inside the image.
    """
    means = _local_means(torch.stack((fake, real, fake * fake, real * real, fake * real)))
    x, y, xx, yy, xy = means
    luminance = (2 * x * y + C1) / (x * x + y * y + C1)
    contrast = (2 * (xy - x * y) + C2) / ((xx - x * x) + (yy - y * y) + C2)
    return luminance, contrast


def _local_means(images: Tensor) -> Tensor:
    """Return the Gaussian mean around each position of (...,H,W), borders left out."""
    places = torch.arange(WINDOW, dtype=torch.float32, device=images.device) - WINDOW // 2
    bell = torch.exp(-places.square() / (2 * SIGMA**2))
    bell = bell / bell.sum()
    *outer, height, width = images.shape
    planes = images.reshape(1, -1, height, width)
    count = planes.shape[1]
    # One plane a group: the depthwise path is several times faster than one channel a batch.
    rows = F.conv2d(planes, bell.expand(count, 1, 1, WINDOW), groups=count)
    means = F.conv2d(rows, bell.reshape(WINDOW, 1).expand(count, 1, WINDOW, 1), groups=count)
    return means.reshape(*outer, *means.shape[-2:])


def _check_size(name: str, image: Tensor, *, smallest: int) -> None:
    height, width = image.shape[-2:]
    if height < smallest or width < smallest:
        raise DataError(
            f"{name} needs images of at least {smallest}x{smallest} pixels, not {height}x{width}: "
            "leave this metric out or use larger images"
        )
