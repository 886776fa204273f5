"""How image pairs lie on disk: found from the names of folders and files.

Pairs are told by their names, never by their place in a sorted list. What has no partner, or more than
one, is a problem with its path; it is left out of the pairs. Where names allow more than one layout none is
guessed: the error shows each, with how many pairs it has and what to write in the recipe for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from i2i.core.data import folder_layouts, loose, manifest
from i2i.core.data.folder_layouts import Layout
from i2i.core.data.pairing import Paired
from i2i.core.data.records import SPLIT, Listing, SideNames, Way
from i2i.core.data.splits import ByName
from i2i.errors import DataError, MissingSplitError, Problem, printable
from i2i.images import entries, image_names, other_kinds_told
from i2i.kinds import Split


def list_pairs(
    root: Path,
    split: Split,
    *,
    sides: SideNames,
    by_name: ByName,
    way: Way | None = None,
    size: tuple[int, int] | None = None,
    extra: Sequence[str] = (),
) -> Listing:
    """Return the pairs of one split below `root`, a folder or a manifest, which may have `extra` columns.

    `way` and `size` (height, width) are what the recipe asks for, if it does. Raises DataError where there
    are none to be found, MissingSplitError where there are others.
    """
    source = manifest.find(root)
    if source:
        return manifest.read(source, split, sides=sides, by_name=by_name, extra=extra)
    if extra:
        message = f"'{root}' holds no manifest, whose columns data.extra would name."
        hint = f"list the pairs in {manifest.NAMES[0]}, with a column for each of {', '.join(extra)}"
        raise DataError(Problem(message, where="data.extra", hint=hint))
    layout = find_layout(root, sides, way=way, size=size)
    if layout.splits is None:
        return _listing(
            layout, layout.pairs(None), split, by_name, lambda n: none_by_name(root, split, n, by_name)
        )
    if split in layout.lacking:
        raise _incomplete(split, layout)
    shared_out = "val" not in layout.splits and "val" not in layout.lacking and "train" in layout.splits
    if shared_out and split != "test" and by_name.shares[1]:
        rule = by_name.without_test()
        found = layout.pairs("train")
        kept = sum(rule.split(name) == "val" for name in found.pairs)
        note = (
            f"there is no folder for val: {kept:,} of the {len(found.pairs):,} pairs of train are kept "
            "for it, chosen by their names (data.splits = [1, 0, 0] keeps none)"
        )
        return _listing(
            layout, found, split, rule, lambda n: _too_few(root, split, n, layout), note if kept else ""
        )
    if split not in layout.splits:
        raise _no_folder(root, split, layout)
    found = layout.pairs(split)
    return Listing(
        layout.title, tuple(found.pairs.values()), tuple(found.problems.values()), _notes(found.others)
    )


def _listing(
    layout: Layout,
    found: Paired,
    split: Split,
    rule: ByName,
    none: Callable[[int], MissingSplitError],
    note: str = "",
) -> Listing:
    """Return those of the pairs whose names fall into `split`; raise what `none` returns if there is none."""
    chosen = tuple(pair for name, pair in found.pairs.items() if rule.split(name) == split)
    if not chosen:
        raise none(len(found.pairs))
    wrong = tuple(problem for name, problem in found.problems.items() if rule.split(name) == split)
    return Listing(layout.title, chosen, wrong, _notes(found.others, note))


def _notes(others: Counter[str], *notes: str) -> tuple[str, ...]:
    told = other_kinds_told(others)
    return tuple(filter(None, (*notes, f"{told}; these are left out" if told else "")))


def find_layout(
    root: Path, sides: SideNames, *, way: Way | None = None, size: tuple[int, int] | None = None
) -> Layout:
    """Return the one layout that the folders and files below `root` have.

    Raises DataError, saying what is there, when they have none, or more than one.
    """
    if not root.is_dir():
        message = f"there is no folder or manifest '{root}', looked for from {Path.cwd()}."
        hint = "data.root is the folder of the image pairs"
        if not str(root).isprintable():
            hint = "in double quotes a backslash begins an escape: write a path with \\ in single quotes"
        raise DataError(Problem(printable(message), where="data.root", hint=hint))
    found, partial = folder_layouts.find(root, sides) if way in (None, "folders") else ([], [])
    if way != "folders":
        found += loose.find(root, sides, found, way=way, size=size)
    if len(found) == 1:
        return found[0]
    if found:
        ways = "; or ".join(layout.told() for layout in found)
        message = f"'{root}' can be read in more than one way: {ways}."
        hint = "write the key of the one that is meant below [data], or move the others elsewhere"
        raise DataError(Problem(message, where="data.root", hint=hint))
    raise _nothing(root, sides, partial, way)


def _nothing(root: Path, sides: SideNames, partial: list[str], way: Way | None) -> DataError:
    """Return the error for a folder in which no layout is found; `partial` says what was found by halves."""
    folders, files = entries(root)
    below = {name: entries(root / name)[0] for name in folders[:8]}
    tree = ", ".join(
        f"{name} (with {', '.join(inner[:4])})" if inner else name for name, inner in below.items()
    )
    lead = f"no image pairs are found in '{root}'"
    if way:
        lead += f' with layout = "{way}"'
    message = f"{lead}; its folders: {tree or 'none'}."
    if partial:
        message = f"{lead}: {'; '.join(partial)}."
    elif pictures := len(image_names(files)):
        message = f"{lead}; its folders: {tree or 'none'}; and {pictures:,} pictures beside them."
    names = ", ".join(sides.names)
    first = sides.names[0]
    hint = (
        f"looked for {names}; train{first}; train/{first}; {first}/train; "
        f"{manifest.NAMES[0]}; {manifest.NAMES[1]}"
    )
    if not sides.named:
        hint += (
            "; input and target in the same places; train; images that hold both; folders of other names are "
            "given as data.source and data.target"
        )
    return DataError(Problem(message, where="data.root", hint=hint))


def _incomplete(split: Split, layout: Layout) -> DataError:
    """Return the error for a split that has the folder of one side alone."""
    message = f"{split} is incomplete: {layout.lacking[split].told()}."
    if split == "test":
        there = layout.lacking[split].there[0]
        hint = f"nothing can be compared without targets; translate it: i2i translate MODEL {there} OUT"
        return MissingSplitError(Problem(message, where="data.root", hint=hint))
    hint = f"put the missing side into {layout.place.replace(SPLIT, split)}, or move the other one elsewhere"
    return DataError(Problem(message, where="data.root", hint=hint))


def _no_folder(root: Path, split: Split, layout: Layout) -> MissingSplitError:
    there = " and ".join(layout.splits or ())
    message = f"'{root}' has pairs for {there}, and none for {split}."
    hint = f"put some into {layout.place.replace(SPLIT, split)}"
    if split == "val":
        hint += "; a recipe without [metrics] and [callbacks] needs none"
    return MissingSplitError(Problem(message, where="data.root", hint=hint))


def _too_few(root: Path, split: Split, count: int, layout: Layout) -> MissingSplitError:
    """Return the error for training pairs of which no name falls into `split`."""
    message = (
        f"'{root}' has no folder for val, and of the {count:,} pair(s) of train no name falls into {split}."
    )
    hint = f"put some into {layout.place.replace(SPLIT, 'val')}, or change the shares, data.splits"
    if split == "val":
        hint += "; a recipe without [metrics] and [callbacks] needs none"
    return MissingSplitError(Problem(message, where="data.root", hint=hint))


def none_by_name(root: Path, split: Split, count: int, by_name: ByName) -> MissingSplitError:
    """Return the error for a split that no pair's name falls into."""
    shares = list(by_name.shares)
    message = f"'{root}' has {count} pair(s), none of which falls into {split}: the shares are {shares}."
    hint = f"raise the share of {split} in data.splits, add pairs, or make a folder for each split"
    return MissingSplitError(Problem(message, where="data.splits", hint=hint))
