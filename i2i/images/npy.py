"""NumPy's .npy files: (H,W), (H,W,C) or (C,H,W); never pickled ones.

Of three axes the smaller of the first and the last holds the channels, the last when they are equal.
Written are (H,W) and (H,W,C).
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from i2i.errors import DataError, Problem

MAGIC = b"\x93NUMPY"


def decode(data: bytes, *, name: str) -> np.ndarray[Any, Any]:
    """Return the array as (C,H,W); raise DataError, naming the file, for one that is no image."""
    buffer = io.BytesIO(data)
    version = npy_format.read_magic(buffer)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(buffer)
    if dtype.hasobject or len(shape) not in (2, 3) or 0 in shape:
        message = f"an array of {dtype} with the shape {shape} is no image."
        raise DataError(Problem(message, file=name, hint="(H,W), (H,W,C) or (C,H,W) of numbers"))
    # From the bytes that are there: a header may claim more than memory can hold.
    flat = np.frombuffer(data, dtype, count=math.prod(shape), offset=buffer.tell())
    array = flat.reshape(shape, order="F" if fortran else "C")
    if array.ndim == 2:
        return array[None]
    return array if shape[0] < shape[2] else array.transpose(2, 0, 1)


def encode(array: np.ndarray[Any, Any]) -> bytes:
    """Return (H,W) or (H,W,C) as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
