"""Image files out: at true depth, in one step, and refused where the format cannot hold the image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import deep_png, npy, tiff
from i2i.images.formats import FORMATS, Format, format_for, index_depth
from i2i.images.metadata import NOTHING, Beside
from i2i.images.reading import DTYPES
from i2i.images.values import quantise
from i2i.records import Colour, ImageSpec
from i2i.system.atomic import write_bytes


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
    stored = quantise(image, spec)
    if spec.one_hot:
        stored = stored.argmax(dim=0, keepdim=True).to(DTYPES[index_depth(spec.channels)])
    beside = replace(beside, profile=beside.profile_for(spec))
    write_bytes(path, _encode(stored, form, spec.palette, beside))


def png_bytes(image: Tensor) -> bytes:
    """Return `image`, uint8 (C,H,W) with 1, 3 or 4 channels, as the bytes of a PNG file."""
    png = FORMATS[".png"]
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in png.holds["uint8"]:
        raise ValueError(f"a PNG needs uint8 (1, 3 or 4, H, W), not {image.dtype} {tuple(image.shape)}")
    return _encode(image, png)


def _encode(image: Tensor, form: Format, palette: Sequence[Colour] = (), beside: Beside = NOTHING) -> bytes:
    planes = image.detach().cpu().numpy()
    array = np.ascontiguousarray(planes[0] if planes.shape[0] == 1 else planes.transpose(1, 2, 0))
    if form.name == "TIFF":
        return tiff.encode(array, resolution=beside.resolution, profile=beside.profile, tags=beside.tags)
    if form.name == "NPY":
        return npy.encode(array)
    if array.dtype == np.uint16 and array.ndim == 3:
        return deep_png.encode(array, dots=beside.dots(), profile=beside.profile)
    return _with_pillow(array, form, palette, beside)


def _with_pillow(
    array: np.ndarray[Any, Any], form: Format, palette: Sequence[Colour], beside: Beside
) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    if palette and array.dtype == np.uint8:
        image.putpalette([value for colour in palette for value in colour])  # which makes grey an index
    dots, profile = beside.dots(), beside.profile
    carried = ({"dpi": dots} if dots else {}) | ({"icc_profile": profile} if profile else {})
    image.save(buffer, form.name, **form.options, **carried)
    return buffer.getvalue()
