"""Image pairs from disk, in the layouts and formats that people have them in.

Only names are read at the start, a few pairs for the spec, and a few pictures where only their proportions
tell whether they are pairs, so that large sets open at once; a file that does not fit is named when its turn
comes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le

from i2i.core.data.fields import FieldFiles, check_names
from i2i.core.data.layouts import list_pairs
from i2i.core.data.records import SPLIT, PairFiles, SideNames, Way
from i2i.core.data.sides import NoData, SideFormat, Span, size_text
from i2i.core.data.splits import ByName, Shares, check_group, check_shares
from i2i.core.data.usual import Seen, places, usual
from i2i.errors import DataError, NoUsablePairError, Problem, printable
from i2i.images import read_image
from i2i.kinds import Colour, PairSpec, Split
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

Channels = Literal[1, 3, 4]
Classes = Count | tuple[Colour, ...]
Index = Annotated[int, Ge(0), Le(65535)]


class PairedImages:
    """Pairs of images in folders or in a list, told by their names.

    Found by themselves are folders `A` and `B`, `trainA` and `trainB`, `train_A` and `train_B`, `train/A` and
    `train/B`, `A/train` and `B/train`, with folders inside them if need be; the same with the words `input`
    and `target`, `source` and `target`, `label` and `img`; names that end in `_A` and `_B`, or in those
    words, in one folder; images that hold both sides, A on the left, where each is twice as wide as high, or
    as `size` says; and a manifest, `manifest.csv` or `manifest.jsonl`. Where more than one of these is
    likely, the error shows them, with the key for each.

    Items are ``{"source", "target", "id"}``: (C,H,W) tensors as stored, each of its own size. Pairs are made
    by names, in natural order (2 before 10); hidden files are passed over, files of other kinds counted in
    `notes`. Files without a partner are left out and listed in `problems`. Where folders say what is for
    training and none is there for validation, part of the training pairs are, by their names.

    Args:
        root: the folder of the pairs, or a manifest; relative to the working directory, `~` is home.
        direction: "a-to-b" translates A, or a manifest's source, into B; "b-to-a" the other way round.
        size: height and width to train at, one number for a square; left out, those of the pairs.
        layout: how the two sides are told apart where that is not certain: by "folders", "side-by-side" in
            each image, or by "name-endings".
        source: the source's folder, end of name or column where it is not A; `{split}` in it stands for
            train, val and test, as in "{split}_images". Several are stacked to one input, each a part of it
            under its name without {split}; what is said of sources below may then be said by name, like
            source_labels.seg = 35.
        target: the same for the target where it is not B; of several each is written to a file of its own.
        splits: shares of train, val and test where no folder says which pairs are for what; a pair's name
            decides, so that more pairs move none to another split.
        group: a regular expression that finds in a pair's name whom or what it shows, like "^([a-z0-9]+)_":
            pairs with the same first group, or the same match, fall into one split where names decide; a name
            without a match is alone.
        source_labels: the source is a map of so many classes, stored as indices, or of these colours. Of
            several sources the ones that are, by name.
        target_labels: the same for the target.
        source_range: the stored values that become -1 and 1 where they are not all that the integers can
            hold; floating-point images need it. By name for several sources.
        target_range: the same for the target.
        source_channels: turn images of other kinds into grey, RGB or RGBA, where nothing is lost by that. By
            name for several sources.
        target_channels: the same for the target.
        nodata: a stored value that stands for no data, or "nan": it becomes the lowest of the range. By name
            where a side has several files.
        clamp: cut off values outside of the range, instead of refusing their file.
        void: an index in label maps that stands for no class: it becomes the last of them.
        extra: further columns of a manifest that name a picture for each pair, such as a mask: each becomes a
            field of that name, its values as stored (white of 8 bits is 255), of the palette its indices.
    """

    def __init__(
        self,
        split: Split,
        *,
        root: Path,
        direction: Literal["a-to-b", "b-to-a"] = "a-to-b",
        size: Count | tuple[Count, Count] | None = None,
        layout: Way | None = None,
        source: str | tuple[str, ...] | None = None,
        target: str | tuple[str, ...] | None = None,
        splits: Shares = (0.8, 0.1, 0.1),
        group: re.Pattern[str] | None = None,
        source_labels: Classes | dict[str, Classes] | None = None,
        target_labels: Classes | dict[str, Classes] | None = None,
        source_range: Span | dict[str, Span] | None = None,
        target_range: Span | dict[str, Span] | None = None,
        source_channels: Channels | dict[str, Channels] | None = None,
        target_channels: Channels | dict[str, Channels] | None = None,
        nodata: NoData | dict[str, NoData] | None = None,
        clamp: bool = False,
        void: Index | None = None,
        extra: tuple[str, ...] = (),
    ) -> None:
        check_shares(splits)
        if group is not None:
            group = re.compile(group)
            check_group(group)
        names = _side_names(source, target, direction, layout)
        parts = part_names(names.names)
        if isinstance(nodata, dict) and nodata.keys() - set(parts):
            strange = ", ".join(sorted(nodata.keys() - set(parts)))
            raise ValueError(f"'nodata' names {strange}; there are {', '.join(parts)}")
        check_names(extra, ("source", "target", *names.names))
        height_width = (size, size) if isinstance(size, int) else size
        self._source = SideFormat.of(
            "source",
            parts[: len(names.sources)],
            labels=source_labels,
            span=source_range,
            channels=source_channels,
            void=void,
            nodata=nodata,
            clamp=clamp,
        )
        self._target = SideFormat.of(
            "target",
            parts[len(names.sources) :],
            labels=target_labels,
            span=target_range,
            channels=target_channels,
            void=void,
            nodata=nodata,
            clamp=clamp,
        )
        if void is not None and not (self._source.by_index or self._target.by_index):
            raise ValueError("'void' is an index of label maps: say with 'source_labels' or 'target_labels'")
        self._sources = len(names.sources)
        self._swapped = direction == "b-to-a"
        listing = list_pairs(
            root.expanduser(),
            split,
            sides=names,
            by_name=ByName(splits, group),
            way=layout,
            size=height_width,
            extra=extra,
        )
        self._nan = nodata == "nan"
        self.layout = listing.layout
        self.problems = listing.problems
        self.notes = listing.notes
        self._pairs = listing.pairs
        self.spec, self._like = usual(self._sample(), height_width)
        self._fields = FieldFiles.like(extra, (pair.extra for pair in self._pairs))
        self.extra = self._fields.extra

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        pair = self._pairs[index]
        files, images = self._files(pair), self._images(pair)
        source = self._source.stored(images[0], files[0], self.spec.source, like=self._like[0])
        target = self._target.stored(images[1], files[1], self.spec.target, like=self._like[1])
        if not _same_picture(source, target):
            message = f"the source is {size_text(source)} pixels and the target {size_text(target)}."
            hint = "both sides of a pair show the same picture, in the same proportions"
            raise DataError(Problem(message, file=str(files[1][0]), hint=hint))
        fields = self._fields.read(pair.extra, target)
        return {"source": source, "target": target, "id": printable(pair.id), **fields}

    @property
    def ids(self) -> list[str]:
        """The id of each pair."""
        return [printable(pair.id) for pair in self._pairs]

    @property
    def file_sizes(self) -> list[tuple[int, ...]]:
        """The sizes of each pair's files in bytes; -1 for one that cannot be asked."""
        return [tuple(map(_size, (*pair.files, *pair.extra))) for pair in self._pairs]

    def _files(self, pair: PairFiles) -> tuple[list[Path], list[Path]]:
        """Return the files of the source and those of the target; a file that holds both is in each."""
        files = list(pair.files)
        if len(files) == 1:
            return files, files
        a, b = files[: self._sources], files[self._sources :]
        return (b, a) if self._swapped else (a, b)

    def _images(self, pair: PairFiles) -> tuple[list[Tensor], list[Tensor]]:
        """Return the decoded images of the source and those of the target, of the channels asked for."""
        files = self._files(pair)
        if len(pair.files) == 1:
            a, b = self._halves(pair.files[0])
            sources, targets = ([b], [a]) if self._swapped else ([a], [b])
        else:
            sources, targets = self._source.read(files[0]), self._target.read(files[1])
        return self._source.wanted(sources, files[0]), self._target.wanted(targets, files[1])

    def _halves(self, path: Path) -> tuple[Tensor, Tensor]:
        """Return the left and the right half of an image."""
        image = read_image(path, nan=self._nan)
        width = image.shape[2]
        if width % 2:
            message = f"an image {width} pixels wide cannot be cut into a left and a right half."
            raise DataError(Problem(message, file=str(path), hint="A and B stand side by side, equally wide"))
        return image[:, :, : width // 2].contiguous(), image[:, :, width // 2 :].contiguous()

    def _sample(self) -> list[Seen]:
        """Return what a few pairs are, spread over all; where none of these can be read, the first that can.

        Raises DataError where there is none, and where most have values whose range nobody knows.
        """
        if not self._pairs:
            raise DataError(*self.problems)
        spread, rest = places(len(self._pairs))
        seen: list[Seen] = []
        unread: list[Problem] = []
        unclear: list[DataError] = []
        for place in chain(spread, rest):
            if place not in spread and (seen or unclear):
                break
            pair = self._pairs[place]
            try:
                files, images = self._files(pair), self._images(pair)
            except DataError as error:
                unread += error.problems
                continue
            try:
                sides = self._source.spec(images[0], files[0]), self._target.spec(images[1], files[1])
            except DataError as error:
                unclear.append(error)
            else:
                seen.append(Seen(files, PairSpec(*sides)))
        if len(unclear) > len(seen):
            raise unclear[0]
        if not seen:
            raise NoUsablePairError(*unread, pairs=len(self._pairs))
        return seen


def _side_names(
    source: str | tuple[str, ...] | None,
    target: str | tuple[str, ...] | None,
    direction: str,
    layout: Way | None,
) -> SideNames:
    """Return where the sides are; raise ValueError for names that leave something open."""
    if source is None and target is None:
        return SideNames()
    if source is None or target is None:
        raise ValueError("'source' and 'target' are given together: the folders or columns of each side")
    if direction == "b-to-a":
        raise ValueError("'direction' is about A and B; change places of 'source' and 'target' instead")
    sources, targets = ((side,) if isinstance(side, str) else tuple(side) for side in (source, target))
    names = (*sources, *targets)
    if not sources or not targets or len({*names}) != len(names):
        raise ValueError("'source' and 'target' name different folders or columns, each once")
    if len({SPLIT in name for name in names}) > 1:
        raise ValueError(f"'source' and 'target' have {SPLIT} in each of their names, or in none")
    if layout == "side-by-side":
        raise ValueError("'source' and 'target' name no halves of an image; leave out them or 'layout'")
    return SideNames(sources, targets, named=True)


def part_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return what files of these folders or columns are called: their names without what stands for a split.

    Where two would be called alike, or one would have no name, all keep their own.
    """
    short = tuple("/".join(filter(None, name.replace(SPLIT, "").split("/"))).strip("_-. ") for name in names)
    return short if all(short) and len({*short}) == len(short) else tuple(names)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1  # whoever reads it will say why


def _same_picture(source: Tensor, target: Tensor) -> bool:
    """Whether both sides have the same proportions, but for what rounding to whole pixels does."""
    (height, width), (other_height, other_width) = source.shape[1:], target.shape[1:]
    scale = other_height / height
    return bool(abs(other_width - width * scale) < max(1.0, scale))
