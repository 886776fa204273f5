"""One side of the pairs on disk: how its files become a tensor of stored values.

What most of the files are like decides what a side is like; each file is held to that when it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

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

T = TypeVar("T")
ByName: TypeAlias = T | Mapping[str, T] | None
"""What a recipe says of all files, or of each by its name."""

_BARE = re.compile(r"[\w-]+", re.ASCII)

TOLERANCE = 1e-3
"""How far a value may be outside of the range, in parts of it: what rounding does."""

FAR = 1000.0
"""From so many ranges away on, a value is no measurement that could be cut off."""


@dataclass(frozen=True)
class FileFormat:
    """What the recipe says about one file of a side: its classes or its values.

    `labels` counts the classes of a label map, or lists their colours, and `void` is the index that becomes
    the last class. `span` holds the values that become -1 and 1. Images get `channels` where nothing is lost
    by that, `nodata` becomes the lowest value of the range, and with `clamp` what is outside of the range is
    cut off. One of several files of its `side` is called `part` in recipes.
    """

    side: Side
    part: str = ""
    labels: Labels | None = None
    span: Span | None = None
    channels: int | None = None
    void: int | None = None
    nodata: NoData | None = None
    clamp: bool = False

    def key(self, word: str) -> str:
        """Return the key of a recipe that says `word` of this file, like ``data.source_range.depth``."""
        return f"data.{self.side}_{word}{self._name}"

    @property
    def _name(self) -> str:
        """What follows a key that speaks of one of several files."""
        name = self.part if _BARE.fullmatch(self.part) else f'"{self.part}"'
        return f".{name}" if self.part else ""

    def read(self, path: Path) -> Tensor:
        """Return the image in a file, (C,H,W), as stored."""
        return read_image(path, indices=isinstance(self.labels, int), nan=self.nodata == "nan")

    def wanted(self, image: Tensor, path: Path) -> Tensor:
        """Return an image with the channels that are asked for; DataError where that loses something."""
        if self.channels is None:
            return image
        with naming(path):
            return without_loss(image, self.channels)

    def spec(self, image: Tensor, path: Path) -> ImageSpec:
        """Return the spec that a side of this file alone has, which holds `image`."""
        if self.labels is not None:
            height, width = image.shape[1:]
            return label_spec(self.labels, height=height, width=width)
        try:
            return image_spec(image, span=self.span)
        except DataError as error:
            key = self.key("range")
            hint = f"say which two values become black and white, like {key} = [0, 1]"
            raise DataError(replace(error.problems[0], file=str(path), where=key, hint=hint)) from error

    def stored(self, image: Tensor, path: Path, spec: ImageSpec, *, like: Path) -> Tensor:
        """Return an image as one of `spec`, the file's own: its values, or a channel for each class.

        Raises DataError, naming the file, for one that is not as most are, such as `like`, and for values
        outside of the range.
        """
        if spec.labels:
            with naming(path):
                lossy = path.suffix.lower() in LOSSY_SUFFIXES
                return one_hot(image, spec, lossy=lossy, void=self.void, key=self.key("labels"))
        if (image.shape[0], DEPTHS[image.dtype]) != (spec.channels, spec.depth):
            raise self._odd(image, path, spec, like)
        return self._in_range(image, spec, path)

    def _odd(self, image: Tensor, path: Path, spec: ImageSpec, usual: Path) -> DataError:
        """Return the error for a file that is not like most of its kind."""
        message = (
            f"the {self.side} has {image.shape[0]} channel(s) of {DEPTHS[image.dtype]}, and most have "
            f"{spec.channels} of {spec.depth}, like {usual.name}."
        )
        hint = "convert the files of a folder to one kind"
        counts = {image.shape[0], spec.channels}
        if DEPTHS[image.dtype] == spec.depth and counts <= {1, 3, 4} and spec.depth != "float32":
            hint += f", or let {self.key('channels')} = {max(counts)} do so where nothing is lost"
        return DataError(Problem(message, file=str(path), hint=hint))

    def _in_range(self, image: Tensor, spec: ImageSpec, path: Path) -> Tensor:
        """Return the values of an image, within the range of its `spec`; DataError for others."""
        array = image.numpy()
        if self.nodata is not None:
            holes = np.isnan(array) if self.nodata == "nan" else array == np.float32(self.nodata)
            array = np.where(holes, _least(array, spec.low), array).astype(array.dtype, copy=False)
        if array.dtype.kind == "u" and spec.low <= 0 and np.iinfo(array.dtype).max <= spec.high:
            return torch.from_numpy(array)
        least, most = float(array.min()), float(array.max())
        beyond = max(spec.low - least, most - spec.high) / (spec.high - spec.low)
        if self.clamp and beyond <= FAR:
            return torch.from_numpy(np.clip(array, _least(array, spec.low), _most(array, spec.high)))
        if not beyond <= TOLERANCE:  # written so that a beyond that is no number is told too
            raise self._outside(least, most, beyond, spec, path)
        return torch.from_numpy(array)

    def _outside(self, least: float, most: float, beyond: float, spec: ImageSpec, path: Path) -> DataError:
        """Return the error for values outside of the range, with the ways out."""
        key = self.key("range")
        message = f"it has values from {least:g} to {most:g}, and the range is {spec.low:g} to {spec.high:g}."
        far = least if spec.low - least > most - spec.high else most
        hint = f"where {far:g} stands for no data, say data.nodata{self._name} = {far:g}; widen {key}"
        hint += "; or cut off what is outside by data.clamp = true" if beyond <= FAR else ""
        return DataError(Problem(message, file=str(path), where=key, hint=hint))


@dataclass(frozen=True)
class SideFormat:
    """What the recipe says about one side: the format of each of its files, by the name of the part.

    A side of one file has it under any name.
    """

    side: Side
    files: Mapping[str, FileFormat]

    @classmethod
    def of(
        cls,
        side: Side,
        names: Sequence[str],
        *,
        labels: ByName[Labels],
        span: ByName[Span],
        channels: ByName[int],
        void: int | None,
        nodata: ByName[NoData],
        clamp: bool,
    ) -> SideFormat:
        """Return the format of a side whose files have these `names`; values may be given by name.

        Raises ValueError for what contradicts itself.
        """
        for key, given in (("labels", labels), ("range", span), ("channels", channels)):
            if isinstance(given, Mapping) and given.keys() - set(names):
                strange = ", ".join(sorted(given.keys() - set(names)))
                raise ValueError(f"'{side}_{key}' names {strange}; there are {', '.join(names)}")
        several = f"and '{side}' names several: say which by name, like {side}_"
        if len(names) > 1 and labels is not None and not isinstance(labels, Mapping):
            raise ValueError(f"'{side}_labels' is for one label map, {several}labels.{names[0]}")
        if len(names) > 1 and channels is not None and not isinstance(channels, Mapping):
            raise ValueError(f"'{side}_channels' is for one file, {several}channels.{names[0]}")
        files = {}
        for name in names:
            classes: Labels | None = _of(name, labels)
            check_labels(side, classes)
            of_all = span if classes is None or len(names) == 1 or isinstance(span, Mapping) else None
            files[name] = FileFormat(
                side,
                name if len(names) > 1 else "",
                classes,
                _of(name, of_all),
                _of(name, channels),
                void,
                _of(name, nodata),
                clamp,
            )
        for file in files.values():
            for key, value in (("range", file.span), ("channels", file.channels)):
                if file.labels is not None and value is not None:
                    raise ValueError(f"'{file.key(key).removeprefix('data.')}' means nothing for a label map")
            if file.span is not None and file.span[0] >= file.span[1]:
                raise ValueError(f"'{side}_range' goes from a lower value to a higher one")
        return cls(side, files)

    @property
    def by_index(self) -> bool:
        """Whether there is a label map whose classes are known by index."""
        return any(isinstance(file.labels, int) for file in self.files.values())

    def read(self, paths: Sequence[Path]) -> list[Tensor]:
        """Return the images in the files of this side, (C,H,W) each, as stored."""
        return [file.read(path) for file, path in zip(self.files.values(), paths, strict=True)]

    def wanted(self, images: Sequence[Tensor], paths: Sequence[Path]) -> list[Tensor]:
        """Return images with the channels that are asked for; DataError where that loses something."""
        each = zip(self.files.values(), images, paths, strict=True)
        return [file.wanted(image, path) for file, image, path in each]

    def spec(self, images: Sequence[Tensor], paths: Sequence[Path]) -> ImageSpec:
        """Return the spec of this side, whose first files hold `images`."""
        named = zip(self.files.items(), images, paths, strict=True)
        specs = {name: file.spec(image, path) for (name, file), image, path in named}
        first = next(iter(specs.values()))
        if len(specs) == 1:
            return first
        parts = tuple(
            Part(name, s.channels, s.depth, s.low, s.high, s.labels, s.palette) for name, s in specs.items()
        )
        whole = ImageSpec(sum(part.channels for part in parts), *first.size, parts=parts)
        if len({(part.depth, part.low, part.high) for part in parts}) == 1:
            return replace(whole, depth=first.depth, low=first.low, high=first.high)
        return replace(whole, depth="float32", low=-1.0, high=1.0)

    def stored(
        self, images: Sequence[Tensor], paths: Sequence[Path], spec: ImageSpec, *, like: Sequence[Path]
    ) -> Tensor:
        """Return the images of one item as one tensor of `spec`.

        Raises DataError, naming the file, for one that is not like most of its side, such as those in `like`,
        and for values outside of the range.
        """
        kept = []
        formats = zip(self.files.values(), spec.files, images, paths, like, strict=True)
        for file, own, image, path, usual in formats:
            if image.shape[1:] != images[0].shape[1:]:
                message = f"it is {size_text(image)} pixels, and {paths[0].name}, which it is stacked with, "
                message += f"{size_text(images[0])}."
                raise DataError(Problem(message, file=str(path)))
            kept.append(file.stored(image, path, own, like=usual))
        return stacked(kept, spec) if spec.parts else kept[0]


def check_labels(side: Side, labels: Labels | None) -> None:
    """Raise ValueError for classes that tell nothing apart."""
    classes = range(labels) if isinstance(labels, int) else labels
    if classes is not None and (len(classes) < 2 or len(set(classes)) < len(classes)):
        raise ValueError(f"'{side}_labels' is the number of classes, or their colours: two or more")


def _of(name: str, given: Any) -> Any:
    """Return what is said of the file `name`: the value for all of them, or its own."""
    return given.get(name) if isinstance(given, Mapping) else given


def size_text(image: Tensor) -> str:
    """Return an image's width and height as people write them."""
    return f"{image.shape[2]}x{image.shape[1]}"


def _least(array: np.ndarray[Any, Any], low: float) -> float:
    """Return `low`, or the first value above it that the array's own type has."""
    return low if array.dtype.kind == "f" else min(max(math.ceil(low), 0), np.iinfo(array.dtype).max)


def _most(array: np.ndarray[Any, Any], high: float) -> float:
    """Return `high`, or the first value below it that the array's own type has."""
    return high if array.dtype.kind == "f" else min(max(math.floor(high), 0), np.iinfo(array.dtype).max)
