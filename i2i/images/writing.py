"""Image files out: at true depth, in one step, and refused where the format cannot hold the image."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import deep_png, npy, tiff
from i2i.images.formats import FORMATS, Format, format_for, index_depth
from i2i.images.metadata import NOTHING, Beside
from i2i.images.reading import DEPTHS, DTYPES
from i2i.images.values import quantise
from i2i.records import Colour, ImageSpec
from i2i.system.atomic import write_bytes, write_with

_CHANNELS = (3, 4)
"""How many channels Pillow's pictures of several have here: colours, with or without alpha."""


def write_image(path: Path, image: Tensor, *, spec: ImageSpec, beside: Beside = NOTHING) -> None:
    """Write `image` (C,H,W) in the format of the suffix, in one step: a reader never sees half of it.

    `image` is float32 in [-1,1], which is brought to the depth of `spec`, or already of that depth. A
    map of classes is written as their indices; in a PNG or BMP with the palette of `spec`, if it has one.
    The file carries on what it can of what stood `beside` the pixels of another.
    Raises DataError where the format cannot hold it, ResourceError where the file cannot be written.
    """
    if image.is_floating_point() and not image.isfinite().all():
        raise DataError(Problem("the image has values that are not finite: not written.", file=str(path)))
    form = format_for(path, replace(spec, channels=image.shape[0]))
    stored = as_stored(image, spec)
    beside = replace(beside, profile=beside.profile_for(spec))
    write_bytes(path, _encode(stored, form, spec.palette, beside))


def write_bands(
    files: Sequence[tuple[Path, ImageSpec]],
    bands: Iterable[Tensor],
    *,
    size: tuple[int, int],
    beside: Beside = NOTHING,
) -> None:
    """Write an answer that comes in bands (C,h,W) in [-1,1], from the top, of a height and width of `size`.

    It becomes what `write_image` would make of the whole, in one step: one file, or one for each of the parts
    of a side, whose channels follow each other. A TIFF alone is written as the bands come, and only the
    last ones are in memory; of any other format the image is, with its values as stored.
    Raises as `write_image` does.
    """
    channels = [spec.channels for _, spec in files]
    forms = [format_for(path, spec) for path, spec in files]
    stored = (_bands_stored(band, files, channels) for band in bands)
    if len(files) == 1 and forms[0].name == "TIFF":
        (path, spec), (first, later) = files[0], _peeked(pieces[0] for pieces in stored)
        shape = (*size, first.shape[2])
        about: dict[str, Any] = {
            "resolution": beside.resolution,
            "profile": beside.profile_for(spec),
            "tags": beside.tags,
        }

        def fill(file: BinaryIO) -> None:
            tiff.write_bands(file, later, shape=shape, dtype=first.dtype, **about)

        write_with(path, fill, needed=math.prod(shape) * first.dtype.itemsize)
        return
    wholes: list[np.ndarray[Any, Any]] = []
    top = 0
    for pieces in stored:
        wholes = wholes or [np.empty((*size, piece.shape[2]), piece.dtype) for piece in pieces]
        for whole, piece in zip(wholes, pieces, strict=True):
            whole[top : top + len(piece)] = piece
        top += len(pieces[0])
    for (path, spec), form, whole in zip(files, forms, wholes, strict=True):
        array = whole[..., 0] if whole.shape[2] == 1 else whole
        kept = replace(beside, profile=beside.profile_for(spec))
        write_bytes(path, _encode_array(array, form, spec.palette, kept))


def _bands_stored(
    band: Tensor, files: Sequence[tuple[Path, ImageSpec]], channels: Sequence[int]
) -> list[np.ndarray[Any, Any]]:
    """Return a band (C,h,W) in [-1,1] as each of the files holds its part of it, (h,W,C)."""
    made = []
    for (path, spec), piece in zip(files, torch.split(band, list(channels)), strict=True):
        if not piece.isfinite().all():
            raise DataError(Problem("the image has values that are not finite: not written.", file=str(path)))
        made.append(as_stored(piece, spec).numpy().transpose(1, 2, 0))
    return made


def _peeked(
    bands: Iterator[np.ndarray[Any, Any]],
) -> tuple[np.ndarray[Any, Any], Iterator[np.ndarray[Any, Any]]]:
    """Return the first band, and all of them."""
    first = next(bands)
    return first, chain([first], bands)


def as_stored(image: Tensor, spec: ImageSpec) -> Tensor:
    """Return an image (C,H,W) in [-1,1] as its file holds it: at its depth, classes as indices (1,H,W)."""
    stored = quantise(image, spec)
    if not spec.one_hot:
        return stored
    return stored.argmax(dim=0, keepdim=True).to(DTYPES[index_depth(spec.channels)])


def to_pillow(image: Tensor, spec: ImageSpec) -> Image.Image:
    """Return an image (C,H,W) in [-1,1] as a picture of Pillow's at the depth of `spec`.

    A map of classes is one of indices, with the palette of `spec` if it has one. Raises DataError where
    Pillow has no pictures of that kind.
    """
    array = _array(as_stored(image, spec))
    if array.ndim == 3 and (array.dtype != np.uint8 or array.shape[2] not in _CHANNELS):
        message = f"Pillow has no pictures with {array.shape[2]} channel(s) of {array.dtype}."
        raise DataError(Problem(message, hint="give an array, and the answer is one"))
    return _pillow(array, spec.palette)


def png_bytes(image: Tensor) -> bytes:
    """Return `image`, uint8 or uint16 (C,H,W) with 1, 3 or 4 channels, as the bytes of a PNG file.

    `decode` gives the same values back.
    """
    png = FORMATS[".png"]
    depth = DEPTHS.get(image.dtype)
    if depth is None or image.ndim != 3 or image.shape[0] not in png.holds.get(depth, ()):
        told = f"{image.dtype} {tuple(image.shape)}"
        raise ValueError(f"a PNG needs uint8 or uint16 (1, 3 or 4, H, W), not {told}")
    return _encode(image, png)


def _encode(image: Tensor, form: Format, palette: Sequence[Colour] = (), beside: Beside = NOTHING) -> bytes:
    return _encode_array(_array(image), form, palette, beside)


def _encode_array(
    array: np.ndarray[Any, Any], form: Format, palette: Sequence[Colour], beside: Beside
) -> bytes:
    if form.name == "TIFF":
        return tiff.encode(array, resolution=beside.resolution, profile=beside.profile, tags=beside.tags)
    if form.name == "NPY":
        return npy.encode(array)
    if array.dtype == np.uint16 and array.ndim == 3:
        return deep_png.encode(array, dots=beside.dots(), profile=beside.profile)
    return _with_pillow(array, form, palette, beside)


def _array(image: Tensor) -> np.ndarray[Any, Any]:
    """Return (C,H,W) as (H,W) or (H,W,C)."""
    planes = image.detach().cpu().numpy()
    return np.ascontiguousarray(planes[0] if planes.shape[0] == 1 else planes.transpose(1, 2, 0))


def _pillow(array: np.ndarray[Any, Any], palette: Sequence[Colour]) -> Image.Image:
    image = Image.fromarray(array)
    if palette and array.dtype == np.uint8:
        image.putpalette([value for colour in palette for value in colour])  # which makes grey an index
    return image


def _with_pillow(
    array: np.ndarray[Any, Any], form: Format, palette: Sequence[Colour], beside: Beside
) -> bytes:
    buffer = io.BytesIO()
    dots, profile = beside.dots(), beside.profile
    carried = ({"dpi": dots} if dots else {}) | ({"icc_profile": profile} if profile else {})
    _pillow(array, palette).save(buffer, form.name, **form.options, **carried)
    return buffer.getvalue()
