"""How image pairs lie on disk: found from the names of folders and files, none of which is opened.

Pairs are told by their stem, never by their place in a sorted list. What has no partner, or more than
one, is a problem with its path; it is left out of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.core.data import manifest
from i2i.core.data.records import Listing, PairFiles, SideNames
from i2i.core.data.splits import FOLDERS, Shares, split_of
from i2i.errors import DataError, MissingSplitError, Problem
from i2i.images import by_stem, entries, image_names, natural
from i2i.kinds import Split


@dataclass(frozen=True)
class Layout:
    """Where the pairs of a folder are: folders by split, or `whole` where names decide about the split.

    `title` says it in words and `place` is where a split would be, with ``{split}`` for its name. Each
    value holds the folders of the sources and of the target; one alone holds both sides in each image.
    """

    title: str
    place: str = ""
    splits: Mapping[Split, Sequence[Path]] | None = None
    whole: Sequence[Path] = ()


def list_pairs(root: Path, split: Split, *, sides: SideNames, shares: Shares) -> Listing:
    """Return the pairs of one split below `root`, a folder or a manifest.

    Raises DataError where there are none to be found, MissingSplitError where there are others.
    """
    source = manifest.find(root)
    if source:
        return manifest.read(source, split, sides=sides, shares=shares)
    layout = find_layout(root, sides)
    if layout.splits is not None:
        if split not in layout.splits:
            raise _no_folder(root, split, layout)
        pairs, problems = _pair_up(layout.splits[split])
        return Listing(layout.title, tuple(pairs.values()), tuple(problems.values()))
    pairs, problems = _pair_up(layout.whole)
    chosen = tuple(pair for stem, pair in pairs.items() if split_of(stem, shares) == split)
    if not chosen:
        raise none_by_name(root, split, len(pairs), shares)
    wrong = tuple(problem for stem, problem in problems.items() if split_of(stem, shares) == split)
    return Listing(layout.title, chosen, wrong)


def find_layout(root: Path, sides: SideNames) -> Layout:
    """Return the one layout that the folders below `root` have.

    Raises DataError, saying what is there, when they have none, or more than one.
    """
    if not root.is_dir():
        message = f"there is no folder or manifest '{root}', looked for from {Path.cwd()}."
        raise DataError(
            Problem(message, where="data.root", hint="data.root is the folder of the image pairs")
        )
    folders, files = entries(root)
    found = [layout for layout in _layouts(root, sides, set(folders)) if layout.splits or layout.whole]
    if not found and not sides.named and image_names(files):
        return Layout("A and B side by side in each image; split by name", whole=[root])
    if len(found) == 1:
        return found[0]
    if found:
        ways = "; or ".join(layout.title for layout in found)
        message = f"'{root}' can be read in more than one way: {ways}."
        raise DataError(Problem(message, where="data.root", hint="move one of them elsewhere"))
    names = ", ".join(sides.names)
    below = {name: entries(root / name)[0] for name in folders[:8]}
    tree = ", ".join(
        f"{name} (with {', '.join(inner[:4])})" if inner else name for name, inner in below.items()
    )
    message = f"no image pairs are found in '{root}'; its folders: {tree or 'none'}."
    hint = (
        f"looked for {names}; train{sides.names[0]}; train/{sides.names[0]}; {sides.names[0]}/train; "
        f"{manifest.NAMES[0]}; {manifest.NAMES[1]}"
    )
    if not sides.named:
        hint += (
            "; train; images that hold both; folders of other names are given as data.source and data.target"
        )
    raise DataError(Problem(message, where="data.root", hint=hint))


def _layouts(root: Path, sides: SideNames, folders: set[str]) -> list[Layout]:
    """Return every layout of folders, those that nothing was found for included."""
    names = sides.names
    first, last = names[0], names[-1]

    def where(pattern: str) -> dict[Split, list[Path]]:
        """Return the folders of each split that has all of them, by a pattern of {split} and {side}."""
        found: dict[Split, list[Path]] = {}
        for split, words in FOLDERS.items():
            for word in words:
                places = [root / pattern.format(split=word, side=name) for name in names]
                if not all(place.is_dir() for place in places):
                    continue
                if split in found:
                    message = f"{found[split][0]} and {places[0]} are both for {split}."
                    raise DataError(Problem(message, where="data.root", hint="move one of them elsewhere"))
                found[split] = list(dict.fromkeys(places))
        return found

    joined, by_split, by_side = where("{split}{side}"), where("{split}/{side}"), where("{side}/{split}")
    layouts = [
        Layout(f"folders train{first}, …, train{last}", f"{{split}}{first}, …, {{split}}{last}", joined),
        Layout(
            f"folders train/{first}, …, train/{last}", f"{{split}}/{first}, …, {{split}}/{last}", by_split
        ),
        Layout(f"folders {first}/train, …, {last}/train", f"{first}/{{split}}, …, {last}/{{split}}", by_side),
    ]
    if folders.issuperset(names) and not by_side:
        title = f"folders {', '.join(names)}; split by name"
        layouts.append(Layout(title, whole=[root / name for name in names]))
    if not sides.named and not by_split:
        title = "A and B side by side in each image; folders train, val, test"
        layouts.append(Layout(title, "{split}", where("{split}")))
    return layouts


def _pair_up(folders: Sequence[Path]) -> tuple[dict[str, PairFiles], dict[str, Problem]]:
    """Return the pairs in the folders of the sources and the target by stem, and the problems by stem."""
    found, pairs = [], {}
    problems: dict[str, Problem] = {}
    for folder in folders:
        names, shared = by_stem(folder)
        found.append(names)
        problems |= shared
    stems = set[str]().union(*found) - problems.keys()
    for stem in found[0] if stems == found[0].keys() else sorted(stems, key=natural):
        files = [folder / names[stem] for folder, names in zip(folders, found, strict=True) if stem in names]
        if len(files) == len(folders):
            sources, target = (files[:-1], files[-1]) if len(files) > 1 else (files, None)
            pairs[stem] = PairFiles(stem, tuple(sources), target)
        else:
            lacking = [str(f) for f, names in zip(folders, found, strict=True) if stem not in names]
            message = f"there is no image '{stem}' in {' nor in '.join(lacking)}."
            problems[stem] = Problem(message, file=str(files[0]), hint="the files of a pair have one name")
    return pairs, problems


def _no_folder(root: Path, split: Split, layout: Layout) -> MissingSplitError:
    there = " and ".join(layout.splits or ())
    message = f"'{root}' has pairs for {there}, and none for {split}."
    hint = f"put some into {layout.place.format(split=split)}"
    if split == "val":
        hint += "; a recipe without [metrics] and [callbacks] needs none"
    return MissingSplitError(Problem(message, where="data.root", hint=hint))


def none_by_name(root: Path, split: Split, count: int, shares: Shares) -> MissingSplitError:
    """Return the error for a split that no pair's name falls into."""
    message = (
        f"'{root}' has {count} pair(s), none of which falls into {split}: the shares are {list(shares)}."
    )
    hint = f"raise the share of {split} in data.splits, add pairs, or make a folder for each split"
    return MissingSplitError(Problem(message, where="data.splits", hint=hint))
