"""Class maps from one side of a data set, which shows its labels in one of two ways.

As a label map, one channel a class; or as a picture, where each pixel goes to the nearest of a list of
colours. Compression and resizing blur colours where labels meet, and a mixture of two may be nearest to a
third: so a pixel that is far from every colour of the list is doubtful, and its class is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor

from i2i.errors import DataError
from i2i.images import as_saved, normalise, resize_side
from i2i.kinds import Colour, ImageSpec, Side

if TYPE_CHECKING:
    from i2i.kinds import Data

MOST_COLOURS = 64

DOUBTFUL = -1
"""The class of a pixel whose class is not known."""

TOLERANCE = 32.0
"""Levels of 255: about half the distance of the two most alike label colours of the CMP Facades."""

MOST_DOUBTFUL = 0.5
"""Twice what the CMP Facades have at that tolerance: 0.19 at 256 pixels, 0.22 at 128, 0.28 at 64."""

Tolerance = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]


class Labels:
    """Turns one side of pairs as metrics see them, (N,C,H,W) in [0,1], into class numbers (N,H,W).

    `classes` says how many classes there are; `DOUBTFUL` pixels of a picture are of none. Of a side of
    several files the one that is a label map is read.

    Args:
        side: which one, for people.
        spec: of that side.
        metric: who asks, for people.
        colours: the label colours of RGB images; without them they are looked up in `examples`.
        tolerance: how far a pixel's colour may be from the nearest label colour, in levels of 255: the
            Euclidean distance in RGB.
        most_doubtful: the largest share of doubtful pixels that `check` lets pass.
        examples: images of that side, as metrics see them.

    Raises DataError where there are no labels, or too many colours to be labels.
    """

    def __init__(
        self,
        side: Side,
        spec: ImageSpec,
        *,
        metric: str,
        colours: Sequence[Colour] = (),
        tolerance: float = TOLERANCE,
        most_doubtful: float = MOST_DOUBTFUL,
        examples: Iterable[Tensor] = (),
    ) -> None:
        self._side, self._metric = side, metric
        self._tolerance, self._most_doubtful = tolerance, most_doubtful
        self._palette: Tensor | None = None
        self._channels = slice(None)
        if maps := [part for part in spec.parts if part.one_hot]:
            if len(maps) > 1:
                several = ", ".join(part.name for part in maps)
                raise DataError(f"{metric} reads one label map off the {side} side, which has {several}")
            self._channels = spec.channels_of(maps[0].name)
            spec = spec.part(maps[0].name)
        self.classes = spec.channels
        if spec.one_hot:
            return
        if spec.channels != 3:
            raise DataError(
                f"{metric} reads labels off the {side} side, and {spec.channels} channel(s) of plain pixels "
                "show none: use it where they are label maps, or colours that stand for labels"
            )
        found = colours or distinct_colours(examples, side=side, metric=metric)
        self._palette = torch.tensor(found, dtype=torch.float32)
        self.classes = len(found)

    def __call__(self, image: Tensor) -> Tensor:
        """Return the true class of each pixel, (N,H,W) int64."""
        distance, classes = self._nearest(image)
        return torch.where(distance > self._tolerance, DOUBTFUL, classes)

    def answered(self, image: Tensor) -> Tensor:
        """Return the class that an answer gives each pixel, (N,H,W) int64: none of them is doubtful."""
        return self._nearest(image)[1]

    def check(self, doubtful: float, *, images: str) -> None:
        """Raise DataError where this share of the pixels of some `images` is more than is let pass."""
        if doubtful > self._most_doubtful:
            raise DataError(
                f"{self._metric}: {doubtful:.0%} of the pixels on the {self._side} side of the {images} lie "
                f"more than {self._tolerance:g} levels away from every label colour, and at most "
                f"{self._most_doubtful:.0%} may: list the colours of all labels in its table, colours = "
                "[[R, G, B], ...], or raise its tolerance or most_doubtful"
            )

    def _nearest(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return each pixel's distance to the nearest label colour in levels, and its class, (N,H,W) each."""
        if self._palette is None:
            classes = image[:, self._channels].argmax(dim=1)
            return torch.zeros_like(classes), classes
        pixels = (image * 255).round().permute(0, 2, 3, 1)
        distances = [(pixels - colour).square().sum(dim=-1) for colour in self._palette.to(image.device)]
        least, classes = torch.stack(distances).min(dim=0)
        return least.sqrt(), classes


def check_colours(colours: Sequence[Colour]) -> None:
    """Raise ValueError for colours given in a recipe that tell nothing apart; none at all are no fault."""
    if colours and (len(colours) < 2 or len(set(colours)) < len(colours)):
        raise ValueError("'colours' lists the colours of the labels: two or more, each of them once")


def distinct_colours(examples: Iterable[Tensor], *, side: Side, metric: str) -> list[Colour]:
    """Return the colours of RGB images (N,3,H,W) in [0,1], in order.

    Raises DataError for more than 64, and for a single one.
    """
    found: set[Colour] = set()
    for image in examples:
        levels = (image * 255).round().long().permute(0, 2, 3, 1).reshape(-1, 3)
        found |= {(red, green, blue) for red, green, blue in torch.unique(levels, dim=0).tolist()}
        if len(found) > MOST_COLOURS:
            raise DataError(
                f"{metric} found more than {MOST_COLOURS} colours on the {side} side: compression or "
                "resizing has blurred them, so list those of labels in its table: colours = [[R, G, B], ...]"
            )
    if len(found) < 2:
        raise DataError(f"{metric} found one colour on the {side} side, where labels have two at least.")
    return sorted(found)


def spread(data: Data, most: int) -> Iterator[Any]:
    """Yield at most so many items of a data set, spread evenly over it."""
    count = min(most, len(data))
    for place in range(count):
        yield data[place * len(data) // count]


def as_metrics_see(stored: Tensor, spec: ImageSpec) -> Tensor:
    """Return an image of a data set (C,H,W) as metrics see it: (1,C,h,w) in [0,1], of the size of `spec`."""
    image = resize_side(normalise(stored, spec), spec.size, spec)
    return as_saved(image[None], spec)
