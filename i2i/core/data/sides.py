"""One side of the pairs on disk: how its files become a tensor of stored values.

The first pair decides what the files of a side are like; each file is held to that when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i.errors import DataError, Problem
from i2i.images import (
    DEPTHS,
    LOSSY_SUFFIXES,
    image_spec,
    label_spec,
    naming,
    one_hot,
    read_image,
    stacked,
)
from i2i.kinds import Colour, ImageSpec, Part, Side

if TYPE_CHECKING:
    from torch import Tensor

Span = tuple[float, float]
Labels = int | tuple[Colour, ...]


@dataclass(frozen=True)
class SideFormat:
    """What the recipe says about one side: the files it is stacked from, their classes or their values.

    `names` are its folders or columns; `span` holds the values that become -1 and 1, for all of its files
    or by name; `labels` counts the classes of a label map, or lists their colours.
    """

    side: Side
    names: tuple[str, ...]
    labels: Labels | None = None
    span: Span | Mapping[str, Span] | None = None

    def __post_init__(self) -> None:
        classes = range(self.labels) if isinstance(self.labels, int) else self.labels
        if classes is not None and (len(classes) < 2 or len(set(classes)) < len(classes)):
            raise ValueError(f"'{self.side}_labels' is the number of classes, or their colours: two or more")
        if self.labels is not None and len(self.names) > 1:
            raise ValueError(
                f"'{self.side}_labels' is for one label map, and '{self.side}' names several files"
            )
        if self.labels is not None and self.span is not None:
            raise ValueError(f"'{self.side}_range' means nothing for a label map")
        if isinstance(self.span, Mapping) and self.span.keys() - set(self.names):
            strange = ", ".join(sorted(self.span.keys() - set(self.names)))
            raise ValueError(f"'{self.side}_range' names {strange}; there are {', '.join(self.names)}")
        spans = self.span.values() if isinstance(self.span, Mapping) else [self.span] if self.span else []
        if any(low >= high for low, high in spans):
            raise ValueError(f"'{self.side}_range' goes from a lower value to a higher one")

    def read(self, paths: Sequence[Path]) -> list[Tensor]:
        """Return the images in the files of this side, (C,H,W) each, as stored."""
        return [read_image(path, indices=isinstance(self.labels, int)) for path in paths]

    def spec(self, images: Sequence[Tensor], paths: Sequence[Path]) -> ImageSpec:
        """Return the spec of this side, whose first files hold `images`."""
        height, width = images[0].shape[1:]
        if self.labels is not None:
            return label_spec(self.labels, height=height, width=width)
        specs = [self._spec_of(*each) for each in zip(self.names, images, paths, strict=True)]
        if len(specs) == 1:
            return specs[0]
        parts = tuple(
            Part(name, spec.channels, spec.depth, spec.low, spec.high)
            for name, spec in zip(self.names, specs, strict=True)
        )
        channels = sum(part.channels for part in parts)
        if len({(part.depth, part.low, part.high) for part in parts}) == 1:
            return replace(specs[0], channels=channels, parts=parts)
        return ImageSpec(channels, height, width, depth="float32", low=-1.0, high=1.0, parts=parts)

    def stored(
        self, images: Sequence[Tensor], paths: Sequence[Path], spec: ImageSpec, *, first: Sequence[Path]
    ) -> Tensor:
        """Return the images of one item as one tensor of `spec`.

        Raises DataError, naming the file, for one that is not like the `first` of its side.
        """
        if spec.labels:
            with naming(paths[0]):
                return one_hot(images[0], spec, lossy=paths[0].suffix.lower() in LOSSY_SUFFIXES)
        wanted = spec.parts or (Part("", spec.channels, spec.depth, spec.low, spec.high),)
        for image, path, part, like in zip(images, paths, wanted, first, strict=True):
            channels, depth = image.shape[0], DEPTHS[image.dtype]
            if (channels, depth) != (part.channels, part.depth):
                message = (
                    f"the {self.side} has {channels} channel(s) of {depth}, but that of the first pair, "
                    f"{like.name}, has {part.channels} of {part.depth}."
                )
                hint = "convert the files of a folder to one kind"
                raise DataError(Problem(message, file=str(path), hint=hint))
            if image.shape[1:] != images[0].shape[1:]:
                message = f"it is {size_text(image)} pixels, and {paths[0].name}, which it is stacked with, "
                message += f"{size_text(images[0])}."
                raise DataError(Problem(message, file=str(path)))
        return stacked(images, spec) if spec.parts else images[0]

    def _spec_of(self, name: str, image: Tensor, path: Path) -> ImageSpec:
        span = self.span.get(name) if isinstance(self.span, Mapping) else self.span
        try:
            return image_spec(image, span=span)
        except DataError as error:
            key = f"{self.side}_range"
            example = f"{{ {name} = [0, 1] }}" if len(self.names) > 1 else "[0, 1]"
            hint = f"say which two values become black and white, like data.{key} = {example}"
            problem = replace(error.problems[0], file=str(path), where=f"data.{key}", hint=hint)
            raise DataError(problem) from error


def size_text(image: Tensor) -> str:
    """Return an image's width and height as people write them."""
    return f"{image.shape[2]}x{image.shape[1]}"
