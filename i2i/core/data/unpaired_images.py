"""Pictures of two kinds from disk, without pairs: any number of each, told apart by their folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from i2i.core.data.paired_images import Channels
from i2i.core.data.records import SideNames
from i2i.core.data.sides import FileFormat, Span
from i2i.core.data.splits import Shares, check_shares
from i2i.core.data.two_folders import Picture, list_sides
from i2i.core.data.usual import most_frequent, places
from i2i.errors import DataError, NoUsablePairError, Problem, printable
from i2i.kinds import ImageSpec, PairSpec, Side, Split
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor


class UnpairedImages:
    """Pictures of two kinds in two folders, such as photos and paintings; none belongs to another.

    Below `root` are folders `trainA` and `trainB`, `testA` and `testB`, as CycleGAN has them, `A` and `B`, or
    the other names that `paired-images` finds; or `source` and `target` are any two folders. There may be
    more of one kind than of the other. Items are ``{"source", "target", "id"}``: (C,H,W) tensors as stored,
    one for each source, whose name is the id. In training the target is drawn anew each time; held out,
    targets are spread evenly over the sources. Nothing compares a translation with its target: metrics of
    pairs are refused.

    Args:
        root: the folder that both kinds are below; relative to the working directory, `~` is home.
        direction: "a-to-b" translates A into B, "b-to-a" the other way round.
        size: height and width to train at, one number for a square; left out, those of most pictures.
        source: the source's folder where it is not A, below `root` if that is given; `{split}` in it stands
            for train, val and test.
        target: the same for the target where it is not B.
        splits: shares of train, val and test where no folder says which pictures are for what; a picture's
            name decides.
        source_range: the stored values that become -1 and 1 where they are not all that the integers can
            hold; floating-point images need it.
        target_range: the same for the target.
        source_channels: turn images of other kinds into grey, RGB or RGBA, where nothing is lost by that.
        target_channels: the same for the target.
    """

    def __init__(
        self,
        split: Split,
        *,
        root: Path | None = None,
        direction: Literal["a-to-b", "b-to-a"] = "a-to-b",
        size: Count | tuple[Count, Count] | None = None,
        source: str | None = None,
        target: str | None = None,
        splits: Shares = (0.8, 0.1, 0.1),
        source_range: Span | None = None,
        target_range: Span | None = None,
        source_channels: Channels | None = None,
        target_channels: Channels | None = None,
    ) -> None:
        check_shares(splits)
        names = _side_names(root, source, target, direction)
        self._formats = (
            FileFormat("source", span=source_range, channels=source_channels),
            FileFormat("target", span=target_range, channels=target_channels),
        )
        listing = list_sides((root or Path()).expanduser(), split, sides=names, shares=splits)
        self.layout, self.problems = listing.layout, listing.problems
        sides = listing.a, listing.b
        self._sources, self._targets = sides[::-1] if direction == "b-to-a" else sides
        self.notes = (*listing.notes, *_left_over(split, len(self._sources), len(self._targets)))
        height_width = (size, size) if isinstance(size, int) else size
        (source_spec, source_like), (target_spec, target_like) = (
            _usual(_sample(form, pictures), height_width)
            for form, pictures in zip(self._formats, (self._sources, self._targets), strict=True)
        )
        self.spec = PairSpec(source_spec, target_spec, aligned=False)
        self._like = source_like, target_like

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        place = index % len(self)
        return self._item(place, place * len(self._targets) // len(self))

    def draw(self, index: int, rng: torch.Generator) -> dict[str, Any]:
        """Return a source beside any target, drawn by `rng`."""
        return self._item(index, int(torch.randint(len(self._targets), (), generator=rng)))

    @property
    def ids(self) -> list[str]:
        """The name of each source."""
        return [printable(picture.name) for picture in self._sources]

    def _item(self, source: int, target: int) -> dict[str, Any]:
        picture = self._sources[source]
        return {
            "source": self._stored("source", picture.file),
            "target": self._stored("target", self._targets[target].file),
            "id": printable(picture.name),
        }

    def _stored(self, side: Side, path: Path) -> Tensor:
        place = 0 if side == "source" else 1
        form, like = self._formats[place], self._like[place]
        image = form.wanted(form.read(path), path)
        return form.stored(image, path, self.spec.side(side), like=like)


def _left_over(split: Split, sources: int, targets: int) -> list[str]:
    """Return a note on sides of different numbers: what that means where pictures are read in order."""
    if sources == targets:
        return []
    told = f"{split} has {sources:,} sources and {targets:,} targets, and need not have as many"
    if targets < sources:
        return [f"{told}: training draws from all of these, and targets stand beside several sources each"]
    return [
        f"{told}: training draws from all of these; where they are read in order, for scores or a check, it "
        f"is {sources:,} targets, spread evenly"
    ]


def _usual(seen: Sequence[tuple[Path, ImageSpec]], size: tuple[int, int] | None) -> tuple[ImageSpec, Path]:
    """Return the spec that most pictures of a side have, at `size` or theirs, and a file that is like it."""
    kinds = [replace(spec, height=0, width=0) for _, spec in seen]
    kind = most_frequent(kinds)
    height, width = size or most_frequent([spec.size for _, spec in seen])
    return replace(kind, height=height, width=width), seen[kinds.index(kind)][0]


def _sample(form: FileFormat, pictures: Sequence[Picture]) -> list[tuple[Path, ImageSpec]]:
    """Return what a few pictures of a side are, spread over all; else the first that can be read.

    Raises DataError where none can be.
    """
    spread, rest = places(len(pictures))
    seen: list[tuple[Path, ImageSpec]] = []
    problems: list[Problem] = []
    for place in chain(spread, rest):
        if seen and place not in spread:
            break
        path = pictures[place].file
        try:
            seen.append((path, form.spec(form.wanted(form.read(path), path), path)))
        except DataError as error:
            problems += error.problems
    if not seen:
        raise NoUsablePairError(*problems, pairs=len(pictures))
    return seen


def _side_names(root: Path | None, source: str | None, target: str | None, direction: str) -> SideNames:
    """Return where the sides are; raise ValueError for keys that leave something open."""
    if (source is None) != (target is None):
        raise ValueError("'source' and 'target' are given together: the folders of each side")
    if source is None or target is None:
        if root is None:
            raise ValueError("say where the pictures are: by 'root', or by 'source' and 'target'")
        return SideNames()
    if direction == "b-to-a":
        raise ValueError("'direction' is about A and B; change places of 'source' and 'target' instead")
    return SideNames((source,), (target,), named=True)
