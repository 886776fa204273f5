"""Where each pixel of a warped image comes from: an affine map and an elastic one, in a single sampling.

Sampling once keeps an image sharper than one warp after another, and keeps every value of a label map.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from kornia.filters import gaussian_blur2d
from kornia.geometry.grid import create_meshgrid
from kornia.geometry.linalg import transform_points
from kornia.geometry.transform import get_affine_matrix2d, remap
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

Outside = Literal["reflection", "border"]
Size = tuple[int, int]


def affine_places(
    size: Size, *, degrees: float, shift: tuple[float, float], scale: float, shear: tuple[float, float]
) -> Tensor:
    """Return the place (x, y) in the input of each pixel of the output, (1,H,W,2) in pixels.

    The picture is turned clockwise, enlarged by `scale` and sheared by `shear` degrees about its middle,
    and moved by `shift` (right, down) in parts of its width and height.
    """
    height, width = size
    forward = get_affine_matrix2d(
        torch.tensor([[shift[0] * width, shift[1] * height]]),
        torch.tensor([[(width - 1) / 2, (height - 1) / 2]]),
        torch.full((1, 2), scale),
        torch.tensor([degrees]),
        torch.tensor([math.radians(shear[0])]),
        torch.tensor([math.radians(shear[1])]),
    )
    pixels = create_meshgrid(height, width, normalized_coordinates=False).reshape(1, -1, 2)
    places: Tensor = transform_points(torch.linalg.inv(forward), pixels)
    return places.reshape(1, height, width, 2)


def elastic_shifts(size: Size, *, amplitude: float, sigma: float, rng: torch.Generator) -> Tensor:
    """Return random smooth shifts (x, y) for each pixel, (1,H,W,2) in pixels (Simard et al. 2003, section 2).

    White noise, blurred by a Gaussian of `sigma` pixels and brought to a root mean square of `amplitude`
    pixels in each direction; towards the edges it fades.
    """
    # What is so smooth need not be drawn for each pixel: four numbers to a sigma are enough.
    step = max(1, int(sigma / 4))
    coarse, reach = sigma / step, math.ceil(3 * sigma / step)
    noise = torch.randn((1, 2, *(math.ceil(side / step) for side in size)), generator=rng, device=rng.device)
    smooth: Tensor = gaussian_blur2d(noise, 2 * reach + 1, (coarse, coarse), border_type="constant")
    # Blurring white noise in the plane divides its deviation by 2 sigma sqrt(pi).
    shifts = smooth * (amplitude * 2 * coarse * math.sqrt(math.pi))
    return F.interpolate(shifts, size, mode="bicubic", align_corners=False).permute(0, 2, 3, 1)


def sample(image: Tensor, places: Tensor, *, labels: bool, outside: Outside) -> Tensor:
    """Return (C,H,W) taken from `image` at `places` (1,H,W,2) in pixels; labels from the nearest pixel."""
    columns, rows = places.to(image.device).unbind(dim=-1)
    mode = "nearest" if labels else "bilinear"
    taken: Tensor = remap(image[None], columns, rows, mode=mode, padding_mode=outside, align_corners=True)
    return taken[0]
