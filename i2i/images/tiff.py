"""TIFF files of any number of channels, at 8 or 16 bits or as floats.

Channels may be interleaved, in planes, or in pages of their own. Compressions that need more than Python
has are decoded by the package imagecodecs, which is the extra `formats`. Palettes, CMYK and other colour
that must be converted, and what needs imagecodecs where it is not installed, are left to Pillow where it
keeps every bit; where it would not, the file is refused.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

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
_PLAIN = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE)
_STRIP, _MOST = 2**18, 2**32 - 2**25
"""Bytes of a strip before it is compressed, and of an image that takes no BigTIFF; as tifffile has them."""
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


def is_tiff(path: Path) -> bool:
    """Whether a file says that it is one; raises OSError where it cannot be opened."""
    with path.open("rb") as file:
        return file.read(4).startswith(MAGIC)


def upright_size(file: tifffile.TiffFile) -> tuple[int, int] | None:
    """Return the height and width of an image, turned as it says; None where it lies in several pages."""
    page = file.pages.first
    if len(file.series[0].pages) != 1:
        return None
    tag = page.tags.get(_ORIENTATION)
    size = page.imagelength, page.imagewidth
    return size[::-1] if tag and int(tag.value) in (5, 6, 7, 8) else size


def page_of_pieces(file: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """Return the only page of a file whose strips or tiles hold the rows of its image, one after the other.

    None for any other, of which `decode` makes what can be made. Its pieces are interleaved, upright, and
    need nothing to be decoded that Python does not have.
    """
    series, page = file.series[0], file.pages.first
    _check_alone(file, str(file.filehandle.path))
    tag = page.tags.get(_ORIENTATION)
    plain = (
        len(series.pages) == 1
        and series.axes in ("YX", "YXS")
        and series.shape[:2] == (page.imagelength, page.imagewidth)
        and _as_stored(page)
        and page.compression in _PLAIN
        and page.predictor == 1
        and page.dtype is not None
        and page.bitspersample == 8 * page.dtype.itemsize
        and (page.planarconfig == tifffile.PLANARCONFIG.CONTIG or page.samplesperpixel == 1)
        and (tag is None or int(tag.value) == 1)
    )
    return page if plain else None


def check_piece(data: bytes, page: tifffile.TiffPage, name: str) -> None:
    """Refuse a compressed strip or tile that becomes far more than it may hold."""
    kind = _EXPANDING.get(page.compression)
    if kind is not None:
        check_expansion(iter([data]), kind, _bytes_of_a_piece(page), name)


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
    buffer = io.BytesIO()
    channels = 1 if array.ndim == 2 else array.shape[2]
    about = _about(channels, array.dtype, resolution, profile, tags)
    tifffile.imwrite(buffer, array, **about)
    return buffer.getvalue()


def write_bands(
    file: BinaryIO,
    bands: Iterable[np.ndarray[Any, Any]],
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    resolution: tuple[float, float, int] | None = None,
    profile: bytes = b"",
    tags: Sequence[tuple[int, Any, int, Any, bool]] = (),
) -> None:
    """Write an image of the `shape` (H,W,C) that comes in bands (h,W,C), from the top; as `encode` would.

    It is a BigTIFF where the image has more bytes than others can hold.
    """
    height, width, channels = shape
    row = width * channels * dtype.itemsize
    rows = min(height, max(1, _STRIP // row))
    with tifffile.TiffWriter(file, bigtiff=height * row > _MOST) as writer:
        writer.write(
            (zlib.compress(np.ascontiguousarray(strip).tobytes()) for strip in _strips(bands, rows)),
            shape=(height, width) if channels == 1 else shape,
            dtype=dtype,
            rowsperstrip=rows,
            **_about(channels, dtype, resolution, profile, tags),
        )


def _strips(bands: Iterable[np.ndarray[Any, Any]], rows: int) -> Iterator[np.ndarray[Any, Any]]:
    """Yield bands anew, each of so many rows but the last."""
    rest: np.ndarray[Any, Any] | None = None
    for band in bands:
        whole = band if rest is None else np.concatenate([rest, band])
        full = len(whole) // rows * rows
        for first in range(0, full, rows):
            yield whole[first : first + rows]
        rest = whole[full:]
    if rest is not None and len(rest):
        yield rest


def _about(
    channels: int,
    dtype: np.dtype[Any],
    resolution: tuple[float, float, int] | None,
    profile: bytes,
    tags: Sequence[tuple[int, Any, int, Any, bool]],
) -> dict[str, Any]:
    """Return how tifffile is told to write an image."""
    colour = channels in (3, 4) and dtype != np.float32
    return {
        "photometric": "rgb" if colour else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": ("unassalpha",) if colour and channels == 4 else None,
        "compression": "zlib",
        "metadata": None,
        "software": False,
        "resolution": resolution[:2] if resolution else None,
        "resolutionunit": resolution[2] if resolution else None,
        "iccprofile": profile or None,
        "extratags": list(tags),
    }


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
