"""Pairs in the columns of an Arrow table: what they are, and one of them, decoded at its true depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from i2i.errors import DataError, NoUsablePairError, Problem, did_you_mean, printable
from i2i.images import DEPTHS, decode, image_spec, naming, without_loss
from i2i.kinds import ExtraSpec, ImageSpec, PairSpec, Side
from i2i_datasets import storage
from i2i_datasets.manifest import SplitRecord, Storage
from i2i_datasets.tables import Table

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 9
"""Pairs, spread over all of them, of which the most frequent kind is what the others must be like."""

DEEPER = 257
"""What a value of 8 bits is times to be the same share of 16."""

Channels = Literal[1, 3, 4]
PlainDepth = Literal["uint8", "uint16"]


@dataclass(frozen=True)
class Column:
    """One side: the column that it is in, how that stores it, and what the recipe asks for."""

    side: Side
    name: str
    storage: Storage
    channels: int | None
    depth: PlainDepth | None

    def wanted(self, image: Tensor) -> Tensor:
        """Return a stored image with the channels and the depth asked for; DataError where that loses any."""
        if self.channels is not None:
            image = without_loss(image, self.channels)
        if self.depth == "uint16" and image.dtype == torch.uint8:
            image = (image.to(torch.int32) * DEEPER).to(torch.uint16)
        if self.depth is not None and DEPTHS[image.dtype] != self.depth:
            message = (
                f"the {self.side} is stored as {DEPTHS[image.dtype]}, and data.depth asks for {self.depth}."
            )
            raise DataError(message)
        return image

    def spec(self, said: ImageSpec) -> ImageSpec:
        """Return what a side that is stored as `said` is once it is as wanted."""
        asked = self.channels is not None or self.depth is not None
        if asked and self.storage != "picture":
            word = "depth" if self.depth is not None else f"{self.side}_channels"
            raise ValueError(f"'{word}' is for plain pictures, and the {self.side} of this pack is none")
        channels = self.channels or said.channels
        if self.depth == "uint16" and said.depth == "uint8":
            low, high = said.low * DEEPER, said.high * DEEPER
            return replace(said, channels=channels, depth="uint16", low=low, high=high)
        return replace(said, channels=channels)


class Rows:
    """Pairs in a table, as a data set: `columns` are those of the source and of the target.

    `place` is what errors call the table, `record` what a pack says of it, and `ids` the column of the ids:
    left out, "id" where there is one, and the number of the row where there is none. `channels` and `depth`
    are what the sides are turned into, where nothing is lost by that, and `size` is (height, width).

    Raises DataError for a table without these columns or without a pair that can be read.
    """

    def __init__(
        self,
        table: Table,
        *,
        place: str,
        keys: Sequence[str] = ("source", "target"),
        columns: Sequence[str] = ("source", "target"),
        ids: str | None = None,
        record: SplitRecord | None = None,
        channels: Sequence[Channels | None] = (None, None),
        depth: PlainDepth | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._table, self._place = table, place
        if not table.rows:
            raise DataError(Problem("this split is empty.", file=place))
        for key, name in zip(keys, columns, strict=True):
            self._check(key, name)
        if ids is not None and ids not in table.columns:
            raise self._no_column("id", ids)
        self._ids = ids or ("id" if "id" in table.columns else None)
        stored = record.storage if record else {}
        self._source, self._target = (
            Column(side, name, stored.get(name, "picture"), wanted, depth)
            for side, name, wanted in zip(get_args(Side), columns, channels, strict=True)
        )
        self.extra: dict[str, ExtraSpec] = dict(record.fields) if record else {}
        self._fields = {name: stored.get(name, "array") for name in self.extra}
        specs = self._usual() if record is None else self._said(record)
        if size is not None:
            specs = [replace(spec, height=size[0], width=size[1]) for spec in specs]
        self.spec = PairSpec(specs[0], specs[1])

    def __len__(self) -> int:
        return self._table.rows

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        source = self._image(self._source, index, self.spec.source)
        target = self._image(self._target, index, self.spec.target)
        self._check_alike(index, source, target)
        return {"source": source, "target": target, "id": self._id(index), **self._further(index)}

    @property
    def ids(self) -> list[str]:
        """The id of each pair."""
        if self._ids is None:
            return [self._id(row) for row in range(len(self))]
        return [printable(text) for text in self._table.texts(self._ids)]

    @property
    def file_sizes(self) -> list[tuple[int, ...]]:
        """The sizes of each pair's stored images in bytes."""
        columns = (self._source.name, self._target.name, *self._fields)
        return list(zip(*map(self._table.lengths, columns), strict=True))

    def stored_at(self, index: int) -> dict[str, Any]:
        """Return the id and the stored bytes of a pair, both images and each further field."""
        columns = {"source": self._source.name, "target": self._target.name, **{f: f for f in self._fields}}
        return {"id": self._id(index), **{name: self._bytes(at, index) for name, at in columns.items()}}

    def _said(self, record: SplitRecord) -> list[ImageSpec]:
        """Return what a pack says of both sides, as the recipe wants them."""
        sides = {"source": record.spec.source, "target": record.spec.target}
        if {self._source.name, self._target.name} != sides.keys():
            raise ValueError("of a pack, 'source' and 'target' are the columns of these names")
        return [column.spec(sides[column.name]) for column in (self._source, self._target)]

    def _id(self, row: int) -> str:
        return f"{row:07d}" if self._ids is None else printable(self._table.text_at(self._ids, row))

    def _name(self, row: int) -> str:
        """Return what errors call a row."""
        number = f", '{self._id(row)}'" if self._ids is not None else ""
        return f"{self._place}: row {row:,}{number}"

    def _image(self, column: Column, row: int, spec: ImageSpec) -> Tensor:
        """Return one side of a row as a tensor of `spec`; DataError where it is none."""
        image = self._stored(column, row, spec.channels)
        if (image.dim(), image.shape[0], DEPTHS.get(image.dtype)) != (3, spec.channels, spec.depth):
            message = (
                f"the {column.side} has {image.shape[0]} channel(s) of {DEPTHS.get(image.dtype)}, "
                f"and most have {spec.channels} of {spec.depth}."
            )
            hint = f"data.{column.side}_channels and data.depth turn one kind into another"
            raise DataError(Problem(message, file=self._name(row), hint=hint))
        return image

    def _stored(self, column: Column, row: int, classes: int) -> Tensor:
        data = self._bytes(column.name, row)
        name = self._name(row)
        with naming(Path(name)):
            if column.storage == "picture":
                return column.wanted(decode(data, name=name))
            return storage.restore(data, column.storage, classes=classes, name=name)

    def _bytes(self, column: str, row: int) -> bytes:
        data = self._table.bytes_at(column, row)
        if data is None:
            message = f"there is no picture in the column '{column}'."
            hint = "a path alone is not followed: save the pictures themselves with datasets.save_to_disk"
            raise DataError(Problem(message, file=self._name(row), hint=hint))
        return data

    def _further(self, row: int) -> dict[str, Tensor]:
        name = self._name(row) if self._fields else ""
        return {
            field: storage.restore(self._bytes(field, row), kind, classes=0, name=name)
            for field, kind in self._fields.items()
        }

    def _check_alike(self, row: int, source: Tensor, target: Tensor) -> None:
        """Raise DataError where the sides have other proportions, but for what rounding to pixels does."""
        (height, width), (other_height, other_width) = source.shape[1:], target.shape[1:]
        scale = other_height / height
        if abs(other_width - width * scale) >= max(1.0, scale):
            message = f"the source is {width}x{height} pixels and the target {other_width}x{other_height}."
            hint = "both sides of a pair show the same picture, in the same proportions"
            raise DataError(Problem(message, file=self._name(row), hint=hint))

    def _check(self, key: str, name: str) -> None:
        """Raise DataError where a column is missing, or holds no pictures."""
        if name not in self._table.columns:
            raise self._no_column(key, name)
        if not self._table.holds_bytes(name):
            message = f"the column '{name}' holds {self._table.kind(name)}, and has to hold pictures."
            hint = "an Image of the library, or the bytes of image files"
            raise DataError(Problem(message, file=self._place, where=f"data.{key}", hint=hint))

    def _no_column(self, key: str, name: str) -> DataError:
        columns = self._table.columns
        close = did_you_mean(name, columns)
        message = f"there is no column '{name}'; the columns are {', '.join(columns) or 'none'}{close}"
        return DataError(Problem(printable(message), file=self._place, where=f"data.{key}"))

    def _usual(self) -> list[ImageSpec]:
        """Return what most of a few pairs are, spread over all; DataError where none of them can be read."""
        last = len(self) - 1
        seen: list[tuple[ImageSpec, ImageSpec]] = []
        problems: list[Problem] = []
        for row in sorted({place * last // (SAMPLE - 1) for place in range(SAMPLE)}):
            try:
                source, target = (self._of_picture(column, row) for column in (self._source, self._target))
            except DataError as error:
                problems += error.problems
            else:
                seen.append((source, target))
        if not seen:
            raise NoUsablePairError(*problems, pairs=len(self))
        kinds = [most_frequent([replace(pair[side], height=0, width=0) for pair in seen]) for side in (0, 1)]
        sizes = most_frequent([(pair[0].size, pair[1].size) for pair in seen])
        return [
            replace(kind, height=height, width=width)
            for kind, (height, width) in zip(kinds, sizes, strict=True)
        ]

    def _of_picture(self, column: Column, row: int) -> ImageSpec:
        image = self._stored(column, row, 0)
        if image.is_floating_point():
            message = f"the {column.side} is stored as floating-point numbers, whose range nobody says."
            hint = "pack a folder of these pictures, with --data source_range=[0,1] or the like"
            raise DataError(Problem(message, file=self._name(row), hint=hint))
        return image_spec(image)


def most_frequent(values: Sequence[Any]) -> Any:
    """Return the most frequent value; of several, the one that comes first."""
    return Counter(values).most_common(1)[0][0]
