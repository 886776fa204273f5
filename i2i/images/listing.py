"""Listing folders of images: names only, in natural order, with what is wrong about them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from i2i.errors import DataError, Problem
from i2i.images.formats import IMAGE_SUFFIXES

_NUMBER = re.compile(r"([0-9]+)")


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
    return sorted((name for name in files if _parts(name)[1].lower() in IMAGE_SUFFIXES), key=natural)


def by_stem(folder: Path) -> tuple[dict[str, str], dict[str, Problem]]:
    """Return the image files of `folder` by stem, in natural order, and a problem for each shared stem.

    Of files that share a stem none is among the images: nobody can say which of them is meant. Raises
    DataError for a folder without any.
    """
    inside, files = entries(folder)
    found: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    for name, same in ((name, list(same)) for name, same in groupby(image_names(files), stem)):
        if len(same) == 1:
            found[name] = same[0]
        else:
            message = f"{' and '.join(same)} have one name, and names tell pairs apart."
            hint = "rename or remove one of them"
            problems[name] = Problem(message, file=str(folder / same[0]), hint=hint)
    if not found and not problems:
        below = f"the folder(s) {', '.join(inside[:4])} and " if inside else ""
        message = f"there are no images in {folder}, only {below}{len(files)} file(s) of other kinds."
        hint = f"looked for {', '.join(IMAGE_SUFFIXES)}"
        raise DataError(Problem(message, hint=hint))
    return found, problems


def stem(name: str) -> str:
    """Return a file's name without its suffix."""
    return _parts(name)[0]


def natural(name: str) -> tuple[list[str | int], str, str]:
    """Sort numbers inside names by value, and equal stems side by side."""
    base = stem(name)
    parts = _NUMBER.split(base)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], base, name


def _parts(name: str) -> tuple[str, str]:
    return os.path.splitext(name)  # a tenth of the time of Path(name).suffix
