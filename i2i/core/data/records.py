"""What a listing of image pairs holds, however they lie on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2i.errors import Problem


@dataclass(frozen=True)
class SideNames:
    """The folders, or the columns of a manifest, that hold the sources and the target."""

    sources: tuple[str, ...] = ("A",)
    target: str = "B"
    named: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the target last."""
        return (*self.sources, self.target)


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; without a target the one source holds both sides, left and right."""

    id: str
    sources: tuple[Path, ...]
    target: Path | None


@dataclass(frozen=True)
class Listing:
    """The pairs of one split, how they were found, and what was left out of them."""

    layout: str
    pairs: tuple[PairFiles, ...]
    problems: tuple[Problem, ...]
