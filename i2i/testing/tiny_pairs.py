"""A data set that costs nothing: made up on the spot, the same each time, and learnable in a few steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge

from i2i.kinds import ImageSpec, PairSpec, Part, Split
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = (32, 96, 160, 224)
"""The values that a source has."""


class TinyPairs:
    """Rectangles of flat colour on flat ground; the target is their negative, brighter towards the right.

    Sides are uint8 (C,H,W); the source has four colours, which can pass for labels. Splits hold different
    pairs.

    Args:
        size: height and width in pixels; one number for a square.
        count: pairs in each split.
        source_channels: channels of the source.
        target_channels: channels of the target.
        parts: the target has two files: its first channel, "first", and the others, "rest".
    """

    def __init__(
        self,
        split: Split = "train",
        *,
        size: Count | tuple[Count, Count] = 16,
        count: Annotated[int, Ge(1)] = 6,
        source_channels: Count = 3,
        target_channels: Count = 3,
        parts: bool = False,
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        target = ImageSpec(target_channels, height, width)
        if parts:
            of_each = {"first": 1, "rest": target_channels - 1}
            target = replace(
                target, parts=tuple(Part(name, n, "uint8", 0.0, 255.0) for name, n in of_each.items())
            )
        self.spec = PairSpec(ImageSpec(source_channels, height, width), target)
        self.split: Split = split
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(1000 * ("train", "val", "test").index(self.split) + index)
        source = self._rectangles(rng)
        height, width = self.spec.source.size
        light = torch.linspace(-20, 20, width).expand(height, width)
        target = 255 - source.float().mean(dim=0, keepdim=True).expand(self.spec.target.channels, -1, -1)
        return {
            "source": source,
            "target": (target + light).clamp(0, 255).round().to(torch.uint8),
            "id": f"{self.split}-{index}",
        }

    def _rectangles(self, rng: torch.Generator) -> Tensor:
        spec = self.spec.source
        image = self._colour(rng).expand(-1, spec.height, spec.width).clone()
        for _ in range(3):
            (top, bottom), (left, right) = (
                sorted(torch.randint(0, side + 1, (2,), generator=rng).tolist()) for side in spec.size
            )
            image[:, top:bottom, left:right] = self._colour(rng)
        return image

    def _colour(self, rng: torch.Generator) -> Tensor:
        first = int(torch.randint(0, len(LEVELS), (), generator=rng))
        values = [LEVELS[(first + channel) % len(LEVELS)] for channel in range(self.spec.source.channels)]
        return torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1)
