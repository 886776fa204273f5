"""An edge that the input does not tell: why L1 keeps edges and L2 smears them, in pictures of one edge each.

Made as they are asked for. The place of the edge has a distribution of a closed form, so the best answers
under L1 and L2 are known exactly, and what a trained network answers can be held against them.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge

from i2i.kinds import ImageSpec, PairSpec, Split
from i2i.seeds import generator_for
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

BAND = (1 / 8, 7 / 8)
"""Where the band begins and ends within which the edge stands, in parts of the width."""

SCALE = 1 / 4
"""How fast the edge becomes unlikely from the band's left end on, in parts of the width."""

REACH = BAND[1] - BAND[0]
MASS = -math.expm1(-REACH / SCALE)
"""How far the band reaches, and what an exponential distribution has within it."""

GRAIN = 0.25
"""How far the grain of the input's band goes up and down from grey, 0 to 0.5."""


class Edges:
    """Black on the left, white on the right; where black ends, the input hides under a grey band.

    Grey uint8, (1,H,W) on both sides. The distance of the edge from the band's left end is exponential with a
    scale of a quarter of the width, given that it is within the band (three quarters of the width). So places
    near the left end are likelier, and the mean place is to the right of the median. The input is the same
    for all but a grain in its band, which tells nothing. Item i of a split is always the same picture,
    whatever `count` says. Validation and test have a tenth of `count` pairs each, and no picture of the
    training.

    `optima` holds the best answers, (1,H,W) in [0,1]: "mean" is a ramp, "median" an edge at the median place.

    Args:
        size: height and width in pixels, one number for a square.
        count: pairs to train on.
        seed: another one draws other places and another grain.
    """

    def __init__(
        self,
        split: Split,
        *,
        size: Count | tuple[Count, Count] = (32, 32),
        count: Count = 6400,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        side = ImageSpec(channels=1, height=height, width=width)
        self.spec = PairSpec(side, side)
        self._split = split
        self._count = count if split == "train" else max(1, count // 10)
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = generator_for(self._seed, "edges", self._split, index)
        place = quantile(torch.rand((), generator=rng).item())
        height, width = self.spec.target.size
        grain = 0.5 + GRAIN * (2 * torch.rand(1, height, width, generator=rng) - 1)
        begin, end = (self._edge(at) for at in BAND)
        return {
            "source": _stored(grain * (begin - end) + end),
            "target": _stored(self._edge(BAND[0] + place)),
            "id": self._id(index),
        }

    @property
    def ids(self) -> list[str]:
        """The id of each pair."""
        return [self._id(index) for index in range(self._count)]

    @cached_property
    def optima(self) -> Mapping[str, Tensor]:
        """The best answers to every input, (1,H,W) in [0,1]: under L2 the "mean", under L1 the "median".

        A pixel's mean is the distribution function averaged over its width. A pixel is the whiter the further
        left the edge is, so its median is what the edge at the median place makes of it.
        """
        height, width = self.spec.target.size
        borders = [border / width - BAND[0] for border in range(width + 1)]
        ramp = [(integral(right) - integral(left)) * width for left, right in pairwise(borders)]
        return {
            "mean": torch.tensor(ramp).expand(1, height, width),
            "median": self._edge(BAND[0] + quantile(0.5)),
        }

    def _edge(self, place: float) -> Tensor:
        """Return the picture whose edge is at `place`, in parts of the width: (1,H,W), 0 to 1."""
        height, width = self.spec.target.size
        ends = torch.arange(1, width + 1)
        return (ends - place * width).clamp(0, 1).expand(1, height, width)

    def _id(self, index: int) -> str:
        return f"{self._split}-{index:05d}"


def quantile(probability: float) -> float:
    """Return the distance from the band's left end that the edge keeps within with this probability."""
    return -SCALE * math.log1p(-probability * MASS)


def integral(distance: float) -> float:
    """Return the integral, up to `distance`, of the probability that the edge is no further than that."""
    within = min(max(distance, 0.0), REACH)
    return (within + SCALE * math.expm1(-within / SCALE)) / MASS + max(0.0, distance - REACH)


def _stored(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
