"""How much one image file may take to decode: bytes are counted, not pixels, before they are asked for."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from i2i.errors import DataError, Problem

MOST_BYTES = 2**31
"""Bytes that an image file may have, and that its pixels may take."""

UNSEEN_BYTES = 2**28
"""Bytes that a compressed piece of a file may become without a look at it."""

EXPANSION = {"deflate": 1032, "lzma": 7200}
"""How many bytes one compressed byte becomes at most."""

_STEP = 2**24


def check_bytes(count: float, name: str, what: str) -> None:
    """Raise DataError, naming the file, where more than `MOST_BYTES` would be needed for `what`."""
    if count > MOST_BYTES:
        message = f"{what} would take {count / 2**30:,.1f} GiB, and an image may take {MOST_BYTES / 2**30:g}."
        raise DataError(Problem(message, file=name, hint="cut it into smaller images, or leave it out"))


def too_large_for_memory(name: str) -> DataError:
    """Return the error for a file that there was not enough memory for."""
    message = "there is not enough memory to decode this image."
    return DataError(Problem(message, file=name, hint="cut it into smaller images, or leave it out"))


def check_expansion(pieces: Iterator[bytes], kind: str, said: int, name: str) -> None:
    """Raise DataError for a compressed piece that becomes far more than the `said` bytes of the image."""
    room = 2 * said + 2**16
    for piece in pieces:
        if len(piece) * EXPANSION[kind] > max(room, UNSEEN_BYTES) and _expands_past(piece, kind, room):
            message = f"its compressed data become more than the {said:,} bytes of its image."
            raise DataError(Problem(message, file=name, hint="the file may be made to harm: remove it"))


def _expands_past(piece: bytes, kind: str, most: int) -> bool:
    """Whether a compressed piece becomes more than `most` bytes, of which few are in memory at a time."""
    total, rest = 0, piece
    if kind == "deflate":
        inflating = zlib.decompressobj()
        while rest and not inflating.eof and total <= most:
            total += len(inflating.decompress(rest, _STEP))
            rest = inflating.unconsumed_tail
        return total > most
    unpacking = lzma.LZMADecompressor()
    while not unpacking.eof and total <= most:
        step = len(unpacking.decompress(rest, _STEP))
        if not step and unpacking.needs_input:
            break
        total, rest = total + step, b""
    return total > most


@contextmanager
def pillow_without_its_own() -> Iterator[None]:
    """Lift the limit of pixels that Pillow has for all of its images, while one of ours is opened."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
