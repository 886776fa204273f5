"""Layouts of pictures that lie together: both sides in one image, or told by the ends of names.

Any folder of pictures would do as pairs side by side, so that is taken only where nothing else is likely:
each picture is twice as wide as the size that is asked for, or as high; names do not pair up; and no other
folder holds pictures of the same names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path

from i2i.core.data.folder_layouts import Folders, Layout, Tree, key_of
from i2i.core.data.pairing import WORDS, Paired, folded, pair_by_ends, whole_images, without_end
from i2i.core.data.records import SPLIT, SideNames, Way
from i2i.core.data.splits import FOLDERS
from i2i.errors import DataError, Problem
from i2i.images import entries, images_below, is_image, no_images, read_image
from i2i.kinds import Split

SOME = 100
"""Names in a folder that are looked at before all are."""

LOOKED_AT = 5
"""Pictures whose proportions are looked at."""

NEAR = 1.1
"""How far the proportions of a half may be from those asked for, as a factor."""

ALIKE = 0.5
"""The share of names from which on another reading is likely."""

SURE, FEWEST_TELLING = 0.9, 10
"""The same, and how many names that are no numbers, where the pictures look like pairs themselves."""

MOST_FOLDERS = 16
"""Folders beside the pictures that are looked into for the same names."""


def find(
    root: Path,
    sides: SideNames,
    others: Sequence[Layout],
    *,
    way: Way | None,
    size: tuple[int, int] | None,
) -> list[Layout]:
    """Return the layouts of loose pictures below `root`, beside those that were found before.

    Raises DataError, with each of the readings, where it cannot be told which of them is meant.
    """
    if any(layout.place.startswith(f"{SPLIT}/") for layout in others):
        return []
    splits = _split_folders(root)
    if others:
        there = any(map(_holds_images, splits.values()))
        return [_Pictures(root, splits, deep=True).halves()] if there and not sides.named else []
    if not splits and not way and not _holds_images(root):
        return []
    pictures = _Pictures(root, splits, deep=bool(splits or way or sides.named))
    if way == "side-by-side":
        return [pictures.halves()]
    if sides.named or way:
        by_ends = pictures.by_ends([sides.names] if sides.named else WORDS, at_least=0.0)
        return [by_ends] if by_ends else []
    if not pictures.count:
        raise no_images(next(iter(splits.values()), root))
    return [_decided(pictures, size)]


def _decided(pictures: _Pictures, size: tuple[int, int] | None) -> Layout:
    """Return the one reading that is likely; raise DataError, which shows all of them, where more are."""
    by_ends = pictures.by_ends(WORDS, at_least=ALIKE)
    halves = pictures.halves()
    shapes = pictures.shapes()
    fit = 2 * sum(_near(shape, size) for shape in shapes) > len(shapes) if shapes else not by_ends
    elsewhere = pictures.in_other_folders(sure=fit)
    if not elsewhere and fit != bool(by_ends):
        return by_ends or halves
    told = [by_ends.told()] if by_ends else []
    told += elsewhere
    pictures_of = f"{pictures.count:,} picture{'s' if pictures.count != 1 else ''}"
    if shapes and not fit:
        height, width = shapes[0]
        pictures_of += (
            f" of {width}x{height}" if len(set(shapes)) == 1 else f", one of them {width}x{height},"
        )
        wanted = f"{size[1]}x{size[0]} is asked for" if size else "pairs are twice as wide as high"
        told.append(
            f"{halves.title}, though their halves would be {width // 2}x{height}, and {wanted} ({halves.key})"
        )
    else:
        told.append(halves.told())
    ways = f"these are the ways: {'; or '.join(told)}" if len(told) > 1 else f"one way is: {told[0]}"
    message = f"'{pictures.root}' holds {pictures_of} and does not say how they make pairs; {ways}."
    hint = "write the key of what is meant below [data]; folders of any names are given as source and target"
    raise DataError(Problem(message, where="data.root", hint=hint))


def _near(shape: tuple[int, int], size: tuple[int, int] | None) -> bool:
    """Whether the halves of a picture (height, width) have about the proportions of `size`, or a square's."""
    height, width = size or (1, 1)
    factor = (shape[1] / 2 / shape[0]) / (width / height)
    return 1 / NEAR <= factor <= NEAR


def _holds_images(folder: Path) -> bool:
    return any(map(is_image, entries(folder)[1]))


def _split_folders(root: Path) -> dict[Split, Path]:
    """Return the folders that are named after splits."""
    tree = Tree(root)
    found: dict[Split, Path] = {}
    for split, words in FOLDERS.items():
        there = [place for word in words if (place := tree.one(word))]
        if len(there) > 1:
            message = f"{there[0]} and {there[1]} are both for {split}."
            raise DataError(Problem(message, where="data.root", hint="move one of them elsewhere"))
        if there:
            found[split] = there[0]
    return found


class _Pictures:
    """The loose pictures of a data set, and what their names say about how they make pairs."""

    def __init__(self, root: Path, splits: Mapping[Split, Path], *, deep: bool) -> None:
        self.root, self.splits = root, splits
        self._places = list(splits.values()) or [root]
        self._images = {place: images_below(place, deep=deep) for place in self._places}
        self._files = [images.files for images in self._images.values()]
        self.count = sum(map(len, self._files))

    def halves(self) -> Layout:
        """Return the layout of images that hold both sides."""
        images = self._images
        return self._layout(
            "A and B side by side in each image",
            'layout = "side-by-side"',
            lambda folders: whole_images(folders[0], images[folders[0]]),
        )

    def _layout(self, title: str, key: str, pair: Callable[[Folders], Paired]) -> Layout:
        where = "folders train, val, test" if self.splits else "split by name"
        splits = {split: (folder,) for split, folder in self.splits.items()}
        return Layout(f"{title}; {where}", key, pair, SPLIT, splits or None, whole=(self.root,))

    def by_ends(self, words: Sequence[Sequence[str]], *, at_least: float) -> Layout | None:
        """Return the layout in which the ends of names tell the sides, if enough of the names pair up."""
        best = max(words, key=self._share_paired)
        share = self._share_paired(best)
        if not share or share < at_least:
            return None
        ends = ", …, ".join(f"_{word}" for word in (best[0], best[-1]))
        images = self._images
        return self._layout(
            f"names that end in {ends}",
            'layout = "name-endings"',
            lambda folders: pair_by_ends(folders[0], best, images[folders[0]]),
        )

    def _share_paired(self, words: Sequence[str]) -> float:
        """Return the share of pictures whose names are there once for each of the `words`."""
        some = [stem for files in self._files for stem in islice(files, 0, None, max(1, len(files) // SOME))]
        if not any(without_end(stem, words) for stem in some):
            return 0.0
        paired = 0
        for files in self._files:
            ends = (without_end(stem, words) for stem in files)
            names = Counter(end[0] for end in set(filter(None, ends)))
            paired += sum(count for count in names.values() if count == len(words))
        return paired / max(1, self.count)

    def in_other_folders(self, *, sure: bool) -> list[str]:
        """Say which other folders hold pictures of the same names, and the key that makes pairs of them.

        Where the pictures look like pairs themselves, `sure`, a folder beside the root counts only with names
        that are no mere numbers.
        """
        if not self.splits:
            return self._beside_the_root(sure)
        place = self._places[0]
        names = set(self._files[0])
        found = []
        for other in _folders(self.root):
            if folded(other) in {word for words in FOLDERS.values() for word in words}:
                continue
            same = len(names & images_below(self.root / other).files.keys())
            if same > ALIKE * len(names):
                target = other.replace(place.name, SPLIT)
                source = SPLIT if SPLIT in target else place.name
                found.append(f"folders {place.name} and {other}: {same:,} pairs ({key_of([source, target])})")
        tops: dict[str, set[str]] = {}
        for name in names:
            top, slash, below = name.partition("/")
            if slash:
                tops.setdefault(top, set()).add(below)
        for one, other in combinations(sorted(tops)[:MOST_FOLDERS], 2):
            same = len(tops[one] & tops[other])
            if same > ALIKE * max(len(tops[one]), len(tops[other])):
                key = key_of([f"{SPLIT}/{one}", f"{SPLIT}/{other}"])
                found.append(f"folders {place.name}/{one} and {place.name}/{other}: {same:,} pairs ({key})")
        return found

    def _beside_the_root(self, sure: bool) -> list[str]:
        whole = self.root.resolve()
        names = set(self._files[0])
        telling = {name for name in names if not name.isdigit()}
        if sure and len(telling) < FEWEST_TELLING:
            return []
        found = []
        for other in _folders(whole.parent):
            if other == whole.name:
                continue
            same = len(names & images_below(whole.parent / other, deep=False).files.keys())
            if same > (SURE if sure else ALIKE) * len(names):
                key = f'root = "{self.root.parent}", {key_of([whole.name, other])}'
                found.append(f"folders {whole.name} and {other}: {same:,} pairs ({key})")
        return found

    def shapes(self) -> list[tuple[int, int]]:
        """Return height and width of a few pictures, of those that can be read."""
        paths = [
            place / name
            for place, files in zip(self._places, self._files, strict=True)
            for name in files.values()
        ]
        found = []
        for path in paths[:: max(1, len(paths) // LOOKED_AT)][:LOOKED_AT]:
            try:
                _, height, width = read_image(path).shape
            except DataError:
                continue  # it is named when its turn comes
            found.append((height, width))
        return found


def _folders(place: Path) -> list[str]:
    """Return the first folders in `place`; none where it may not be looked into."""
    try:
        return entries(place)[0][:MOST_FOLDERS]
    except DataError:
        return []
