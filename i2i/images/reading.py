"""Image files in: a decoded image is a (C,H,W) tensor, upright, with its values as stored.

uint8, uint16 and float32 are the depths that images have here. Other numbers become the one that holds
them: halves, doubles and small signed integers are read as float32, larger integers as uint16 where
they fit, and refused where they do not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import deep_png, npy, tiff
from i2i.images.formats import FORMATS, READ_ONLY, READABLE_SUFFIXES
from i2i.images.limits import check_bytes, pillow_without_its_own, too_large_for_memory
from i2i.records import Depth, ImageSpec

DTYPES: Mapping[Depth, torch.dtype] = {
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "float32": torch.float32,
}
DEPTHS: Mapping[torch.dtype, Depth] = {dtype: depth for depth, dtype in DTYPES.items()}
_PILLOW = [*sorted({form.name for form in FORMATS.values()} - {"NPY", "TIFF"}), READ_ONLY[".gif"]]
_ORIENTATION = 0x0112  # the EXIF tag


def read_image(path: Path, *, indices: bool = False, nan: bool = False) -> Tensor:
    """Return the image in a file as (C,H,W) uint8, uint16 or float32, upright, as stored.

    Grey stays one channel; palettes become RGB; whatever has transparency becomes RGBA. With `indices`
    a palette is left alone: its indices are the values, and those of a black-and-white image 0 and 1. With
    `nan`, values that are no numbers are let through.
    Raises DataError, naming the file, for one that is missing, truncated or no image.
    """
    try:
        there = path.stat()
        if not S_ISREG(there.st_mode) and not S_ISDIR(there.st_mode):  # a pipe has no end to wait for
            raise DataError(Problem("this is no file, but a pipe, a socket or a device.", file=str(path)))
        check_bytes(there.st_size, str(path), "the file")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(Problem(f"the image cannot be opened: {error.strerror}.", file=str(path))) from error
    return decode(data, name=str(path), indices=indices, nan=nan)


def decode(data: bytes, *, name: str, indices: bool = False, nan: bool = False) -> Tensor:
    """Return the image in the bytes of a file, as `read_image` does; errors say `name`."""
    with decoding(name):
        return stored_tensor(_planes(data, name, indices), name, indices, nan)


def from_pillow(picture: Image.Image, *, name: str, indices: bool = False) -> Tensor:
    """Return a picture of Pillow's as `read_image` does the file that it would come from.

    Raises DataError where it cannot be decoded, and where Pillow would drop half of its 16 bits.
    """
    with decoding(name):
        if _deep_channels(picture, name):
            message = "of a picture with 16 bits for each of several channels, Pillow keeps 8."
            hint = "give an array of uint16, or the file to `i2i translate`"
            raise DataError(Problem(message, file=name, hint=hint))
        return stored_tensor(_of_pillow(picture, indices), name, indices)


def from_array(array: np.ndarray[Any, Any], *, name: str) -> Tensor:
    """Return an array (H,W) or (H,W,C) of uint8, uint16 or floats as (C,H,W), floats as float32.

    Raises DataError for any other, and for values that are not finite.
    """
    kind = array.dtype
    if (
        array.ndim not in (2, 3)
        or 0 in array.shape
        or not (kind.kind == "f" or kind in (np.uint8, np.uint16))
    ):
        message = f"an array of {kind} with the shape {array.shape} is no picture."
        raise DataError(Problem(message, file=name, hint="(H,W) or (H,W,C) of uint8, uint16 or floats"))
    return stored_tensor(array[None] if array.ndim == 2 else array.transpose(2, 0, 1), name, indices=False)


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn what a decoder raises into a DataError about the file or picture `name`."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise too_large_for_memory(name) from error
    except UnidentifiedImageError:
        message = "this is not an image in a format that i2i reads."
        hint = f"formats: {', '.join(READABLE_SUFFIXES)}"
        raise DataError(Problem(message, file=name, hint=hint)) from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        message = f"the image cannot be decoded: {str(error).rstrip('.')}."
        hint = "the file may be damaged or cut short: replace or remove it"
        raise DataError(Problem(message, file=name, hint=hint)) from error


def stored_tensor(planes: np.ndarray[Any, Any], name: str, indices: bool, nan: bool = False) -> Tensor:
    """Return (C,H,W) at one of the three depths, as a tensor of its own."""
    return torch.from_numpy(np.array(_stored(planes, name, indices, nan), order="C"))


def image_spec(image: Tensor, *, span: tuple[float, float] | None = None) -> ImageSpec:
    """Return the spec of a decoded image; the values of `span` become -1 and 1.

    Without it those are the least and the greatest value that the image's integers can hold; of
    floating-point values nobody knows, and DataError asks for it.
    """
    channels, height, width = image.shape
    if span is None and image.is_floating_point():
        least, most = (float(bound) for bound in torch.aminmax(image))
        message = f"the values are floating-point numbers, here from {least:.4g} to {most:.4g}."
        raise DataError(Problem(message, hint="say which two values become black and white"))
    low, high = span or (0.0, float(torch.iinfo(image.dtype).max))
    return ImageSpec(channels, height, width, depth=DEPTHS[image.dtype], low=low, high=high)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file's name to a DataError that is raised inside and names none."""
    try:
        yield
    except DataError as error:
        if all(problem.file for problem in error.problems):
            raise
        raise DataError(*(replace(p, file=p.file or str(path)) for p in error.problems)) from error


def _planes(data: bytes, name: str, indices: bool) -> np.ndarray[Any, Any]:
    if data.startswith(npy.MAGIC):
        return npy.decode(data, name=name)
    formats = _PILLOW
    if data.startswith(tiff.MAGIC):
        decoded = tiff.decode(data, name=name)
        if decoded:
            return _turned(*decoded)
        formats = ["TIFF"]
    elif name.lower().endswith(".tga"):  # its bytes say of themselves nothing that could be relied on
        formats = [*formats, READ_ONLY[".tga"]]
    with pillow_without_its_own(), Image.open(io.BytesIO(data), formats=formats) as image:
        _check_size(image, name)
        # A JPEG may hold further pictures too, which cameras put there beside the photo.
        frames = getattr(image, "n_frames", 1) if image.format in ("GIF", "PNG", "WEBP") else 1
        if frames > 1:
            message = f"this file is an animation of {frames} images; one image a file is wanted."
            raise DataError(Problem(message, file=name))
        channels = _deep_channels(image, name)
        if channels:
            image.load()  # the orientation may stand behind the pixels
            array = deep_png.decode(data, height=image.height, width=image.width, channels=channels)
            return _turned(array.transpose(2, 0, 1), image.getexif().get(_ORIENTATION, 1))
        return _of_pillow(image, indices)


def _of_pillow(image: Image.Image, indices: bool) -> np.ndarray[Any, Any]:
    array = np.array(_upright(image, indices))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _check_size(image: Image.Image, name: str) -> None:
    """Refuse a header that asks for more bytes than an image may take, before they are asked for."""
    stored = [str(tile.args) for tile in getattr(image, "tile", [])]
    deep = image.mode.startswith("I;16") or any(";16" in args for args in stored)
    channels = 4 if image.mode == "P" else len(image.getbands())
    one = 4 if image.mode in ("I", "F") else 2 if deep else 1
    check_bytes(
        image.width * image.height * channels * one, name, f"{image.width} x {image.height} pixels of it"
    )


def _upright(image: Image.Image, indices: bool) -> Image.Image:
    """Return `image` rotated as its EXIF says, in a mode whose channels are what is wanted."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return upright
    if indices and upright.mode in ("1", "L", "P"):
        return upright
    if upright.has_transparency_data:
        return upright.convert("RGBA")
    if upright.mode in ("1", "L"):
        return upright.convert("L")
    return upright.convert("RGB")


def _turned(planes: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """Return (C,H,W) turned upright from one of EXIF's eight orientations."""
    if orientation in (5, 6, 7, 8):
        planes = planes.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        planes = planes[:, ::-1]
    if orientation in (2, 3, 6, 7):
        planes = planes[:, :, ::-1]
    return planes


def _deep_channels(image: Image.Image, name: str) -> int:
    """Return 3 or 4 for RGB or RGBA of 16 bits a channel, of which Pillow would drop half, and else 0."""
    stored = [tile.args for tile in getattr(image, "tile", [])]
    deep = [mode for mode in stored if isinstance(mode, str) and mode.endswith(";16B")]
    if not deep or image.mode.startswith("I;16"):
        return 0
    channels = {"RGB;16B": 3, "RGBA;16B": 4}.get(deep[0], 0)
    if not channels or "transparency" in image.info:
        message = "grey with transparency at 16 bits a channel cannot be read without loss."
        raise DataError(Problem(message, file=name, hint="save it as RGBA, or without transparency"))
    return channels


def _stored(array: np.ndarray[Any, Any], name: str, indices: bool, nan: bool) -> np.ndarray[Any, Any]:
    """Return the same values at one of the three depths."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.uint8) * (1 if indices else 255)
    if kind == "f" or (kind == "i" and size <= 2):
        with np.errstate(over="ignore"):  # a double that no float holds becomes infinite, and is told
            values = array.astype(np.float32)
        strange = ~np.isfinite(values)
        if nan:
            strange &= ~np.isnan(values)
        if strange.any():
            raise DataError(_not_finite(values, strange, name))
        return values
    if kind == "u" and size <= 2:
        return array.astype(array.dtype.newbyteorder("="))
    if kind in "iu" and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)
    message = f"values of {array.dtype} cannot be kept: images have uint8, uint16 or float32."
    raise DataError(Problem(message, file=name, hint="save it as one of those"))


def _not_finite(values: np.ndarray[Any, Any], strange: np.ndarray[Any, Any], name: str) -> Problem:
    what = "NaN" if np.isnan(values[strange]).all() else "NaN or infinity"
    share = f"{int(strange.sum()):,} of {values.size:,}"
    hint = 'replace them by a number; where NaN stands for no data, say data.nodata = "nan"'
    return Problem(f"the image has values that are not finite ({what}): {share}.", file=name, hint=hint)
