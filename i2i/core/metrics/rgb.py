"""What metrics made for colour photos are shown: RGB, grey repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def as_rgb(image: Tensor, *, metric: str) -> Tensor:
    """Return (N,3,H,W) for (N,3,H,W) or (N,1,H,W); raise DataError, naming `metric`, for other channels."""
    channels = image.shape[1]
    if channels not in (1, 3):
        raise DataError(
            f"{metric} scores RGB or grey images, not images of {channels} channels: leave this metric out"
        )
    return image.expand(-1, 3, -1, -1)
