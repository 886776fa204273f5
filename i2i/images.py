"""Image files in and out, and the step between stored values and the engine's [-1,1].

The only module that decodes or encodes image files. A decoded image is a (C,H,W) tensor with its
values as stored. So far: PNG, JPEG, WebP and BMP with 1, 3 or 4 channels of 8 bits, and grey PNG of 16.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from i2i.atomic import write_bytes
from i2i.errors import DataError, Problem
from i2i.kinds import Depth, ImageSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DTYPES: Mapping[Depth, torch.dtype] = {
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "float32": torch.float32,
}
_DEPTHS: Mapping[torch.dtype, Depth] = {dtype: depth for depth, dtype in DTYPES.items()}
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


@dataclass(frozen=True)
class _Format:
    """How the files of one suffix are written, and the channel counts they hold at each depth."""

    name: str
    holds: Mapping[Depth, tuple[int, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)


_PNG = _Format("PNG", {"uint8": (1, 3, 4), "uint16": (1,)})
_JPEG = _Format("JPEG", {"uint8": (1, 3)}, {"quality": 95, "subsampling": 0})
_FORMATS: Mapping[str, _Format] = {
    ".bmp": _Format("BMP", {"uint8": (1, 3)}),
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".png": _PNG,
    ".webp": _Format("WEBP", {"uint8": (3,)}, {"lossless": True}),  # it drops an alpha that is all opaque
}
IMAGE_SUFFIXES = tuple(_FORMATS)
"""Suffixes of the files that can be read and written, in lower case."""


# --- reading ----------------------------------------------------------------------------------------


def read_image(path: Path) -> Tensor:
    """Return the image in a file as (C,H,W) uint8 or uint16, upright, as stored.

    Grey stays one channel; palettes become RGB; whatever has transparency becomes RGBA. Raises
    DataError, naming the file, for one that is missing, truncated or no image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(Problem(f"the image cannot be opened: {error.strerror}.", file=str(path))) from error
    return decode(data, name=str(path))


def decode(data: bytes, *, name: str) -> Tensor:
    """Return the image in the bytes of a file, as `read_image` does; errors say `name`."""
    try:
        with Image.open(io.BytesIO(data), formats=sorted({form.name for form in _FORMATS.values()})) as image:
            _refuse_deep_colour(image, name)
            array = np.array(_upright(image))
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        message = "this is not an image in a format that i2i reads."
        hint = f"formats: {', '.join(IMAGE_SUFFIXES)}"
        raise DataError(Problem(message, file=name, hint=hint)) from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        message = f"the image cannot be decoded: {str(error).rstrip('.')}."
        hint = "the file may be damaged or cut short: replace or remove it"
        raise DataError(Problem(message, file=name, hint=hint)) from error
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


def image_spec(image: Tensor) -> ImageSpec:
    """Return the spec of a decoded image, whose values span what its integers can hold."""
    channels, height, width = image.shape
    high = float(torch.iinfo(image.dtype).max)
    return ImageSpec(channels, height, width, depth=_DEPTHS[image.dtype], high=high)


def _upright(image: Image.Image) -> Image.Image:
    """Return `image` rotated as its EXIF says, in one of the modes L, I;16, RGB and RGBA."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return upright
    if upright.has_transparency_data:
        return upright.convert("RGBA")
    if upright.mode in ("1", "L"):
        return upright.convert("L")
    return upright.convert("RGB")


def _refuse_deep_colour(image: Image.Image, name: str) -> None:
    """Raise DataError for colour of 16 bits a channel, of which the decoder drops half in silence."""
    stored = [tile.args for tile in getattr(image, "tile", [])]
    deep = any(isinstance(mode, str) and mode.endswith("16B") for mode in stored)
    if deep and not image.mode.startswith("I;16"):
        message = "the image has 16 bits a channel and more than one channel, which cannot be kept."
        raise DataError(Problem(message, file=name, hint="save it with 8 bits a channel, or as 16-bit grey"))


# --- writing ----------------------------------------------------------------------------------------


def write_image(path: Path, image: Tensor, *, spec: ImageSpec) -> None:
    """Write `image` (C,H,W) in the format of the suffix, in one step: a reader never sees half of it.

    `image` is float32 in [-1,1], which is brought to the depth of `spec`, or already of that depth.
    Raises DataError where the format cannot hold it, ResourceError where the file cannot be written.
    """
    if image.is_floating_point() and not image.isfinite().all():
        raise DataError(Problem("the image has values that are not finite: not written.", file=str(path)))
    stored = quantise(image, spec)
    form = _format_for(path, channels=stored.shape[0], depth=spec.depth)
    write_bytes(path, _encode(stored, form))


def png_bytes(image: Tensor) -> bytes:
    """Return `image`, uint8 (C,H,W) with 1, 3 or 4 channels, as the bytes of a PNG file."""
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in _PNG.holds["uint8"]:
        raise ValueError(f"a PNG needs uint8 (1, 3 or 4, H, W), not {image.dtype} {tuple(image.shape)}")
    return _encode(image, _PNG)


def _format_for(path: Path, *, channels: int, depth: Depth) -> _Format:
    form = _FORMATS.get(path.suffix.lower())
    if form and channels in form.holds.get(depth, ()):
        return form
    fit = [suffix for suffix, other in _FORMATS.items() if channels in other.holds.get(depth, ())]
    message = f"a '{path.suffix}' file cannot hold {channels} channel(s) of {depth}."
    hint = f"suffixes that can: {', '.join(fit)}" if fit else "no format that i2i writes can"
    raise DataError(Problem(message, file=str(path), hint=hint))


def _encode(image: Tensor, form: _Format) -> bytes:
    planes = image.detach().cpu().numpy()
    array = planes[0] if planes.shape[0] == 1 else planes.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, form.name, **form.options)
    return buffer.getvalue()


# --- values and channels ----------------------------------------------------------------------------


def normalise(image: Tensor, spec: ImageSpec) -> Tensor:
    """Map stored values to float32: `spec.low` to -1, `spec.high` to 1. Any shape."""
    half = (spec.high - spec.low) / 2
    return image.to(torch.float32).sub(spec.low).div(half).sub(1)


def quantise(image: Tensor, spec: ImageSpec) -> Tensor:
    """Map [-1,1] to the stored values of `spec`: clamped and, for integers, rounded to nearest. Any shape.

    A tensor that already has the stored integer type is returned as it is.
    """
    dtype = DTYPES[spec.depth]
    if not image.is_floating_point():
        if image.dtype != dtype:
            raise TypeError(f"expected values in [-1,1] or {spec.depth}, not {image.dtype}")
        return image
    half = (spec.high - spec.low) / 2
    stored = image.to(torch.float32).clamp(-1, 1).add(1).mul(half).add(spec.low)
    return stored if spec.depth == "float32" else stored.round().to(dtype)


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Return a stored integer image (C,H,W) with `channels` channels: grey, RGB or RGBA.

    Grey is repeated, RGB weighed by BT.601, transparency laid over white, and missing transparency
    is opaque. Raises DataError where the conversion is not clear.
    """
    present = image.shape[0]
    if present == channels:
        return image
    if image.is_floating_point() or present not in (1, 3, 4) or channels not in (1, 3, 4):
        message = f"an image with {present} channel(s) of {image.dtype} cannot be turned into {channels}."
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


def _over_white(image: Tensor) -> Tensor:
    """Lay stored integer RGBA over white."""
    colour, alpha = image[:3], image[3:]
    white = torch.iinfo(image.dtype).max
    if bool((alpha == white).all()):
        return colour.contiguous()
    opacity = alpha.float() / white
    return colour.float().mul(opacity).add((1 - opacity).mul(white)).round().to(image.dtype)
