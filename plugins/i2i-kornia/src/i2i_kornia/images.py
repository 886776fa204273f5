"""What kornia's functions are shown: float32 in [0,1], and RGB where they want colours."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from i2i.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor


def unit(image: Tensor) -> Tensor:
    """Return an image in [-1,1] as float32 in [0,1]."""
    return (image.float() + 1) / 2


def exact(image: Tensor) -> AbstractContextManager[None]:
    """Return the context in which kornia's convolutions stay in float32 where networks run in less."""
    return torch.autocast(image.device.type, enabled=False)


def as_rgb(image: Tensor, *, owner: str) -> Tensor:
    """Return (B,3,H,W) for (B,3,H,W) or (B,1,H,W); raise RecipeError, naming `owner`, for other channels."""
    channels = image.shape[1]
    if channels not in (1, 3):
        raise RecipeError(
            f"{owner} compares RGB or grey images, not images of {channels} channels: leave it out."
        )
    return image.expand(-1, 3, -1, -1)


def check_size(image: Tensor, smallest: int, *, owner: str, key: str | None = None) -> None:
    """Raise RecipeError where a side of the image is under `smallest`, which the recipe's `key` decides."""
    height, width = image.shape[-2:]
    if min(height, width) < smallest:
        either = f"lower its '{key}'" if key else "leave it out"
        raise RecipeError(
            f"{owner} needs images of at least {smallest}x{smallest} pixels, not {height}x{width}: "
            f"{either}, or take larger images."
        )
