"""Image pairs from disk, in the layouts and formats that people have them in.

Only names are read at the start, and a few pairs for the spec, so that large sets open at once; a file that
does not fit is named when its turn comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from annotated_types import Ge, Le

from i2i.core.data.layouts import list_pairs
from i2i.core.data.records import PairFiles, SideNames
from i2i.core.data.sides import NoData, SideFormat, Span, size_text
from i2i.core.data.splits import Shares, check_shares
from i2i.errors import DataError, NoUsablePairError, Problem, printable
from i2i.images import IMAGE_SUFFIXES, read_image
from i2i.kinds import Colour, PairSpec, Split
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 9
"""Pairs, spread over all of them, of which the most frequent kind is what the others must be like."""

ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip")
Channels = Literal[1, 3, 4]
Index = Annotated[int, Ge(0), Le(65535)]
T = TypeVar("T", bound=Hashable)


class PairedImages:
    """Pairs of images in folders or in a list, told by their names.

    Found by themselves are pairs side by side in one image, A on the left; folders `A` and `B`, `trainA`
    and `trainB`, `train/A` and `train/B`, `A/train` and `B/train`; and a manifest, `manifest.csv` or
    `manifest.jsonl`. Items are ``{"source", "target", "id"}``: (C,H,W) tensors as stored, each of its own
    size. Pairs come in natural order (2 before 10); hidden files and other kinds are passed over. Files
    without a partner are left out and listed in `problems`.

    Args:
        root: the folder of the pairs, or a manifest; relative to the working directory, `~` is home.
        direction: "a-to-b" translates A, or a manifest's source, into B; "b-to-a" the other way round.
        size: height and width to train at, one number for a square; left out, those of the pairs.
        source: the source's folder or column where it is not A; several are stacked to one input.
        target: the target's folder or column where it is not B.
        splits: shares of train, val and test where no folder says which pairs are for what; a pair's name
            decides, so that more pairs move none to another split.
        source_labels: the source is a map of so many classes, stored as indices, or of these colours.
        target_labels: the same for the target.
        source_range: the stored values that become -1 and 1 where they are not all that the integers can
            hold; floating-point images need it. By name for several sources.
        target_range: the same for the target.
        source_channels: turn images of other kinds into grey, RGB or RGBA, where nothing is lost by that.
        target_channels: the same for the target.
        nodata: a stored value that stands for no data, or "nan": it becomes the lowest of the range.
        clamp: cut off values outside of the range, instead of refusing their file.
        void: an index in label maps that stands for no class: it becomes the last of them.
    """

    def __init__(
        self,
        split: Split,
        *,
        root: Path,
        direction: Literal["a-to-b", "b-to-a"] = "a-to-b",
        size: Count | tuple[Count, Count] | None = None,
        source: str | tuple[str, ...] | None = None,
        target: str | None = None,
        splits: Shares = (0.8, 0.1, 0.1),
        source_labels: Count | tuple[Colour, ...] | None = None,
        target_labels: Count | tuple[Colour, ...] | None = None,
        source_range: Span | dict[str, Span] | None = None,
        target_range: Span | None = None,
        source_channels: Channels | None = None,
        target_channels: Channels | None = None,
        nodata: NoData | None = None,
        clamp: bool = False,
        void: Index | None = None,
    ) -> None:
        check_shares(splits)
        if void is not None and not any(isinstance(n, int) for n in (source_labels, target_labels)):
            raise ValueError("'void' is an index of label maps: say with 'source_labels' or 'target_labels'")
        _check_root(root.expanduser())
        names = _side_names(source, target, direction)
        self._source = SideFormat(
            "source", names.sources, source_labels, source_range, source_channels, void, nodata, clamp
        )
        self._target = SideFormat(
            "target", (names.target,), target_labels, target_range, target_channels, void, nodata, clamp
        )
        self._swapped = direction == "b-to-a"
        listing = list_pairs(root.expanduser(), split, sides=names, shares=splits)
        self.layout = listing.layout
        self.problems = listing.problems
        self._pairs = listing.pairs
        self.spec, self._like = _usual(self._sample(), size)

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
        return {"source": source, "target": target, "id": printable(pair.id)}

    def _files(self, pair: PairFiles) -> tuple[list[Path], list[Path]]:
        """Return the files of the source and those of the target; a file that holds both is in each."""
        if pair.target is None:
            return [pair.sources[0]], [pair.sources[0]]
        a, b = list(pair.sources), [pair.target]
        return (b, a) if self._swapped else (a, b)

    def _images(self, pair: PairFiles) -> tuple[list[Tensor], list[Tensor]]:
        """Return the decoded images of the source and those of the target, of the channels asked for."""
        files = self._files(pair)
        if pair.target is None:
            a, b = self._halves(pair.sources[0])
            sources, targets = ([b], [a]) if self._swapped else ([a], [b])
        else:
            sources, targets = self._source.read(files[0]), self._target.read(files[1])
        return (
            [self._source.wanted(*each) for each in zip(sources, files[0], strict=True)],
            [self._target.wanted(*each) for each in zip(targets, files[1], strict=True)],
        )

    def _halves(self, path: Path) -> tuple[Tensor, Tensor]:
        """Return the left and the right half of an image."""
        image = read_image(path, nan=self._source.nodata == "nan")
        width = image.shape[2]
        if width % 2:
            message = f"an image {width} pixels wide cannot be cut into a left and a right half."
            raise DataError(Problem(message, file=str(path), hint="A and B stand side by side, equally wide"))
        return image[:, :, : width // 2].contiguous(), image[:, :, width // 2 :].contiguous()

    def _sample(self) -> list[_Seen]:
        """Return what a few pairs are, spread over all; where none of these can be read, the first that can.

        Raises DataError where there is none, and where most have values whose range nobody knows.
        """
        if not self._pairs:
            raise DataError(*self.problems)
        last = len(self._pairs) - 1
        spread = sorted({place * last // (SAMPLE - 1) for place in range(SAMPLE)})
        rest = (place for place in range(last + 1) if place not in spread)
        seen: list[_Seen] = []
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
                seen.append(_Seen(files, PairSpec(*sides)))
        if len(unclear) > len(seen):
            raise unclear[0]
        if not seen:
            raise NoUsablePairError(*unread, pairs=len(self._pairs))
        return seen


class _Seen(NamedTuple):
    """What one pair is: its files, and the spec that it alone would have."""

    files: tuple[list[Path], list[Path]]
    spec: PairSpec


def _usual(
    seen: Sequence[_Seen], size: int | tuple[int, int] | None
) -> tuple[PairSpec, tuple[list[Path], list[Path]]]:
    """Return the spec that most pairs have, at `size` or theirs, and files of each side that are like it."""
    sources = [replace(pair.spec.source, height=0, width=0) for pair in seen]
    targets = [replace(pair.spec.target, height=0, width=0) for pair in seen]
    source, target = _most_frequent(sources), _most_frequent(targets)
    if size is None:
        sizes = _most_frequent([(pair.spec.source.size, pair.spec.target.size) for pair in seen])
    else:
        sizes = ((size, size) if isinstance(size, int) else size,) * 2
    (height, width), (target_height, target_width) = sizes
    spec = PairSpec(
        replace(source, height=height, width=width),
        replace(target, height=target_height, width=target_width),
    )
    return spec, (seen[sources.index(source)].files[0], seen[targets.index(target)].files[1])


def _most_frequent(values: Sequence[T]) -> T:
    """Return the most frequent value; of several, the one that comes first."""
    return Counter(values).most_common(1)[0][0]


def _check_root(root: Path) -> None:
    """Raise DataError for a file that is no list of pairs, and whose kind its name tells."""
    suffix = root.suffix.lower()
    if not root.is_file():
        return
    if suffix in ARCHIVES:
        told = "an archive", "unpack it, and give the folder that comes out"
    elif suffix in IMAGE_SUFFIXES:
        told = "one image", "give the folder of the pairs, or a manifest that lists them"
    elif suffix == ".json":
        told = "JSON", "a manifest is .jsonl, one object in braces a line, or .csv"
    else:
        return
    message = f"'{root}' is {told[0]}, and data.root is the folder of the image pairs, or a manifest."
    raise DataError(Problem(message, where="data.root", hint=told[1]))


def _side_names(source: str | tuple[str, ...] | None, target: str | None, direction: str) -> SideNames:
    """Return where the sides are; raise ValueError for names that leave something open."""
    if source is None and target is None:
        return SideNames()
    if source is None or target is None:
        raise ValueError("'source' and 'target' are given together: the folders or columns of each side")
    if direction == "b-to-a":
        raise ValueError("'direction' is about A and B; change places of 'source' and 'target' instead")
    sources = (source,) if isinstance(source, str) else source
    if not sources or len({*sources, target}) != len(sources) + 1:
        raise ValueError("'source' and 'target' name different folders or columns, each once")
    return SideNames(sources, target, named=True)


def _same_picture(source: Tensor, target: Tensor) -> bool:
    """Whether both sides have the same proportions, but for what rounding to whole pixels does."""
    (height, width), (other_height, other_width) = source.shape[1:], target.shape[1:]
    scale = other_height / height
    return bool(abs(other_width - width * scale) < max(1.0, scale))
