"""Listing folders of images: names only, in natural order, with what is wrong about them.

Names are compared in Unicode's composed form (NFC): a name that came from a Mac may be decomposed, and is the
same name. Files are opened under the name that they have.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from i2i.errors import DataError, Problem
from i2i.images.formats import READABLE_SUFFIXES

_NUMBER = re.compile(r"([0-9]+)")
_LITTER = ("desktop.ini", "thumbs.db")
"""Files that an operating system puts into folders of pictures by itself."""


@dataclass(frozen=True)
class Images:
    """The image files below a folder.

    `files` holds each one's path below the folder, by that path without its suffix; `problems` those names
    that several files have, of which none is in `files`; `others` counts files of other kinds by suffix.
    """

    files: Mapping[str, str]
    problems: Mapping[str, Problem]
    others: Counter[str]


def entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in `folder`, hidden ones left out."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.name.startswith("."):
                    (folders if _is_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(folders, key=natural), files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link that leads to itself is a file, and told when that is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def image_names(files: Iterable[str]) -> list[str]:
    """Return those of `files` that are images by their suffix, in natural order."""
    return sorted((name for name in files if is_image(name)), key=natural)


def is_image(name: str) -> bool:
    """Whether a file's suffix is that of an image that can be read."""
    return _parts(name)[1].lower() in READABLE_SUFFIXES


def images_below(folder: Path, *, deep: bool = True) -> Images:
    """Return the images in `folder`, and, where it is to go `deep`, in the folders inside it.

    Hidden files and folders are left out, links are followed, and a link into a folder that is being read
    already is not. Raises DataError for a folder that cannot be read; one without images is no error.
    """
    names = list(files_below(folder) if deep else entries(folder)[1])
    groups: dict[str, list[str]] = {}
    for name in names:
        base, suffix = _parts(name)
        if suffix.lower() in READABLE_SUFFIXES:
            groups.setdefault(composed(base), []).append(name)
    groups = {base: sorted(groups[base]) for base in sorted(groups, key=_by_number)}
    problems = {name: _shared(folder, same) for name, same in groups.items() if len(same) > 1}
    return Images(
        {name: same[0] for name, same in groups.items() if len(same) == 1}, problems, other_kinds(names)
    )


def by_stem(folder: Path) -> tuple[dict[str, str], dict[str, Problem]]:
    """Return the image files of `folder` by stem, in natural order, and a problem for each shared stem.

    Of files that share a stem none is among the images: nobody can say which of them is meant. Raises
    DataError for a folder without any.
    """
    found = images_below(folder, deep=False)
    if not found.files and not found.problems:
        raise no_images(folder)
    return dict(found.files), dict(found.problems)


def no_images(folder: Path) -> DataError:
    """Return the error for a folder in which no image is found: it is empty, or holds other things."""
    inside, files = entries(folder)
    told = [f"the folder{'s' if len(inside) > 1 else ''} {', '.join(inside[:4])}"] if inside else []
    told += [other_kinds_told(other_kinds(files))] if other_kinds(files) else []
    if not told:
        return DataError(f"there are no images in {folder}: it is empty.")
    message = f"there are no images in {folder}, only {' and '.join(told)}."
    return DataError(Problem(message, hint=f"looked for {', '.join(READABLE_SUFFIXES)}"))


def other_kinds(names: Iterable[str]) -> Counter[str]:
    """Count the files that are no images by their suffix, without what operating systems leave."""
    strange = (name for name in names if not is_image(name) and name.lower() not in _LITTER)
    return Counter(_parts(name)[1].lower() or "without a suffix" for name in strange)


def other_kinds_told(others: Counter[str]) -> str:
    """Return "6 files of other kinds: .gif 4, .txt 2", or nothing where there are none."""
    if not others.total():
        return ""
    kinds = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{suffix} {count:,}" for suffix, count in kinds[:6]]
    more = [f"{len(kinds) - 6} kinds more"] if len(kinds) > 6 else []
    files = "1 file of another kind" if others.total() == 1 else f"{others.total():,} files of other kinds"
    return f"{files}: {', '.join([*shown, *more])}"


def stem(name: str) -> str:
    """Return a file's name without its suffix."""
    return _parts(name)[0]


def composed(name: str) -> str:
    """Return a name in the form in which names are compared: NFC."""
    return unicodedata.normalize("NFC", name)


def natural(name: str) -> tuple[list[str | int], str, str]:
    """Sort numbers inside names by value, and equal stems side by side."""
    return *_by_number(stem(name)), name


def _by_number(base: str) -> tuple[list[str | int], str]:
    """Sort names without a suffix, the numbers in them by value."""
    parts: list[str | int] = list(_NUMBER.split(base))
    parts[1::2] = map(int, parts[1::2])
    return parts, base


def files_below(folder: Path, *, but: Path | None = None) -> Iterator[str]:
    """Yield the path of each file below `folder`, with slashes: its own, then those in each of its folders.

    A folder that holds itself by way of a link is entered once, one linked twice is entered twice; `but` is
    passed over.
    """
    passed = _identity(but) if but is not None and but.exists() else None
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        below, around = waiting.pop()
        place = folder / below
        this = _identity(place)
        if this in around or (below and this == passed):  # the first: a link to a folder that it lies in
            continue
        folders, files = entries(place)
        yield from (f"{below}{name}" for name in files)
        waiting += [(f"{below}{name}/", around | {this}) for name in reversed(folders)]


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    return status.st_dev, status.st_ino


def _shared(folder: Path, same: list[str]) -> Problem:
    """Return the problem of several files with one name."""
    if len({composed(name) for name in same}) < len(same):
        shown = " and ".join(ascii(name) for name in same)
        message = f"{shown} are one name in two Unicode forms (composed and decomposed)."
    else:
        message = f"{' and '.join(same)} have one name, and names tell pairs apart."
    return Problem(message, file=str(folder / same[0]), hint="rename or remove one of them")


def _parts(name: str) -> tuple[str, str]:
    return os.path.splitext(name)  # a tenth of the time of Path(name).suffix
