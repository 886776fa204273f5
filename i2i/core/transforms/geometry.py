"""Transforms that move pixels: both sides and further fields alike, with one draw; labels to the nearest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Le

from i2i.errors import RecipeError
from i2i.images import Interpolation, resize, resize_side
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import ImageSpec, Pair

Probability = Annotated[float, Ge(0), Le(1)]
Size = tuple[int, int]


class Jitter:
    """Random jitter: resize a little too large, then cut to size (Isola et al. 2017, section 6.2).

    Raises RecipeError when called for a size larger than `resize`.

    Args:
        resize: side of the square to resize to, or its height and width.
        interpolation: how images are resized; label maps always go by nearest neighbour.
    """

    scale = "shrunk"
    moves = True

    def __init__(
        self, *, resize: Count | tuple[Count, Count] = 286, interpolation: Interpolation = "bilinear"
    ) -> None:
        self.resize = (resize, resize) if isinstance(resize, int) else resize
        self.interpolation = interpolation

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair at `size`, both sides cut at the same place."""
        if min(large - wanted for large, wanted in zip(self.resize, size, strict=True)) < 0:
            raise RecipeError(
                f"jitter resizes to {self.resize[0]}x{self.resize[1]}, which is too small to cut "
                f"{size[0]}x{size[1]} from: raise its 'resize' or lower the size of the data"
            )
        window = _window(self.resize, size, rng)

        def cut(image: Tensor, spec: ImageSpec) -> Tensor:
            return window(resize_side(image, self.resize, spec, interpolation=self.interpolation))

        return replace(
            pair,
            source=cut(pair.source, pair.spec.source),
            target=cut(pair.target, pair.spec.target),
            extra={
                name: window(resize(field, self.resize, labels=True)) for name, field in pair.extra.items()
            },
        )


class Crop:
    """Cut a window from anywhere, at the resolution that the images have.

    A source of another size than its target is brought to that first; a pair that is smaller than the
    window is enlarged until it fills it. Of data without pairs each side keeps its size, and is cut where
    chance has it.

    Args:
        size: side of the square to cut, or its height and width; left out, the size of the data.
    """

    scale = "own"
    moves = True

    def __init__(self, *, size: Count | tuple[Count, Count] | None = None) -> None:
        self.size = (size, size) if isinstance(size, int) else size

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the window of both sides."""
        wanted = self.size or size
        whole = _filling(pair.target, wanted)
        window = beside = _window(whole, wanted, rng)
        source_whole = whole
        if not pair.spec.aligned:
            source_whole = _filling(pair.source, wanted)
            beside = _window(source_whole, wanted, rng)
        return replace(
            pair,
            source=beside(resize_side(pair.source, source_whole, pair.spec.source)),
            target=window(resize_side(pair.target, whole, pair.spec.target)),
            extra={name: window(resize(field, whole, labels=True)) for name, field in pair.extra.items()},
        )


class Mirror:
    """Random horizontal flip of both sides (Isola et al. 2017, section 6.2).

    Args:
        probability: how often a pair is flipped.
    """

    moves = True

    def __init__(self, *, probability: Probability = 0.5) -> None:
        self.probability = probability

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair, or its mirror image."""
        return _flipped(pair, [-1] if _chance(self.probability, rng) else [])


class Flip:
    """Random flips of both sides, left to right and top to bottom, for pictures without an up or down.

    Args:
        horizontal: how often a pair is flipped left to right.
        vertical: how often it is flipped top to bottom.
    """

    moves = True

    def __init__(self, *, horizontal: Probability = 0.5, vertical: Probability = 0.5) -> None:
        self.horizontal = horizontal
        self.vertical = vertical

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair, flipped or not in each direction."""
        chances = {-1: self.horizontal, -2: self.vertical}
        return _flipped(pair, [axis for axis, chance in chances.items() if _chance(chance, rng)])


class Rotate90:
    """Turn both sides by a random number of quarter turns, each as likely as the others.

    A pair that is not square is turned by half turns alone: a quarter would change its shape. After a
    square crop every pair is square.
    """

    moves = True

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair, turned."""
        turns = int(torch.randint(4, (), generator=rng, device=rng.device))
        if any(side.shape[-2] != side.shape[-1] for side in (pair.source, pair.target)):
            turns -= turns % 2
        return replace(
            pair,
            source=torch.rot90(pair.source, turns, (-2, -1)),
            target=torch.rot90(pair.target, turns, (-2, -1)),
            extra={name: torch.rot90(field, turns, (-2, -1)) for name, field in pair.extra.items()},
        )


def _filling(image: Tensor, wanted: Size) -> Size:
    """Return the size of an image, enlarged as far as it takes to cut `wanted` from it."""
    height, width = image.shape[-2:]
    scale = max(1.0, wanted[0] / height, wanted[1] / width)
    return max(wanted[0], round(height * scale)), max(wanted[1], round(width * scale))


def _window(whole: Size, cut: Size, rng: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Draw a window of size `cut` in images of size `whole`, and return the function that cuts it out."""
    top, left = (
        int(torch.randint(large - small + 1, (), generator=rng, device=rng.device))
        for large, small in zip(whole, cut, strict=True)
    )
    return lambda image: image[..., top : top + cut[0], left : left + cut[1]]


def _chance(probability: float, rng: torch.Generator) -> bool:
    return float(torch.rand((), generator=rng, device=rng.device)) < probability


def _flipped(pair: Pair, axes: list[int]) -> Pair:
    if not axes:
        return pair
    extra = {name: field.flip(axes) for name, field in pair.extra.items()}
    return replace(pair, source=pair.source.flip(axes), target=pair.target.flip(axes), extra=extra)
