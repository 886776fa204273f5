"""Rows of an image file, so that a large image need not be in memory as a whole.

A TIFF whose pixels are stored in strips or tiles as this package writes them is read piece by piece. Of any
other file the image is decoded once, with its values as stored, and cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import tiff
from i2i.images.limits import check_bytes, pillow_without_its_own
from i2i.images.reading import decoding, read_image, stored_tensor


@dataclass(frozen=True)
class ImageRows:
    """An image of `height` x `width` pixels; `read(first, end)` returns rows of it, (C,n,W) as stored."""

    height: int
    width: int
    read: Callable[[int, int], Tensor]


def pixels_of(path: Path) -> tuple[int, int] | None:
    """Return the height and width of an image file as its header tells them, or None where it does not.

    Of an image that is to be turned they may be in the other order: to know that, some have to be decoded.
    """
    try:
        if tiff.is_tiff(path):
            with tifffile.TiffFile(path) as opened:
                return tiff.upright_size(opened)
        with pillow_without_its_own(), Image.open(path) as image:
            return image.height, image.width
    except Exception:  # what is wrong with it is said when it is read
        return None


@contextmanager
def opened_rows(path: Path, *, indices: bool = False) -> Iterator[ImageRows]:
    """Open an image file for reading rows; `indices` is that of `read_image`.

    Raises DataError, naming the file, for one that cannot be read.
    """
    pieces = None
    with ExitStack() as stack:
        with decoding(str(path)):
            if tiff.is_tiff(path):
                page = tiff.page_of_pieces(stack.enter_context(tifffile.TiffFile(path)))
                pieces = None if page is None else _Pieces(page, str(path))
        if pieces is not None:
            yield ImageRows(*pieces.size, pieces.read)
            return
    image = read_image(path, indices=indices)
    yield ImageRows(image.shape[1], image.shape[2], lambda first, end: image[:, first:end])


class _Pieces:
    """The strips or tiles of a page, decoded as they are asked for; those of the last rows are kept."""

    def __init__(self, page: tifffile.TiffPage, name: str) -> None:
        self._page, self._name = page, name
        self._height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        self._across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        self._kept: dict[int, np.ndarray[Any, Any]] = {}
        said = f"{page.imagewidth} x {self._height} pixels of it"
        samples = self._height * page.imagewidth * page.samplesperpixel
        check_bytes(samples * page.bitspersample // 8, name, said)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._page.imagelength, self._page.imagewidth

    def read(self, first: int, end: int) -> Tensor:
        """Return rows (C,n,W) as stored."""
        with decoding(self._name):
            numbers = range(first // self._height, -(-end // self._height))
            self._kept = {number: self._row(number) for number in numbers}
            stacked = (
                np.concatenate(list(self._kept.values())) if len(numbers) > 1 else self._kept[numbers[0]]
            )
            above = numbers[0] * self._height
            return stored_tensor(
                stacked[first - above : end - above].transpose(2, 0, 1), self._name, indices=False
            )

    def _row(self, number: int) -> np.ndarray[Any, Any]:
        """Return a row of pieces, (h,W,C)."""
        if number in self._kept:
            return self._kept[number]
        page, places = self._page, range(number * self._across, (number + 1) * self._across)
        found = [self._piece(place) for place in places]
        whole = np.concatenate(found, axis=1) if len(found) > 1 else found[0]
        return whole[: page.imagelength - number * self._height, : page.imagewidth]

    def _piece(self, place: int) -> np.ndarray[Any, Any]:
        page = self._page
        offset, count = page.dataoffsets[place], page.databytecounts[place]
        check_bytes(count, self._name, "a piece of it")
        handle = page.parent.filehandle
        handle.seek(offset)
        data = handle.read(count)
        if len(data) < count:
            raise DataError(Problem("the image is cut short.", file=self._name, hint="replace or remove it"))
        tiff.check_piece(data, page, self._name)
        decoded, _, shape = page.decode(data if count else None, place)
        if decoded is None:  # a piece that is left out holds no data
            return np.full(shape[1:], page.nodata, page.dtype)
        return np.asarray(decoded).reshape(shape[1:])
