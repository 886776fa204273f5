"""How one image becomes bytes in a column, and the same tensor again: nothing is lost on the way.

Pictures are stored as PNG, maps of classes as a PNG of their indices, and what neither holds (floats, stacks
of several files) as NumPy's bytes. Nothing is pickled.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch

from i2i.errors import DataError, Problem
from i2i.images import decode, png_bytes
from i2i.kinds import ImageSpec
from i2i_datasets.manifest import Storage

if TYPE_CHECKING:
    from torch import Tensor

IN_PNG = {("uint8", channels) for channels in (1, 3, 4)} | {("uint16", channels) for channels in (1, 3, 4)}
"""Depths and numbers of channels that a PNG holds, read back to the bit."""

ENDED = "the file may be damaged or cut short: pack its pairs anew"


def storage_for(spec: ImageSpec) -> Storage:
    """Return how images of `spec` are stored."""
    if spec.one_hot and spec.depth == "uint8" and (spec.low, spec.high) == (0.0, 1.0):
        return "classes"
    plain = not spec.labels and not spec.parts and (spec.depth, spec.channels) in IN_PNG
    return "picture" if plain else "array"


def encode(image: Tensor, storage: Storage) -> bytes:
    """Return a stored image (C,H,W), or any tensor that is stored as an "array", as bytes."""
    if storage == "picture":
        return png_bytes(image)
    if storage == "classes":
        depth = torch.uint8 if image.shape[0] <= 256 else torch.uint16
        return png_bytes(image.argmax(dim=0, keepdim=True).to(depth))
    buffer = io.BytesIO()
    np.save(buffer, image.contiguous().numpy(), allow_pickle=False)
    return buffer.getvalue()


def restore(data: bytes, storage: Storage, *, classes: int, name: str) -> Tensor:
    """Return the tensor that `encode` was given, or the picture in an image file's bytes.

    `classes` are those of a map of classes. Raises DataError, which says `name`, for damaged bytes.
    """
    if storage == "picture":
        return decode(data, name=name)
    if storage == "array":
        return _array(data, name)
    indices = decode(data, name=name)[0].long()
    if int(indices.max()) >= classes:
        message = f"this map of {classes} classes has the index {int(indices.max())}."
        raise DataError(Problem(message, file=name, hint=ENDED))
    return (indices == torch.arange(classes).view(-1, 1, 1)).to(torch.uint8)


def _array(data: bytes, name: str) -> Tensor:
    try:
        return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, TypeError, EOFError, OSError, MemoryError) as error:
        message = "these are no stored values: they cannot be read."
        raise DataError(Problem(message, file=name, hint=ENDED)) from error
