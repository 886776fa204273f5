"""The values that an item has, held to what its data set says of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from i2i.errors import DataError
from i2i.images import DTYPES
from i2i.kinds import ImageSpec, PairSpec, Side

TOLERANCE = 1e-3
"""How far a value may be outside of the range, in parts of it: what rounding does."""


def least_and_most(image: Tensor) -> tuple[float, float]:
    """Return the least and the greatest value of a stored image; NaN where one is no number."""
    # torch has no minimum of 16-bit integers
    least, most = torch.aminmax(image.int() if image.dtype == torch.uint16 else image)
    return float(least), float(most)


def check_values(item: Any, spec: PairSpec) -> None:
    """Raise DataError for an item whose values are not finite, or outside of what the data set says."""
    sides: tuple[Side, Side] = ("source", "target")
    for side in sides:
        image, said = item[side], spec.side(side)
        if _holds_every_value(said, image.dtype):
            continue
        least, most = least_and_most(image)
        what = f"the {side} of '{item['id']}' has values"
        if not (math.isfinite(least) and math.isfinite(most)):
            raise DataError(f"{what} that are not finite (NaN or infinity).")
        room = TOLERANCE * (said.high - said.low)
        if least < said.low - room or most > said.high + room:
            raise DataError(
                f"{what} from {least:g} to {most:g}, and the data set says {said.low:g} to {said.high:g}."
            )


def parts_fault(side: ImageSpec) -> str:
    """Return what is wrong with the parts that a side says it has, and what would be right, or nothing."""
    if not side.parts:
        return ""
    names = [part.name for part in side.parts]
    channels = sum(part.channels for part in side.parts)
    if not all(names) or len({*names}) < len(names):
        return f"the parts {', '.join(map(repr, names))}: give each a name of its own"
    if channels != side.channels:
        return f"{side.channels} channel(s), and its parts have {channels}: let these add up"
    if side.labels or side.palette:
        return "`labels` or a `palette` beside its parts: say that of the part which is a label map"
    if strange := [part for part in side.parts if part.depth not in DTYPES or not part.low < part.high]:
        one = strange[0]
        told = f"the part '{one.name}' of {one.depth!r} from {one.low:g} to {one.high:g}"
        return f"{told}: depths are {', '.join(DTYPES)}, and low is below high"
    own = (side.depth, side.low, side.high)
    if own != ("float32", -1, 1) and any(own != (part.depth, part.low, part.high) for part in side.parts):
        return "parts stored otherwise than itself: say float32 from -1 to 1, and map each range to that"
    return ""


def _holds_every_value(said: ImageSpec, dtype: torch.dtype) -> bool:
    """Whether no value of integers of `dtype` is outside of the range."""
    if dtype.is_floating_point:
        return False
    bounds = torch.iinfo(dtype)
    return said.low <= bounds.min and bounds.max <= said.high
