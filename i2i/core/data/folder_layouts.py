"""Layouts with a folder for each side of the pairs, found by the folders' names.

Names of folders are compared without regard to capital letters, as some file systems do. `{split}` in a
name that the recipe gives stands for the split; other names are looked for in every usual place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from i2i.core.data.pairing import WORDS, Paired, folded, pair_folders
from i2i.core.data.records import SPLIT, SideNames
from i2i.core.data.splits import FOLDERS
from i2i.errors import DataError, Problem
from i2i.images import entries
from i2i.kinds import Split

Folders = tuple[Path, ...]
"""The folders of the sources and of the targets; one alone holds both sides."""

PATTERNS = ("{split}{side}", "{split}_{side}", "{split}-{side}", "{split}/{side}", "{side}/{split}")
"""Where the folder of a side can be."""


@dataclass(frozen=True)
class Lacking:
    """A split of which some sides have a folder and some have none."""

    there: Folders
    absent: tuple[str, ...]

    def told(self) -> str:
        """Say what is there and what is not."""
        verb = "is" if len(self.there) == 1 else "are"
        return f"{' and '.join(map(str, self.there))} {verb} there, and no {' and no '.join(self.absent)}"


@dataclass(frozen=True)
class Layout:
    """Where the pairs of a folder are: folders by split, or `whole` where names decide about the split.

    `title` says it in words, `key` is what a recipe says to have it, `place` is where a split would be, with
    ``{split}`` for its name, `pair` finds the pairs in the folders of one split.
    """

    title: str
    key: str
    pair: Callable[[Folders], Paired]
    place: str = ""
    splits: Mapping[Split, Folders] | None = None
    whole: Folders = ()
    lacking: Mapping[Split, Lacking] = field(default_factory=dict)

    def pairs(self, split: Split | None) -> Paired:
        """Return the pairs of one split, or of the whole where there are no folders for splits."""
        return self.pair(self.splits[split] if self.splits and split else self.whole)

    def told(self) -> str:
        """Say in words which layout it is, how many pairs it has, and the key for it."""
        counts = []
        for split in self.splits or (None,):
            try:
                count = len(self.pairs(split).pairs)
            except DataError:  # folders that hold nothing, or names that have nothing in common
                count = 0
            pairs = "1 pair" if count == 1 else f"{count:,} pairs"
            counts.append(f"{pairs} in {split}" if split else pairs)
        return f"{self.title}: {', '.join(counts)}" + (f" ({self.key})" if self.key else "")


def find(root: Path, sides: SideNames) -> tuple[list[Layout], list[str]]:
    """Return every layout of folders below `root`, and a sentence for each that is there by halves."""
    tree = Tree(root)
    found: list[Layout] = []
    partial: list[str] = []
    targets = len(sides.targets)
    for names in [sides.names] if sides.named else WORDS:
        explicit = any(SPLIT in name for name in names)
        patterns = ("{side}",) if explicit else PATTERNS
        tried = (_by_split(tree, pattern, names, targets, partial) for pattern in patterns)
        by_split = [layout for layout in tried if layout]
        found += by_split
        if not explicit and not any(layout.place.startswith(f"{names[0]}/") for layout in by_split):
            found += _whole(tree, names, partial)
    return found, list(dict.fromkeys(partial))


class Tree:
    """The folders below a root, found by names without regard to capital letters and Unicode form."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside: dict[Path, list[str]] = {}

    def find(self, name: str) -> list[Path]:
        """Return the folders that `name`, a path below the root, can mean."""
        places = [self.root]
        for part in PurePath(name).parts:
            places = [found for place in places for found in self._named(place, part)]
        return places

    def one(self, name: str) -> Path | None:
        """Return the folder that `name` means, if there is one; raise DataError for two."""
        places = self.find(name)
        if len(places) > 1:
            message = f"{' and '.join(map(str, places))} have one name but for capital letters."
            raise DataError(Problem(message, where="data.root", hint="rename or move one of them"))
        return places[0] if places else None

    def _named(self, place: Path, part: str) -> list[Path]:
        if place not in self._inside:
            self._inside[place] = entries(place)[0]
        same = [name for name in self._inside[place] if folded(name) == folded(part)]
        if not same and (place / part).is_dir():  # a hidden folder, or `..`
            same = [part]
        return [place / name for name in same]


def _by_split(
    tree: Tree, pattern: str, names: Sequence[str], targets: int, partial: list[str]
) -> Layout | None:
    """Return the layout that a pattern describes, if at least one split has a folder for each side."""
    splits: dict[Split, Folders] = {}
    lacking: dict[Split, Lacking] = {}
    for split, words in FOLDERS.items():
        for word in words:
            wanted = [pattern.replace("{side}", name).replace(SPLIT, word) for name in names]
            places = [tree.one(path) for path in wanted]
            there = tuple(dict.fromkeys(place for place in places if place))
            if not there:
                continue
            if None in places:
                absent = (
                    str(tree.root / path) for path, place in zip(wanted, places, strict=True) if not place
                )
                lacking[split] = Lacking(there, tuple(absent))
                continue
            if split in splits:
                message = f"{splits[split][0]} and {there[0]} are both for {split}."
                raise DataError(Problem(message, where="data.root", hint="move one of them elsewhere"))
            splits[split] = there
    lacking = {split: some for split, some in lacking.items() if split not in splits}
    if not splits:
        partial += [some.told() for some in lacking.values()]
        return None
    first, last = (pattern.replace("{side}", name) for name in (names[0], names[-1]))
    return Layout(
        f"folders {first.replace(SPLIT, 'train')}, …, {last.replace(SPLIT, 'train')}",
        key_of([pattern.replace("{side}", name) for name in names], targets),
        lambda folders: pair_folders(folders, names),
        f"{first}, …, {last}",
        splits,
        lacking=lacking,
    )


def _whole(tree: Tree, names: Sequence[str], partial: list[str]) -> list[Layout]:
    """Return the layout of one folder for each side, without folders for splits."""
    places = [tree.one(name) for name in names]
    there = tuple(place for place in places if place)
    if len(there) < len(names):
        if there:
            absent = (str(tree.root / name) for name, place in zip(names, places, strict=True) if not place)
            partial.append(Lacking(there, tuple(absent)).told())
        return []
    title = f"folders {', '.join(names)}; split by name"
    return [Layout(title, "", lambda folders: pair_folders(folders, names), whole=there)]


def key_of(names: Sequence[str], targets: int = 1) -> str:
    """Return what a recipe says to have the folders of these names, with {split} for the split's.

    The last ones are those of so many `targets`.
    """
    quoted = [f'"{name}"' for name in names]
    sides = quoted[:-targets], quoted[-targets:]
    source, target = (side[0] if len(side) == 1 else f"[{', '.join(side)}]" for side in sides)
    return f"source = {source}, target = {target}"
