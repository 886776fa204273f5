"""Further files of a pair, such as masks: pictures whose values are handed on as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from i2i.errors import DataError, Problem
from i2i.images import naming, read_image
from i2i.kinds import RESERVED_FIELDS, ExtraSpec

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 0.02
"""How far the proportions of a field may be from those of its target, as a part of them."""


@dataclass(frozen=True)
class FieldFiles:
    """The fields that the columns of a manifest give, by name, in the order of its files."""

    extra: Mapping[str, ExtraSpec]

    @classmethod
    def like(cls, names: Sequence[str], pairs: Iterable[Sequence[Path]]) -> FieldFiles:
        """Return the fields `names`, of as many channels as the first files of `pairs` that can be read.

        Raises DataError where there is none.
        """
        problems: list[Problem] = []
        for files in pairs:
            try:
                images = [read_image(path, indices=True) for path in files]
            except DataError as error:
                problems += error.problems
            else:
                return cls(
                    {
                        name: ExtraSpec(f"the picture in the column {name}, as stored", channels=len(image))
                        for name, image in zip(names, images, strict=True)
                    }
                )
        raise DataError(*problems)

    def read(self, files: Sequence[Path], target: Tensor) -> dict[str, Tensor]:
        """Return the fields of one pair; DataError for a file of other channels, or of other proportions."""
        found = {}
        for (name, said), path in zip(self.extra.items(), files, strict=True):
            image = read_image(path, indices=True)
            with naming(path):
                if image.shape[0] != said.channels:
                    message = f"'{name}' has {image.shape[0]} channel(s), and others have {said.channels}."
                    raise DataError(Problem(message, hint="convert the files of a column to one kind"))
                if not _alike(image, target):
                    own, wanted = (f"{each.shape[2]}x{each.shape[1]}" for each in (image, target))
                    message = f"'{name}' is {own} pixels and the target {wanted}: both show the same picture."
                    raise DataError(message)
            found[name] = image
        return found


def check_names(names: Sequence[str], sides: Sequence[str]) -> None:
    """Raise ValueError for columns that cannot be fields, or are sides already."""
    for name in names:
        if not name.isidentifier() or name in RESERVED_FIELDS or name in sides or names.count(name) > 1:
            raise ValueError(
                f"'extra' names further columns, each once, by what could be a parameter's name: not '{name}'"
            )


def _alike(image: Tensor, target: Tensor) -> bool:
    (height, width), (wanted, across) = image.shape[1:], target.shape[1:]
    return abs(width * wanted / (height * across) - 1) <= TOLERANCE
