"""Transforms of a pair in training: geometry, on both sides with one draw."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Le

from i2i.errors import RecipeError
from i2i.resize import Interpolation
from i2i.resize import resize as resize_image

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import Pair

Pixels = Annotated[int, Ge(1)]


class Jitter:
    """Random jitter: resize a little too large, then cut to size (Isola et al. 2017, section 6.2).

    Raises RecipeError when called for a size larger than `resize`.

    Args:
        resize: side of the square to resize to, or its height and width.
        interpolation: how images are resized; label maps always go by nearest neighbour.
    """

    def __init__(
        self, *, resize: Pixels | tuple[Pixels, Pixels] = 286, interpolation: Interpolation = "bilinear"
    ) -> None:
        self.resize = (resize, resize) if isinstance(resize, int) else resize
        self.interpolation = interpolation

    def __call__(self, pair: Pair, *, size: tuple[int, int], rng: torch.Generator) -> Pair:
        """Return the pair at `size`, both sides cut at the same place."""
        spare = [large - wanted for large, wanted in zip(self.resize, size, strict=True)]
        if min(spare) < 0:
            raise RecipeError(
                f"jitter resizes to {self.resize[0]}x{self.resize[1]}, which is too small to cut "
                f"{size[0]}x{size[1]} from: raise its 'resize' or lower the size of the data"
            )
        top, left = (int(torch.randint(room + 1, (), generator=rng, device=rng.device)) for room in spare)

        def cut(image: Tensor, labels: bool) -> Tensor:
            resized = resize_image(image, self.resize, labels=labels, interpolation=self.interpolation)
            return resized[..., top : top + size[0], left : left + size[1]]

        return replace(
            pair,
            source=cut(pair.source, pair.spec.source.labels),
            target=cut(pair.target, pair.spec.target.labels),
        )


class Mirror:
    """Random horizontal flip of both sides (Isola et al. 2017, section 6.2).

    Args:
        probability: how often a pair is flipped.
    """

    def __init__(self, *, probability: Annotated[float, Ge(0), Le(1)] = 0.5) -> None:
        self.probability = probability

    def __call__(
        self,
        pair: Pair,
        *,
        size: tuple[int, int],
        rng: torch.Generator,
    ) -> Pair:
        """Return the pair, or its mirror image."""
        if float(torch.rand((), generator=rng, device=rng.device)) >= self.probability:
            return pair
        return replace(pair, source=pair.source.flip(-1), target=pair.target.flip(-1))
