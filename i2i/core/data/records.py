"""What a listing of image pairs holds, however they lie on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2i.errors import Problem

SPLIT = "{split}"
"""Stands for a split's name in the name of a folder."""

Way = Literal["folders", "side-by-side", "name-endings"]
"""How the two sides of a pair are told apart: by folder, as halves of one image, or by the file's name."""


@dataclass(frozen=True)
class SideNames:
    """The folders, the ends of names, or the columns of a manifest, that tell the files of both sides."""

    sources: tuple[str, ...] = ("A",)
    targets: tuple[str, ...] = ("B",)
    named: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the targets last."""
        return (*self.sources, *self.targets)


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair, one for each of the names; a single one holds both sides, left and right.

    `extra` are further files that belong to it, such as a mask.
    """

    id: str
    files: tuple[Path, ...]
    extra: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The pairs of one split, how they were found, what was left out of them, and what is to be said."""

    layout: str
    pairs: tuple[PairFiles, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
