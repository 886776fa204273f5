"""Pictures of two sides that are no pairs: which files there are of each, for training and held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.core.data import folder_layouts
from i2i.core.data.folder_layouts import Folders, Layout
from i2i.core.data.pairing import pair_folders
from i2i.core.data.records import SideNames
from i2i.core.data.splits import ByName, Shares
from i2i.errors import DataError, MissingSplitError, Problem, printable
from i2i.images import entries, images_below, no_images, other_kinds_told
from i2i.kinds import Split

PAIRED = 0.9
"""The share of names that both folders have, from which on the pictures look like pairs."""

SHARES = "data.splits"


@dataclass(frozen=True)
class Picture:
    """One picture: its path below the folder of its side without the suffix, and its file."""

    name: str
    file: Path


@dataclass(frozen=True)
class TwoSides:
    """The pictures of both sides in one split, how they were found, and what is to be said of them."""

    layout: str
    a: tuple[Picture, ...]
    b: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def list_sides(root: Path, split: Split, *, sides: SideNames, shares: Shares) -> TwoSides:
    """Return the pictures of one split in the folders of two sides below `root`.

    Raises DataError where a folder is missing, empty, or that of both sides, MissingSplitError where there is
    nothing for this split.
    """
    layout = _layout(root, sides)
    folders, rule, note = _where(root, layout, split, shares)
    if folders[0].samefile(folders[1]):
        message = f"{folders[0]} is the folder of both sides."
        raise DataError(Problem(message, where="data", hint="give each side a folder of its own"))
    found, problems, others = [], list[Problem](), Counter[str]()
    for folder in folders:
        images = images_below(folder)
        if not images.files and not images.problems:
            raise no_images(folder)
        chosen = [Picture(n, folder / file) for n, file in images.files.items() if _in(rule, n, split)]
        if not chosen:
            raise _too_few(folder, len(images.files), split)
        found.append(tuple(chosen))
        problems += [problem for n, problem in images.problems.items() if _in(rule, n, split)]
        others += images.others
    told = other_kinds_told(others)
    notes = (note, f"{told}; these are left out" if told else "", _like_pairs(folders, sides.names))
    return TwoSides(layout.title, found[0], found[1], tuple(problems), tuple(filter(None, notes)))


def _in(rule: ByName | None, name: str, split: Split) -> bool:
    return rule is None or rule.split(name) == split


def _layout(root: Path, sides: SideNames) -> Layout:
    """Return the one layout of two folders below `root`; raise DataError for none, and for more than one."""
    if not root.is_dir():
        message = f"there is no folder '{root}', looked for from {Path.cwd()}."
        hint = "data.root is the folder that both sides are below"
        raise DataError(Problem(printable(message), where="data.root", hint=hint))
    found, partial = folder_layouts.find(root, sides)
    if len(found) == 1:
        return found[0]
    if found:
        ways = "; or ".join(
            f"{layout.title} ({layout.key})" if layout.key else layout.title for layout in found
        )
        message = f"'{root}' can be read in more than one way: {ways}."
        hint = "write the key of the one that is meant below [data], or move the others elsewhere"
        raise DataError(Problem(message, where="data.root", hint=hint))
    there = ", ".join(entries(root)[0][:8]) or "none"
    message = "; ".join(partial) or f"'{root}' has no folder for each side; its folders: {there}"
    a, b = sides.names
    hint = f"looked for {a} and {b}, train{a} and train{b}, train/{a} and train/{b}, {a}/train and {b}/train"
    raise DataError(Problem(printable(f"{message}."), where="data.root", hint=hint))


def _where(root: Path, layout: Layout, split: Split, shares: Shares) -> tuple[Folders, ByName | None, str]:
    """Return the folders of a split, the rule by which names share out their pictures, and a note on that."""
    rule = ByName(shares)
    if layout.splits is None:
        return layout.whole, rule, ""
    if split in layout.splits:
        shared = split == "train" and "val" not in layout.splits and "val" not in layout.lacking
        if not (shared and shares[1]):
            return layout.splits[split], None, ""
    elif split in layout.lacking:
        kind = MissingSplitError if split == "test" else DataError
        message = f"{split} is incomplete: {layout.lacking[split].told()}."
        raise kind(Problem(message, where="data.root", hint="each split has a folder for each side"))
    elif split != "val" or "train" not in layout.splits or not shares[1]:
        message = f"'{root}' has pictures for {' and '.join(layout.splits)}, and none for {split}."
        hint = f"put some into {layout.place.replace('{split}', split)}"
        raise MissingSplitError(Problem(message, where="data.root", hint=hint))
    note = (
        "there are no folders for val: part of the pictures of train are kept for it, chosen by their names "
        f"({SHARES} = [1, 0, 0] keeps none)"
    )
    return layout.splits["train"], rule.without_test(), note


def _too_few(folder: Path, count: int, split: Split) -> MissingSplitError:
    message = f"of the {count:,} picture(s) in '{folder}' none falls into {split} by its name."
    hint = f"raise the share of {split} in {SHARES}, add pictures, or make folders for each split"
    if split == "val":
        hint += "; a recipe without [metrics] and [callbacks] needs none"
    return MissingSplitError(Problem(message, where=SHARES, hint=hint))


def _like_pairs(folders: Folders, words: Sequence[str]) -> str:
    """Say that the pictures look like pairs by their names, if they do."""
    try:
        same = len(pair_folders(folders, words).pairs)
    except DataError:  # no name is in both
        return ""
    most = max(len(images_below(folder).files) for folder in folders)
    if same < 2 or same <= PAIRED * most:
        return ""
    return (
        f"{same:,} of {most:,} names are those of a picture on either side: where these are pairs, "
        'use = "paired-images" trains on them as such, and can compare'
    )
