"""Image pairs from disk: each file holds its two halves, A on the left and B on the right.

The folder holds one folder a split: `train`, `val`, `test`. Only names are read at the start, and one
file for the spec, so that large sets open at once; a file that does not fit is named when its turn comes.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from i2i.errors import DataError, Problem
from i2i.images import IMAGE_SUFFIXES, image_spec, read_image
from i2i.kinds import PairSpec, Split
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from torch import Tensor


class PairedImages:
    """Pairs side by side in one image, as the data sets of the pix2pix paper are laid out.

    Items are ``{"source", "target", "id"}``: (C,H,W) tensors as stored, each of its own size, and the
    file's stem. Files come in natural order (2 before 10); hidden files and other kinds are passed over.

    Args:
        root: the folder with `train`, `val` and `test`; relative to the working directory, `~` is home.
        direction: "a-to-b" translates the left half into the right one, "b-to-a" the other way round.
        size: height and width to train at, one number for a square; left out, those of the first pair.
    """

    def __init__(
        self,
        split: Split,
        *,
        root: Path,
        direction: Literal["a-to-b", "b-to-a"] = "a-to-b",
        size: Count | tuple[Count, Count] | None = None,
    ) -> None:
        self.direction = direction
        self.folder = _split_folder(root.expanduser(), split)
        self.names = _image_names(self.folder)
        first_source, first_target = self._halves(0)
        spec = PairSpec(image_spec(first_source), image_spec(first_target))
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
            spec = PairSpec(
                replace(spec.source, height=height, width=width),
                replace(spec.target, height=height, width=width),
            )
        self.spec = spec

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        source, target = self._halves(index)
        found, wanted = image_spec(source), self.spec.source
        if (found.channels, found.depth) != (wanted.channels, wanted.depth):
            message = (
                f"this image has {found.channels} channel(s) of {found.depth}, but the first of its folder, "
                f"{self.names[0]}, has {wanted.channels} of {wanted.depth}."
            )
            hint = "convert the files of a folder to one kind"
            raise DataError(Problem(message, file=str(self.folder / self.names[index]), hint=hint))
        return {"source": source, "target": target, "id": Path(self.names[index]).stem}

    def _halves(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the source and the target half of a file."""
        path = self.folder / self.names[index]
        image = read_image(path)
        width = image.shape[2]
        if width % 2:
            message = f"an image {width} pixels wide cannot be cut into a left and a right half."
            raise DataError(Problem(message, file=str(path), hint="A and B stand side by side, equally wide"))
        left, right = image[:, :, : width // 2].contiguous(), image[:, :, width // 2 :].contiguous()
        return (left, right) if self.direction == "a-to-b" else (right, left)


def _split_folder(root: Path, split: Split) -> Path:
    """Return the folder of `split`; raise DataError saying what is there instead."""
    folder = root / split
    if folder.is_dir():
        return folder
    if not root.is_dir():
        message = f"there is no folder '{root}', looked for from {Path.cwd()}."
        hint = "data.root is the folder that holds train, val and test"
    else:
        present = ", ".join(sorted(entry.name for entry in _entries(root) if entry.is_dir()))
        message = f"'{root}' has no folder '{split}'; its folders: {present or 'none'}."
        hint = f"put the pairs for '{split}' into {folder}"
    raise DataError(Problem(message, where="data.root", hint=hint))


def _image_names(folder: Path) -> tuple[str, ...]:
    """Return the image files of `folder` in natural order; raise DataError for none or equal stems."""
    files = [entry.name for entry in _entries(folder) if not entry.name.startswith(".") and entry.is_file()]
    names = sorted((name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES), key=_natural)
    if not names:
        message = f"there are no images in {folder}, only {len(files)} file(s) of other kinds."
        hint = f"looked for {', '.join(IMAGE_SUFFIXES)}"
        raise DataError(Problem(message, where="data.root", hint=hint))
    for one, other in pairwise(names):
        if Path(one).stem == Path(other).stem:
            message = f"{one} and {other} in {folder} have one name, and names tell pairs apart."
            raise DataError(Problem(message, where="data.root", hint="rename or remove one of them"))
    return tuple(names)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        message = f"the folder {folder} cannot be read: {error.strerror}."
        raise DataError(Problem(message, where="data.root")) from error


def _natural(name: str) -> tuple[list[str | int], str, str]:
    """Sort numbers inside names by value, and equal stems side by side."""
    stem = Path(name).stem
    parts = re.split(r"([0-9]+)", stem)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], stem, name
