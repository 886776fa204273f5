"""worst/ in a run's folder: the held-out images that scored worst at the last validation."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from i2i.system.atomic import write_bytes, write_text

RECORD = "worst.json"


@dataclass(frozen=True)
class WorstImage:
    """One image: its id, its figure and that of copying its input (None: no number), and its strip's file."""

    id: str
    value: float | None
    copied: float | None
    file: str


@dataclass(frozen=True)
class WorstImages:
    """The images that scored worst at `step` by one figure, from the worst on."""

    step: int
    figure: str
    images: Sequence[WorstImage]


_RECORD = TypeAdapter(WorstImages)


def write(folder: Path, found: WorstImages, strips: Mapping[str, bytes]) -> None:
    """Replace what `folder` holds by `found`, with the PNGs of its `strips` by file name.

    The record is written last: where it stands, all its pictures do.
    """
    (folder / RECORD).unlink(missing_ok=True)
    for name, content in strips.items():
        write_bytes(folder / name, content)
    for path in folder.glob("*.png"):
        if path.name not in strips:
            path.unlink()
    write_text(folder / RECORD, _RECORD.dump_json(found, indent=1).decode() + "\n")


def read(folder: Path, *, upto: int) -> WorstImages | None:
    """Return what `folder` holds, if that is whole and of the step `upto` or before; remove it otherwise."""
    if not folder.is_dir():
        return None
    try:
        found = _RECORD.validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError):  # cut off while it was written: the next validation makes it anew
        found = None
    if found and found.step <= upto and all((folder / image.file).is_file() for image in found.images):
        return found
    shutil.rmtree(folder, ignore_errors=True)
    return None


def number(value: float | None) -> float | None:
    """Return a figure as the record holds it: None where it is no finite number."""
    return value if value is not None and math.isfinite(value) else None
