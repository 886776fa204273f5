"""Which files make a pair: a matter of their names, never of their order. None is opened.

A pair's name is the path below the folder of its side, without the suffix. Where the name says the side too
(`x_input.png` and `x_target.png`), that end is left out of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from i2i.core.data.records import PairFiles
from i2i.errors import DataError, Problem
from i2i.images import Images, composed, images_below, natural, no_images

WORDS: tuple[tuple[str, str], ...] = (
    ("A", "B"),
    ("input", "target"),
    ("inputs", "targets"),
    ("source", "target"),
    ("label", "img"),
)
"""The words by which folders and names tell source and target, where the recipe gives none."""


@dataclass(frozen=True)
class Paired:
    """The pairs of some folders and the problems, each by name; `others` counts files of other kinds.

    `ended` says that the names of the files have the side at their end.
    """

    pairs: Mapping[str, PairFiles]
    problems: Mapping[str, Problem]
    others: Counter[str] = field(default_factory=Counter)
    ended: bool = False


def pair_folders(folders: Sequence[Path], words: Sequence[str]) -> Paired:
    """Pair the images below one folder for each file of a pair; `words` are the names of these.

    Raises DataError where a folder has no image, and where no name at all is in all of them.
    """
    found, problems, others = [], dict[str, Problem](), Counter[str]()
    for folder in folders:
        images = images_below(folder)
        if not images.files and not images.problems:
            raise no_images(folder)
        found.append(dict(images.files))
        problems |= images.problems
        others += images.others
    ended = False
    if not set.intersection(*map(set, found)):
        bare = _without_ends(found, words)
        ended = bare is not None
        found = bare or found
    stems = set[str]().union(*found) - problems.keys()
    pairs: dict[str, PairFiles] = {}
    for stem in found[0] if stems == found[0].keys() else sorted(stems, key=natural):
        files = [folder / names[stem] for folder, names in zip(folders, found, strict=True) if stem in names]
        if len(files) == len(folders):
            pairs[stem] = PairFiles(stem, tuple(files))
        else:
            lacking = [str(f) for f, names in zip(folders, found, strict=True) if stem not in names]
            message = f"there is no image '{stem}' in {' nor in '.join(lacking)}."
            problems[stem] = Problem(message, file=str(files[0]), hint="the files of a pair have one name")
    if not pairs and all(found):
        raise _strangers(folders, found)
    return Paired(pairs, problems, others, ended)


def whole_images(folder: Path, images: Images) -> Paired:
    """Return each of the images in a folder as a pair of its own that holds both sides."""
    if not images.files and not images.problems:
        raise no_images(folder)
    pairs = {stem: PairFiles(stem, (folder / name,)) for stem, name in images.files.items()}
    return Paired(pairs, images.problems, images.others)


def pair_by_ends(folder: Path, words: Sequence[str], images: Images) -> Paired:
    """Pair the images in one folder by the `words` that end (or begin) their names."""
    if not images.files and not images.problems:
        raise no_images(folder)
    sides: dict[str, dict[str, str]] = {}
    problems = dict(images.problems)
    for stem, name in images.files.items():
        split = without_end(stem, words)
        if split is None:
            message = f"its name ends in none of {', '.join(f'_{word}' for word in words)}."
            hint = "names say which file is the source and which the target"
            problems[stem] = Problem(message, file=str(folder / name), hint=hint)
        elif taken := sides.setdefault(split[0], {}).get(split[1]):
            message = f"{taken} and {name} are both the {split[1]} of '{split[0]}'."
            problems[stem] = Problem(message, file=str(folder / name), hint="rename or remove one of them")
        else:
            sides[split[0]][split[1]] = name
    pairs: dict[str, PairFiles] = {}
    for stem, names in sides.items():
        lacking = [word for word in words if word not in names]
        if lacking:
            message = f"there is no image '{stem}' for {' nor for '.join(lacking)}."
            hint = "the files of a pair have one name, but for its end"
            problems[stem] = Problem(message, file=str(folder / next(iter(names.values()))), hint=hint)
        else:
            pairs[stem] = PairFiles(stem, tuple(folder / names[word] for word in words))
    return Paired(pairs, problems, images.others)


def without_end(stem: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Return a name without the side's word at its end or its beginning, and that word; None without one."""
    above, slash, name = stem.rpartition("/")
    for pattern in _ends(tuple(words)):
        if match := pattern.fullmatch(name):
            said = folded(match["word"])
            word = next(word for word in words if folded(word) == said)
            return f"{above}{slash}{match['name']}", word
    return None


@lru_cache
def _ends(words: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the expressions for a name that ends in one of the words, and for one that begins with it."""
    word = f"(?P<word>{'|'.join(re.escape(composed(word)) for word in words)})"
    forms = (rf"(?P<name>.+)[_. -]{word}", rf"{word}[_. -](?P<name>.+)")
    end, beginning = (re.compile(form, re.IGNORECASE | re.DOTALL) for form in forms)
    return end, beginning


def folded(name: str) -> str:
    """Return a name for comparing without regard to capital letters and Unicode form."""
    return composed(name).casefold()


def _without_ends(found: Sequence[Mapping[str, str]], words: Sequence[str]) -> list[dict[str, str]] | None:
    """Return the names of each side without the word for it, where every name has one; else nothing."""
    for tried in dict.fromkeys([tuple(words), *(pair for pair in WORDS if len(pair) == len(words))]):
        bare = []
        for word, names in zip(tried, found, strict=True):
            ends = {stem: without_end(stem, [word]) for stem in names}
            bare.append({end[0]: names[stem] for stem, end in ends.items() if end})
        if all(len(short) == len(names) for short, names in zip(bare, found, strict=True)):
            return bare
    return None


def _strangers(folders: Sequence[Path], found: Sequence[Mapping[str, str]]) -> DataError:
    """Return the error for folders of which no name is in all."""
    examples = " and ".join(f"'{next(iter(names))}'" for names in found)
    counts = " and ".join(f"the {len(n):,} in {f}" for f, n in zip(folders, found, strict=True))
    message = f"no name is the same among {counts}, like {examples}."
    hint = "the files of a pair have one name; pairs are never made by order, and pictures without pairs are "
    hint += 'for use = "unpaired-images"'
    short = [{re.sub(r"0+(?=\d)", "", name) for name in names} for names in found]
    if set.intersection(*short):
        hint = "they differ in the zeros before a number: rename the files of one side"
    elif set.intersection(*({name.casefold() for name in names} for names in found)):
        hint = "they differ in capital letters: rename the files of one side"
    return DataError(Problem(message, where="data.root", hint=hint))
