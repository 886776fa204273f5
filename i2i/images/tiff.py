"""TIFF files of any number of channels, at 8 or 16 bits or as floats.

Channels may be interleaved, in planes, or in pages of their own. Compressions that need more than Python
has are decoded by the package imagecodecs, which is the extra `formats`. Palettes, CMYK and other colour
that must be converted, and what needs imagecodecs where it is not installed, are left to Pillow where it
keeps every bit; where it would not, the file is refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import tifffile
from PIL import TiffImagePlugin

from i2i.errors import DataError, Problem
from i2i.images.limits import check_bytes, check_expansion

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 274
_AS_STORED = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
_EXPANDING: Mapping[int, str] = {
    tifffile.COMPRESSION.ADOBE_DEFLATE: "deflate",
    tifffile.COMPRESSION.DEFLATE: "deflate",
    tifffile.COMPRESSION.LZMA: "lzma",
}
_CONVERTED: Mapping[int, int] = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.PALETTE: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
    tifffile.PHOTOMETRIC.SEPARATED: 4,
    tifffile.PHOTOMETRIC.YCBCR: 3,
}
_LOSSY = (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG)
_PILLOW_DECODES = frozenset(TiffImagePlugin.COMPRESSION_INFO) - {tifffile.COMPRESSION.WEBP}
"""Compressions that every build of Pillow decodes; WebP inside a TIFF is left out of most."""
_SAVED_ANEW = "save it at 8, 16 or 32 bits, without compression or by deflate, and without a predictor"


def decode(data: bytes, *, name: str) -> tuple[np.ndarray[Any, Any], int] | None:
    """Return the first image as (C,H,W) and its EXIF orientation; None where Pillow keeps every bit of it.

    Raises DataError, naming the file, for stacks, and for what nobody here decodes without loss.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series, page = file.series[0], file.pages.first
        _check_size(series, name)
        _check_alone(file, name)
        _check_expansion(data, series, name)
        pillow_keeps = len(series.pages) == 1 and _pillow_keeps(page)
        if pillow_keeps and page.compression in _LOSSY:
            return None  # decoders of JPEG may differ in a bit, so it is always the same one
        array = _array(series) if _as_stored(page) else None
        if array is not None:
            tag = page.tags.get(_ORIENTATION)
            return _channels_first(array, series.axes, name), int(tag.value) if tag else 1
        if pillow_keeps:
            return None
        problem, hint = _loss(page)
    message = f"this kind of TIFF cannot be read without loss: {problem}."
    raise DataError(Problem(message, file=name, hint=hint))


def encode(
    array: np.ndarray[Any, Any],
    *,
    resolution: tuple[float, float, int] | None = None,
    profile: bytes = b"",
    tags: Sequence[tuple[int, Any, int, Any, bool]] = (),
) -> bytes:
    """Return (H,W) or (H,W,C) as the bytes of a TIFF file, compressed by deflate.

    `resolution` is that across and down with TIFF's number for its unit, `profile` an ICC profile, and
    `tags` are further ones: code, type, count, value, and that the first page has it.
    """
    channels = 1 if array.ndim == 2 else array.shape[2]
    colour = channels in (3, 4) and array.dtype != np.float32
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        photometric="rgb" if colour else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=("unassalpha",) if colour and channels == 4 else None,
        compression="zlib",
        metadata=None,
        software=False,
        resolution=resolution[:2] if resolution else None,
        resolutionunit=resolution[2] if resolution else None,
        iccprofile=profile or None,
        extratags=list(tags),
    )
    return buffer.getvalue()


def _array(series: tifffile.TiffPageSeries) -> np.ndarray[Any, Any] | None:
    """Return what is stored, or None where decoding it needs imagecodecs, or more than that has."""
    try:
        return series.asarray(maxworkers=1)  # the processes that load data are enough
    except ImportError:  # Zstandard, which Python has since version 3.14
        return None
    except (NotImplementedError, ValueError) as error:
        if "imagecodecs" not in str(error):
            raise
        return None


def _as_stored(page: tifffile.TiffPage) -> bool:
    """Return whether the values of a page are those of the image's channels."""
    return page.photometric in _AS_STORED and page.bitspersample >= 8


def _loss(page: tifffile.TiffPage) -> tuple[str, str]:
    """Say what it is in a page that is not read, and what to do about it."""
    if not _as_stored(page):
        return f"{tifffile.PHOTOMETRIC(page.photometric).name} of {page.bitspersample} bits", _SAVED_ANEW
    stored = f"{tifffile.COMPRESSION(page.compression).name} of {page.bitspersample} bits"
    if page.compression == tifffile.COMPRESSION.NONE:
        stored = f"{page.bitspersample} bits a value"
    if page.predictor > 1:
        stored += f" with the predictor {tifffile.PREDICTOR(page.predictor).name}"
    if find_spec("imagecodecs") is None:
        stored += ", for which imagecodecs is missing"
        return stored, f"install i2i-toolkit[formats], or {_SAVED_ANEW}"
    return f"{stored}, which imagecodecs does not decode", _SAVED_ANEW


def _channels_first(array: np.ndarray[Any, Any], axes: str, name: str) -> np.ndarray[Any, Any]:
    """Return an array whose axes tifffile names as (C,H,W).

    An array (H,W,C) that was written without a word on its axes lies in H pages of the size W x C; it is
    told by its last axis being the smaller, as in a .npy file.
    """
    others = [place for place, axis in enumerate(axes) if axis not in "YX" and array.shape[place] > 1]
    if len(others) > 1:
        sizes = " x ".join(str(array.shape[place]) for place in others)
        message = f"this file is a stack of images ({sizes}); one image a file is wanted."
        raise DataError(Problem(message, file=name))
    kept = [*others, axes.index("Y"), axes.index("X")]
    single = [place for place in range(array.ndim) if place not in kept]
    planes = array.transpose(*single, *kept).reshape([array.shape[place] for place in kept])
    if not others:
        return planes[None]
    unnamed = axes[others[0]] not in "SC"
    return planes.transpose(2, 0, 1) if unnamed and planes.shape[0] > planes.shape[2] else planes


def _check_alone(file: tifffile.TiffFile, name: str) -> None:
    """Refuse a file whose pages are several images; a smaller copy or a mask of the first one is none."""
    others = [one for one in file.series[1:] if not (one.keyframe.is_reduced or one.keyframe.is_mask)]
    if others:
        message = f"this file holds {len(others) + 1} images of different kinds; one image a file is wanted."
        raise DataError(Problem(message, file=name))


def _check_size(series: tifffile.TiffPageSeries, name: str) -> None:
    """Refuse a header that asks for more bytes than an image may take, before they are asked for."""
    page = series.keyframe
    said = f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} channel(s)"
    check_bytes(max(series.nbytes, _bytes_of_a_piece(page)), name, said)


def _bytes_of_a_piece(page: tifffile.TiffPage) -> int:
    """Return how many bytes a tile of a page has, or a strip at most."""
    height, width = (
        (page.tilelength, page.tilewidth) if page.is_tiled else (page.imagelength, page.imagewidth)
    )
    return int(height * width * page.imagedepth * page.samplesperpixel * max(page.bitspersample, 8) // 8)


def _check_expansion(data: bytes, series: tifffile.TiffPageSeries, name: str) -> None:
    """Refuse compressed data that become far more than the image: Python's own decoders would follow."""
    kind = _EXPANDING.get(series.keyframe.compression)
    if kind is None:
        return
    pieces = (
        data[offset : offset + count]
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    )
    check_expansion(pieces, kind, _bytes_of_a_piece(series.keyframe), name)


def _pillow_keeps(page: tifffile.TiffPage) -> bool:
    samples, bits = page.samplesperpixel, page.bitspersample
    if page.compression not in _PILLOW_DECODES or (page.compression in _LOSSY and bits != 8):
        return False
    if page.photometric == tifffile.PHOTOMETRIC.MINISBLACK and samples == 1:
        deep = (page.dtype, bits) in ((np.dtype(np.uint16), 12), (np.dtype(np.uint16), 16))
        return bits <= 8 or deep or page.dtype == np.dtype(np.float32)
    alpha = page.photometric == tifffile.PHOTOMETRIC.RGB and samples == 4 and page.extrasamples[0] in (1, 2)
    return bits <= 8 and (samples == _CONVERTED.get(page.photometric) or alpha)
