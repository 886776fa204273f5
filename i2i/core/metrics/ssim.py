"""SSIM: how alike two images are in local brightness, contrast and structure.

Libraries differ in window, border and variance and so in the second decimal; the definition here is
part of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kornia.metrics import ssim

from i2i.core.metrics.pixel import PerImage
from i2i.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction

WINDOW = 11


class SSIM(PerImage):
    """Structural similarity (Wang et al. 2004, IEEE Transactions on Image Processing 13(4)); 1 is perfect.

    Gaussian window of 11x11 with sigma 1.5, K1 0.01, K2 0.03, data range 1, population variances; the mean
    over channels and over the positions where the window lies wholly inside the image.
    """

    name = "ssim"
    directions: Mapping[str, Direction] = {"ssim": "max"}

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the mean similarity of each image; raise DataError for images smaller than the window."""
        height, width = real.shape[-2:]
        if height < WINDOW or width < WINDOW:
            raise DataError(
                f"ssim needs images of at least {WINDOW}x{WINDOW} pixels, not {height}x{width}: "
                "leave this metric out or use larger images"
            )
        similarity: Tensor = ssim(fake, real, WINDOW, max_val=1.0, eps=0.0, padding="valid")
        return similarity.mean(dim=(1, 2, 3))
