"""Resizing images and label maps, the same way wherever i2i does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.records import ImageSpec

Interpolation = Literal["bilinear", "bicubic"]

PLAIN = "bilinear, smoothed as it shrinks; label maps by nearest neighbour"
"""What `resize` does unless told otherwise, for figures that depend on it."""


def resize(
    image: Tensor, size: tuple[int, int], *, labels: bool, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Return a float image in [-1,1], (C,H,W) or (B,C,H,W), at `size` (height, width).

    Label maps go by nearest neighbour whatever `interpolation` says, and may be of any type. Images are
    smoothed as they shrink, and what bicubic interpolation overshoots is cut back to [-1,1]. An image of that
    size comes back as it is.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if labels and not image.is_floating_point():
        rows, columns = (_nearest(*sides, image) for sides in zip(image.shape[-2:], size, strict=True))
        return image[..., rows[:, None], columns]
    batch = image if image.dim() == 4 else image[None]
    if labels:
        resized = F.interpolate(batch, size, mode="nearest-exact")
    else:
        resized = F.interpolate(batch, size, mode=interpolation, align_corners=False, antialias=True)
        if interpolation == "bicubic":
            resized = resized.clamp(-1, 1)
    return resized if image.dim() == 4 else resized[0]


def resize_side(
    image: Tensor, size: tuple[int, int], spec: ImageSpec, *, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Return one side of pairs, (C,H,W) or (B,C,H,W) in [-1,1], at `size`; label maps by nearest neighbour.

    Of a side of several files each is resized as what it is. Otherwise this is `resize`.
    """
    if not any(part.labels for part in spec.parts):
        return resize(image, size, labels=spec.labels, interpolation=interpolation)
    pieces = torch.split(image, [part.channels for part in spec.parts], dim=-3)
    resized = [
        resize(piece, size, labels=part.labels, interpolation=interpolation)
        for part, piece in zip(spec.parts, pieces, strict=True)
    ]
    return torch.cat(resized, dim=-3)


def _nearest(count: int, wanted: int, like: Tensor) -> Tensor:
    """Return which of `count` rows, or columns, each of the `wanted` ones is, as torch chooses for floats."""
    places = torch.arange(count, dtype=torch.float32, device=like.device)
    return F.interpolate(places[None, None], (wanted,), mode="nearest-exact")[0, 0].long()


def next_multiple(size: int, multiple: int) -> int:
    """Return the least multiple that `size` does not exceed."""
    return -(-size // multiple) * multiple


def padded(image: Tensor, multiple: int) -> Tensor:
    """Return an image (C,H,W) or (B,C,H,W) whose height and width are multiples of `multiple`.

    It is mirrored at its lower and right edge; where it is too small for that, the edge is repeated.
    """
    below, right = -image.shape[-2] % multiple, -image.shape[-1] % multiple
    if not below and not right:
        return image
    fits = below < image.shape[-2] and right < image.shape[-1]
    batch = image if image.dim() == 4 else image[None]
    grown = F.pad(batch, (0, right, 0, below), mode="reflect" if fits else "replicate")
    return grown if image.dim() == 4 else grown[0]
