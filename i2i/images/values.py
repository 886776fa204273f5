"""The step between stored values and the engine's [-1,1], and between numbers of channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.errors import DataError, Problem
from i2i.images.reading import DEPTHS, DTYPES
from i2i.records import ImageSpec, Part

CONVERTIBLE = (1, 3, 4)
"""Numbers of channels that stored integer images can be turned into each other: grey, RGB, RGBA."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def normalise(image: Tensor, spec: ImageSpec | Part) -> Tensor:
    """Map stored values to float32: `spec.low` to -1, `spec.high` to 1. Any shape.

    Stored values that span [-1,1] already come through bit by bit.
    """
    centre, half = (spec.low + spec.high) / 2, (spec.high - spec.low) / 2
    return image.to(torch.float32).sub(centre).div(half)


def by_file(image: Tensor, spec: ImageSpec) -> list[tuple[ImageSpec, Tensor]]:
    """Return each file of a side with its channels of an image (...,C,H,W); of one file the image itself."""
    if not spec.parts:
        return [(spec, image)]
    pieces = torch.split(image, [part.channels for part in spec.parts], dim=-3)
    return list(zip(spec.files, pieces, strict=True))


def quantise(image: Tensor, spec: ImageSpec) -> Tensor:
    """Map [-1,1] to the stored values of `spec`: clamped and, for integers, rounded to nearest. Any shape.

    Of a map of classes, (...,C,H,W), the likeliest class of each pixel becomes 1 and all others 0. A
    tensor that already has the stored integer type is returned as it is. `spec` is that of a side of one
    file: of several, each is quantised by itself (`by_file`).
    """
    dtype = DTYPES[spec.depth]
    if not image.is_floating_point():
        if image.dtype != dtype:
            raise TypeError(f"expected values in [-1,1] or {spec.depth}, not {image.dtype}")
        return image
    if spec.one_hot:
        return F.one_hot(image.argmax(dim=-3), spec.channels).movedim(-1, -3).to(dtype)
    centre, half = (spec.low + spec.high) / 2, (spec.high - spec.low) / 2
    stored = image.to(torch.float32).clamp(-1, 1).mul(half).add(centre)
    return stored if spec.depth == "float32" else stored.round().to(dtype)


def stacked(images: Sequence[Tensor], spec: ImageSpec) -> Tensor:
    """Return the stored images of the parts of a side, each (C,H,W), as one with all their channels.

    Maps of classes come with a channel for each class.

    Where the parts are not stored alike, the values are those of `normalise`, as the spec says.
    """
    stored_alike = all((p.depth, p.low, p.high) == (spec.depth, spec.low, spec.high) for p in spec.parts)
    if stored_alike:
        return torch.cat(list(images))
    return torch.cat([normalise(image, part) for image, part in zip(images, spec.parts, strict=True)])


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Return a stored integer image (C,H,W) with `channels` channels: grey, RGB or RGBA.

    Grey is repeated, RGB weighed by BT.601, transparency laid over white, and missing transparency
    is opaque. Raises DataError where the conversion is not clear.
    """
    present = image.shape[0]
    if present == channels:
        return image
    if image.is_floating_point() or present not in CONVERTIBLE or channels not in CONVERTIBLE:
        message = (
            f"an image with {present} channel(s) of {DEPTHS[image.dtype]} cannot be turned into {channels}."
        )
        raise DataError(Problem(message, hint="conversions are between 1, 3 and 4 channels of integers"))
    white = torch.iinfo(image.dtype).max
    if present == 4:
        return to_channels(_over_white(image), channels)
    if channels == 1:
        weights = torch.tensor(_LUMA, device=image.device).view(3, 1, 1)
        return image.float().mul(weights).sum(0, keepdim=True).round().clamp(0, white).to(image.dtype)
    colours = image.expand(3, -1, -1) if present == 1 else image
    opaque = torch.full_like(colours[:1], white)
    return torch.cat([colours, opaque]) if channels == 4 else colours.contiguous()


def without_loss(image: Tensor, channels: int) -> Tensor:
    """Return a stored integer image (C,H,W) with `channels` channels, where the way back gives the same.

    Grey becomes colour and either gets an opaque alpha; grey in three channels becomes one, and an alpha
    that is opaque everywhere is left out. Raises DataError where something would be lost.
    """
    converted = to_channels(image, channels)
    if converted is not image and not torch.equal(to_channels(converted, image.shape[0]), image):
        lost = "its transparency" if image.shape[0] == 4 else "its colours"
        raise DataError(Problem(f"with {channels} channel(s), this image would lose {lost}."))
    return converted


def _over_white(image: Tensor) -> Tensor:
    """Lay stored integer RGBA over white."""
    colour, alpha = image[:3], image[3:]
    white = torch.iinfo(image.dtype).max
    if bool((alpha == white).all()):
        return colour.contiguous()
    opacity = alpha.float() / white
    return colour.float().mul(opacity).add((1 - opacity).mul(white)).round().to(image.dtype)


def as_saved(image: Tensor, spec: ImageSpec) -> Tensor:
    """Return images (...,C,H,W) in [-1,1] as a reader of the saved file finds them, float32 in [0,1].

    Of a side of several files each is as its own file holds it.
    """
    if spec.parts:
        return torch.cat([as_saved(piece, file) for file, piece in by_file(image, spec)], dim=-3)
    stored = quantise(image, spec).to(torch.float32)
    return (stored - spec.low) / (spec.high - spec.low)
