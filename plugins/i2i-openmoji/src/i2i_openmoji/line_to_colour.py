"""The data set: OpenMoji line drawings and the same emojis in colour, rendered at the size asked for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from i2i.errors import Problem, RecipeError
from i2i.kinds import ImageSpec, PairSpec, Split
from i2i.slot_keys import Count
from i2i_openmoji import cache
from i2i_openmoji.rendering import OPENMOJI_VERSION, RENDERER_VERSION, render_pair
from i2i_openmoji.selection import compute_names, shipped_names
from i2i_openmoji.splits import split_of

if TYPE_CHECKING:
    from torch import Tensor

LOGGED_EVERY = 200
"""Pairs between two words on how far the rendering has come."""

_log = logging.getLogger("i2i")


class LineToColour:
    """About 1,400 clean pairs, RGB uint8 on white, split by base code point.

    Rendered once for each size (seconds) and kept in the user's cache folder; a split takes
    6 x size x size bytes a pair, in the file and in memory. OpenMoji, https://openmoji.org.

    Args:
        size: height and width in pixels, which must be equal; one number will do.
    """

    credit = "Emojis by OpenMoji (https://openmoji.org), CC BY-SA 4.0; line drawings derived from them."

    def __init__(self, split: Split, *, size: Count | tuple[Count, Count] = (64, 64)) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            message = f"emojis are square: size cannot be {height} x {width}."
            raise RecipeError(Problem(message, where="data.size", hint=f"for example [{height}, {height}]"))
        side = ImageSpec(channels=3, height=height, width=width)
        self.spec = PairSpec(side, side)
        self.names = [name for name in _selection() if split_of(name) == split]
        self._pairs = _pairs(self.names, split, height)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        source, target = self._pairs[index]
        return {"source": source, "target": target, "id": self.names[index]}


def _selection() -> list[str]:
    """Return the names of the clean pairs: shipped, kept from before, or computed now."""
    names = shipped_names(OPENMOJI_VERSION)
    if names is not None:
        return names
    path = cache.cache_folder() / f"{OPENMOJI_VERSION}-resvg-{RENDERER_VERSION}-selection.json"
    names = cache.read_names(path)
    if names is None:
        names = compute_names()
        cache.write_names(path, names)
    return names


def _pairs(names: list[str], split: Split, size: int) -> Tensor:
    """Return the pairs of `names`, uint8 (N,2,3,size,size): kept from before, or rendered now."""
    path = cache.cache_folder() / f"{OPENMOJI_VERSION}-resvg-{RENDERER_VERSION}-{split}-{size}.safetensors"
    kept = cache.read_pairs(path, names, size)
    if kept is not None:
        return kept
    pairs = torch.empty(len(names), 2, 3, size, size, dtype=torch.uint8)
    for index, name in enumerate(names):
        if index % LOGGED_EVERY == 0:
            _log.info(
                "rendering OpenMoji pairs (%s) at %d px, once: %d of %d", split, size, index, len(names)
            )
        pairs[index] = render_pair(name, size)
    cache.write_pairs(path, names, pairs)
    return pairs
