"""The values that an item has, held to what its data set says of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from i2i.errors import DataError
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


def _holds_every_value(said: ImageSpec, dtype: torch.dtype) -> bool:
    """Whether no value of integers of `dtype` is outside of the range."""
    if dtype.is_floating_point:
        return False
    bounds = torch.iinfo(dtype)
    return said.low <= bounds.min and bounds.max <= said.high
