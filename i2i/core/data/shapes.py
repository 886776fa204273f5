"""Drawn pairs for trying things out: outlines of shapes, and the same shapes in their colours.

Made as they are asked for, so they need neither files nor a network. Figures mean nothing beyond this set.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from i2i.kinds import ImageSpec, PairSpec, Split
from i2i.seeds import generator_for
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

SIDES = (0, 3, 4)
"""A circle, a triangle, a square, by their number of straight sides."""

COLOURS = ((0.85, 0.25, 0.20), (0.95, 0.75, 0.15), (0.20, 0.40, 0.80))
"""What each of them is filled with: red, yellow, blue."""

LINE = 0.02
"""Half the width of an outline, in parts of the image's shorter side; never less than `THINNEST` pixels."""

THINNEST = 0.6


class Shapes:
    """Circles, triangles and squares: black outlines on white, to be filled by what each of them is.

    RGB uint8, (3,H,W) on both sides. A circle is red, a triangle yellow, a square blue; figures have any
    size, place and angle, and later ones cover earlier ones. Item i of a split is always the same picture,
    whatever `count` says, and at another size the same one at that size. Validation and test have a tenth of
    `count` pairs each, and no picture of the training.

    Args:
        size: height and width in pixels, one number for a square.
        count: pairs to train on.
        figures: the most that one picture has; the least is one.
    """

    def __init__(
        self,
        split: Split,
        *,
        size: Count | tuple[Count, Count] = (64, 64),
        count: Count = 1000,
        figures: Count = 3,
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        side = ImageSpec(channels=3, height=height, width=width)
        self.spec = PairSpec(side, side)
        self._split = split
        self._count = count if split == "train" else max(1, count // 10)
        self._figures = figures

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = generator_for(0, "shapes", self._split, index)
        height, width = self.spec.source.size
        short = min(height, width)
        y, x = torch.meshgrid(_centres(height, short), _centres(width, short), indexing="ij")
        line = max(LINE, THINNEST / short)
        source, target = torch.ones(3, height, width), torch.ones(3, height, width)
        for _ in range(int(torch.randint(self._figures, (), generator=rng)) + 1):
            kind = int(torch.randint(len(SIDES), (), generator=rng))
            across, down, radius, angle = torch.rand(4, generator=rng).tolist()
            distance = _distance(
                x - across * width / short,
                y - down * height / short,
                radius=0.15 + 0.2 * radius,
                angle=2 * math.pi * angle,
                sides=SIDES[kind],
            )
            inside, outline = _covered(distance, short), _covered(distance.abs() - line, short)
            source = torch.lerp(source, torch.ones(3, 1, 1), inside) * (1 - outline)
            target = torch.lerp(target, torch.tensor(COLOURS[kind])[:, None, None], inside) * (1 - outline)
        return {"source": _stored(source), "target": _stored(target), "id": self._id(index)}

    @property
    def ids(self) -> list[str]:
        """The id of each pair."""
        return [self._id(index) for index in range(self._count)]

    def _id(self, index: int) -> str:
        return f"{self._split}-{index:05d}"


def _centres(pixels: int, short: int) -> Tensor:
    """Return where the centres of a row of pixels are, in parts of the image's shorter side."""
    return (torch.arange(pixels) + 0.5) / short


def _distance(x: Tensor, y: Tensor, *, radius: float, angle: float, sides: int) -> Tensor:
    """Return how far each point is outside a regular figure around 0, negative inside.

    `radius` is that of a circle, and of the circle through a polygon's corners.
    """
    if not sides:
        return torch.hypot(x, y) - radius
    turns = [angle + 2 * math.pi * side / sides for side in range(sides)]
    reach = torch.stack([x * math.cos(turn) + y * math.sin(turn) for turn in turns])
    return reach.amax(dim=0) - radius * math.cos(math.pi / sides)


def _covered(distance: Tensor, short: int) -> Tensor:
    """Return how much of each pixel lies within a shape's edge, 0 to 1."""
    return (0.5 - distance * short).clamp(0, 1)


def _stored(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
