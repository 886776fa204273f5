"""One side of the pairs on disk: how its files become a tensor of stored values.

What most of the files are like decides what a side is like; each file is held to that when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

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
    without_loss,
)
from i2i.kinds import Colour, ImageSpec, Part, Side

if TYPE_CHECKING:
    from torch import Tensor

Span = tuple[float, float]
Labels = int | tuple[Colour, ...]
NoData = float | Literal["nan"]

TOLERANCE = 1e-3
"""How far a value may be outside of the range, in parts of it: what rounding does."""

FAR = 1000.0
"""From so many ranges away on, a value is no measurement that could be cut off."""


@dataclass(frozen=True)
class SideFormat:
    """What the recipe says about one side: the files it is stacked from, their classes or their values.

    `names` are its folders or columns; `span` holds the values that become -1 and 1, for all of its files
    or by name; `labels` counts the classes of a label map, or lists their colours, and `void` is the index
    that becomes the last class. Images get `channels` where nothing is lost by that, `nodata` becomes the
    lowest value of the range, and with `clamp` what is outside of the range is cut off.
    """

    side: Side
    names: tuple[str, ...]
    labels: Labels | None = None
    span: Span | Mapping[str, Span] | None = None
    channels: int | None = None
    void: int | None = None
    nodata: NoData | None = None
    clamp: bool = False

    def __post_init__(self) -> None:
        classes = range(self.labels) if isinstance(self.labels, int) else self.labels
        if classes is not None and (len(classes) < 2 or len(set(classes)) < len(classes)):
            raise ValueError(f"'{self.side}_labels' is the number of classes, or their colours: two or more")
        if self.labels is not None and len(self.names) > 1:
            raise ValueError(
                f"'{self.side}_labels' is for one label map, and '{self.side}' names several files"
            )
        for key, value in (("range", self.span), ("channels", self.channels)):
            if self.labels is not None and value is not None:
                raise ValueError(f"'{self.side}_{key}' means nothing for a label map")
        if self.channels is not None and len(self.names) > 1:
            raise ValueError(f"'{self.side}_channels' is for one file, and '{self.side}' names several")
        if isinstance(self.span, Mapping) and self.span.keys() - set(self.names):
            strange = ", ".join(sorted(self.span.keys() - set(self.names)))
            raise ValueError(f"'{self.side}_range' names {strange}; there are {', '.join(self.names)}")
        spans = self.span.values() if isinstance(self.span, Mapping) else [self.span] if self.span else []
        if any(low >= high for low, high in spans):
            raise ValueError(f"'{self.side}_range' goes from a lower value to a higher one")

    def read(self, paths: Sequence[Path]) -> list[Tensor]:
        """Return the images in the files of this side, (C,H,W) each, as stored."""
        return [self.decoded(path) for path in paths]

    def decoded(self, path: Path) -> Tensor:
        """Return the image in one file, (C,H,W), as stored."""
        return read_image(path, indices=isinstance(self.labels, int), nan=self.nodata == "nan")

    def wanted(self, image: Tensor, path: Path) -> Tensor:
        """Return an image with the channels that are asked for; DataError where that loses something."""
        if self.channels is None:
            return image
        with naming(path):
            return without_loss(image, self.channels)

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
        self, images: Sequence[Tensor], paths: Sequence[Path], spec: ImageSpec, *, like: Sequence[Path]
    ) -> Tensor:
        """Return the images of one item as one tensor of `spec`.

        Raises DataError, naming the file, for one that is not like most of its side, such as those in `like`,
        and for values outside of the range.
        """
        if spec.labels:
            with naming(paths[0]):
                lossy = paths[0].suffix.lower() in LOSSY_SUFFIXES
                return one_hot(images[0], spec, lossy=lossy, void=self.void, key=f"data.{self.side}_labels")
        parts = spec.parts or (Part("", spec.channels, spec.depth, spec.low, spec.high),)
        kept = []
        for image, path, part, usual in zip(images, paths, parts, like, strict=True):
            if (image.shape[0], DEPTHS[image.dtype]) != (part.channels, part.depth):
                raise self._odd(image, path, part, usual)
            if image.shape[1:] != images[0].shape[1:]:
                message = f"it is {size_text(image)} pixels, and {paths[0].name}, which it is stacked with, "
                message += f"{size_text(images[0])}."
                raise DataError(Problem(message, file=str(path)))
            kept.append(self._in_range(image, part, path))
        return stacked(kept, spec) if spec.parts else kept[0]

    def _odd(self, image: Tensor, path: Path, part: Part, usual: Path) -> DataError:
        """Return the error for a file that is not like most of its side."""
        message = (
            f"the {self.side} has {image.shape[0]} channel(s) of {DEPTHS[image.dtype]}, and most have "
            f"{part.channels} of {part.depth}, like {usual.name}."
        )
        hint = "convert the files of a folder to one kind"
        counts = {image.shape[0], part.channels}
        if DEPTHS[image.dtype] == part.depth and counts <= {1, 3, 4} and part.depth != "float32":
            hint += f", or let data.{self.side}_channels = {max(counts)} do so where nothing is lost"
        return DataError(Problem(message, file=str(path), hint=hint))

    def _in_range(self, image: Tensor, part: Part, path: Path) -> Tensor:
        """Return the values of an image, within the range of its `part`; DataError for others."""
        array = image.numpy()
        if self.nodata is not None:
            holes = np.isnan(array) if self.nodata == "nan" else array == np.float32(self.nodata)
            array = np.where(holes, _least(array, part.low), array).astype(array.dtype, copy=False)
        if array.dtype.kind == "u" and part.low <= 0 and np.iinfo(array.dtype).max <= part.high:
            return torch.from_numpy(array)
        least, most = float(array.min()), float(array.max())
        beyond = max(part.low - least, most - part.high) / (part.high - part.low)
        if self.clamp and beyond <= FAR:
            return torch.from_numpy(np.clip(array, _least(array, part.low), _most(array, part.high)))
        if not beyond <= TOLERANCE:  # written so that a beyond that is no number is told too
            raise self._outside(least, most, beyond, part, path)
        return torch.from_numpy(array)

    def _outside(self, least: float, most: float, beyond: float, part: Part, path: Path) -> DataError:
        """Return the error for values outside of the range, with the ways out."""
        key = f"data.{self.side}_range"
        message = f"it has values from {least:g} to {most:g}, and the range is {part.low:g} to {part.high:g}."
        far = least if part.low - least > most - part.high else most
        hint = f"where {far:g} stands for no data, say data.nodata = {far:g}; widen {key}"
        hint += "; or cut off what is outside by data.clamp = true" if beyond <= FAR else ""
        return DataError(Problem(message, file=str(path), where=key, hint=hint))

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


def _least(array: np.ndarray[Any, Any], low: float) -> float:
    """Return `low`, or the first value above it that the array's own type has."""
    return low if array.dtype.kind == "f" else min(max(math.ceil(low), 0), np.iinfo(array.dtype).max)


def _most(array: np.ndarray[Any, Any], high: float) -> float:
    """Return `high`, or the first value below it that the array's own type has."""
    return high if array.dtype.kind == "f" else min(max(math.floor(high), 0), np.iinfo(array.dtype).max)
