"""What a folder of Arrow files holds: a pack, or what `datasets.save_to_disk` wrote; which files a split has.

Only JSON and the names of files are read here, and only in the folder itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.errors import DataError, MissingSplitError, Problem, printable
from i2i.kinds import Split
from i2i_datasets import manifest
from i2i_datasets.manifest import Manifest, SplitRecord

DICT, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
"""What the library writes into the folder of several splits, and, two files, into that of each."""

ARROW = "data-00000-of-00001.arrow"
"""The one file of a split in a pack."""

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test",),
}
"""What a split may be called in a folder that the library wrote."""

PACK = "python -m i2i_datasets pack DIR OUT"
_ON_A_HUB = re.compile(r"(hf://.*|https?://.*|[\w.-]+/[\w.-]+)")


@dataclass(frozen=True)
class SplitFiles:
    """The Arrow files of one split, in order, and what is said of them.

    `record` is a pack's, which says how many pairs there have to be.
    """

    folder: Path
    files: tuple[Path, ...]
    layout: str
    credit: str = ""
    record: SplitRecord | None = None


def find(root: Path, split: Split) -> SplitFiles:
    """Return the files of a split below `root`.

    Raises DataError for what is neither a pack nor written by the library, and for a damaged one,
    MissingSplitError where there are other splits.
    """
    if not root.is_dir():
        raise _no_folder(root)
    pack = manifest.read(root)
    if pack is not None:
        return _packed(root, split, pack)
    if (root / DICT).is_file():
        names = _read(root / DICT).get("splits")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _damaged(root / DICT)
        name = next((name for name in SPLIT_NAMES[split] if name in names), None)
        if name is None:
            raise _missing(root, split, names)
        return _saved(root / name)
    if (root / STATE).is_file():
        if split != "train":
            raise _missing(root, split, ["train"])
        return _saved(root)
    message = f"'{root}' is neither a pack nor a folder that datasets.save_to_disk wrote."
    raise DataError(Problem(printable(message), where="data.root", hint=f"{PACK} packs a folder of pairs"))


def _packed(root: Path, split: Split, pack: Manifest) -> SplitFiles:
    record = pack.splits.get(split)
    if record is None:
        raise _missing(root, split, list(pack.splits))
    path = root / split / ARROW
    try:
        size = path.stat().st_size
    except OSError as error:
        message = f"this file of the pack cannot be opened: {error.strerror or error}."
        raise DataError(Problem(message, file=str(path), hint=manifest.AGAIN)) from error
    if size != record.bytes:
        message = f"this file has {size:,} bytes, and the pack was written with {record.bytes:,}."
        raise DataError(Problem(message, file=str(path), hint=manifest.AGAIN))
    layout = f"a pack of {pack.source}"
    return SplitFiles(root / split, (path,), layout, pack.credit, record)


def _saved(folder: Path) -> SplitFiles:
    """Return the files of one split as the library wrote it."""
    state, info = _read(folder / STATE), _read(folder / INFO)
    listed = state.get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [str(each.get("filename")) for each in entries if isinstance(each, dict)]
    if listed == []:
        raise DataError(Problem("this split is empty.", file=str(folder)))
    # A name with a folder in it could lead anywhere.
    if not names or any(Path(name).name != name for name in names):
        raise _damaged(folder / STATE)
    licence = info.get("license")
    credit = f"Licence of the data: {licence}." if isinstance(licence, str) and licence else ""
    files = tuple(folder / name for name in names)
    return SplitFiles(folder, files, "a folder of datasets.save_to_disk", credit)


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except OSError as error:
        message = f"this file of the data cannot be opened: {error.strerror or error}."
        raise DataError(Problem(message, file=str(path))) from error
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(said, dict):
        raise _damaged(path)
    return said


def _damaged(path: Path) -> DataError:
    hint = "write the folder anew, with datasets.save_to_disk"
    return DataError(Problem("this file does not say what it should.", file=str(path), hint=hint))


def _missing(root: Path, split: Split, names: list[str]) -> MissingSplitError:
    there = ", ".join(names) or "none"
    message = f"'{root}' has no split {split}; its splits: {there}."
    hint = "pack a folder that has one" if split != "val" else ""
    hint = hint or "a recipe without [metrics] and [callbacks] needs none"
    return MissingSplitError(Problem(printable(message), where="data.root", hint=hint))


def _no_folder(root: Path) -> DataError:
    message = f"there is no folder '{root}', looked for from {Path.cwd()}."
    hint = f"data.root is the folder of a pack; {PACK} writes one"
    if _ON_A_HUB.fullmatch(root.as_posix().replace("hf:/", "hf://", 1)):
        message = f"there is no folder '{root}', and pairs are never fetched while they are read."
        hint = f"python -m i2i_datasets get {root.as_posix()} OUT downloads a data set of that name as a pack"
    return DataError(Problem(printable(message), where="data.root", hint=hint))
