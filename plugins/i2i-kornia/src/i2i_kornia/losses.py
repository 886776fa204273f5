"""Losses between a translation and its truth, by kornia's functions.

Each takes (fake, real), both (B,C,H,W) in [-1,1], to a scalar, in float32 whatever the images' precision.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from kornia.color import rgb_to_lab
from kornia.filters import gaussian_blur2d, spatial_gradient
from kornia.geometry.transform import build_laplacian_pyramid
from kornia.losses import total_variation
from kornia.metrics import ssim

from i2i.errors import RecipeError
from i2i_kornia.images import as_rgb, check_size, exact, unit

if TYPE_CHECKING:
    from torch import Tensor

C1, C2 = 0.01**2, 0.03**2
"""What keeps the fractions of SSIM from 0 / 0, for values in [0,1]."""


class SSIM:
    """1 - SSIM, from 0 (alike) to 2 (Wang et al. 2004, IEEE Transactions on Image Processing 13(4)).

    The mean similarity over channels and over the positions where the window lies wholly inside the image:
    a Gaussian of sigma 1.5, K1 0.01, K2 0.03, values taken to [0,1]. With the window left at 11 it is 1
    minus the metric core/ssim. Images smaller than the window are refused.

    Args:
        window: side of the window in pixels, an odd number.
    """

    def __init__(self, *, window: Annotated[int, Ge(3), Le(101)] = 11) -> None:
        if window % 2 == 0:
            raise ValueError(f"'window' is an odd number of pixels, not {window}")
        self.window = self.smallest = window

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        check_size(fake, self.smallest, owner="kornia/ssim", key="window")
        similarity: Tensor = ssim(unit(fake), unit(real), self.window, eps=0.0, padding="valid")
        return 1 - similarity.mean()


class MSSSIM:
    """1 - MS-SSIM, from 0 (alike) to 2, by windows of several sizes (Zhao et al. 2017, arXiv 1511.08861).

    At each pixel contrast and structure are compared through Gaussians of every size, brightness through
    the largest, all at full resolution: so images of 64 pixels will do, which the four halvings of
    core/ms-ssim do not allow. K1 0.01, K2 0.03, values taken to [0,1]; Gaussians end at 4 sigma, or 2 of the
    largest; beyond its edges an image is mirrored. Images that are too small for that are refused.

    Args:
        sigmas: standard deviation of each Gaussian in pixels, the largest last.
    """

    def __init__(
        self,
        *,
        sigmas: tuple[Annotated[float, Gt(0), Le(64)], ...] = (0.5, 1.0, 2.0, 4.0, 8.0),
    ) -> None:
        if not sigmas or list(sigmas) != sorted(sigmas):
            raise ValueError("'sigmas' is one number or more, from the smallest to the largest")
        self.sigmas = sigmas
        self.radius = math.ceil(2 * sigmas[-1])
        self.smallest = self.radius + 1

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        check_size(fake, self.smallest, owner="kornia/ms-ssim", key="sigmas")
        x, y = unit(fake), unit(real)
        moments = torch.cat((x, y, x * x, y * y, x * y), dim=1)
        similarity = torch.ones_like(x)
        for sigma in self.sigmas:
            x, y, xx, yy, xy = self._means(moments, sigma)
            contrast = (2 * (xy - x * y) + C2) / ((xx - x * x) + (yy - y * y) + C2)
            similarity = similarity * contrast
        luminance = (2 * x * y + C1) / (x * x + y * y + C1)
        return 1 - (luminance * similarity).mean()

    def _means(self, moments: Tensor, sigma: float) -> tuple[Tensor, ...]:
        width = 2 * min(self.radius, math.ceil(4 * sigma)) + 1
        with exact(moments):
            means: Tensor = gaussian_blur2d(moments, width, (sigma, sigma), border_type="reflect")
        return means.chunk(5, dim=1)


class TV:
    """Total variation of the translation, 0 to 4; the truth is not looked at (Rudin et al. 1992).

    The mean absolute difference of vertical neighbours plus that of horizontal ones. It is least for a flat
    image, so use it lightly, beside another loss.
    """

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        variation: Tensor = total_variation(fake.float(), reduction="mean")
        return variation.mean()


class Lab:
    """Distance of colours in CIE Lab (D65), where equal steps look about equally large.

    The mean over pixels of the Euclidean distance (CIE76), divided by 100: from 0 to 2.6, and 1 from black
    to white. Differences under some 0.02 are hardly seen. RGB or grey images; values outside [-1,1] count as
    the nearest inside.

    Args:
        channels: compare colours whole ("lab"), or hue and saturation without lightness ("ab").
    """

    def __init__(self, *, channels: Literal["lab", "ab"] = "lab") -> None:
        self.first = 0 if channels == "lab" else 1

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        difference = self._lab(fake) - self._lab(real)
        # The norm's gradient is 0 where colours are equal, which that of a square root is not.
        distances: Tensor = torch.linalg.vector_norm(difference[:, self.first :], dim=1)
        return distances.mean() / 100

    def _lab(self, image: Tensor) -> Tensor:
        if self.first and image.shape[1] == 1:
            raise RecipeError("kornia/lab finds neither hue nor saturation in grey images: channels = 'lab'.")
        with exact(image):
            lab: Tensor = rgb_to_lab(unit(as_rgb(image, owner="kornia/lab")).clamp(0, 1))
        return lab


class Sobel:
    """Mean absolute difference of Sobel gradients, across and down, 0 to 2.

    Gradients are changes of value from one pixel to the next. Unlike core/gradient-difference it minds where
    an edge rises and where it falls. It is blind to the level of an image, so use it beside another loss.
    """

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        # The gradient of a difference is the difference of the gradients.
        with exact(fake):
            difference: Tensor = spatial_gradient(fake.float() - real.float())
        return difference.abs().mean()


class LaplacianPyramid:
    """L1 at each level of detail (Bojanowski et al. 2018, arXiv 1707.05776, there called Lap1).

    The sum over the levels of a Laplacian pyramid (Burt and Adelson 1983) of the mean absolute difference:
    what a level adds to the one that is half its size, and at last the smallest image itself. Sizes that
    cannot be halved so often are first mirrored up to a power of two. Images with a side under
    2 to the power of `levels` are refused.

    Args:
        levels: how many, the last included.
    """

    def __init__(self, *, levels: Annotated[int, Ge(2), Le(10)] = 4) -> None:
        self.levels = levels
        self.smallest = 2**levels

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        check_size(fake, self.smallest, owner="kornia/laplacian-pyramid", key="levels")
        # The pyramid of a difference is the difference of the pyramids.
        with exact(fake):
            pyramid = build_laplacian_pyramid(fake.float() - real.float(), self.levels)
        return torch.stack([level.abs().mean() for level in pyramid]).sum()
