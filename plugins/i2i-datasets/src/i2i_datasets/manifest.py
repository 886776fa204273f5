"""What a pack says of itself: its splits with counts, digests and specs, in one JSON file beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from i2i.errors import DataError, Problem
from i2i.kinds import ExtraSpec, PairSpec, Scale, Split

NAME = "i2i-pack.json"
"""The file in a pack's folder that makes it one."""

FORMAT = 1
"""The format of packs; it rises when an older reader would misread them."""

AGAIN = "pack the pairs anew: python -m i2i_datasets pack DIR OUT"

Storage = Literal["picture", "classes", "array"]
"""How one image is stored: the bytes of an image file, such as a PNG; those of a picture of class indices; or
NumPy's bytes of a tensor that no picture holds."""


class Record(BaseModel):
    """A frozen part of the manifest in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LeftOut(Record):
    """A pair that could not be packed: what was wrong, in a sentence."""

    file: str
    message: str


class SplitRecord(Record):
    """One split: how many pairs, the size and the sha256 of its Arrow file, and what its pairs are.

    `storage` says by column how images are stored: source, target and each further field.
    """

    pairs: NonNegativeInt
    bytes: NonNegativeInt
    sha256: str
    spec: PairSpec
    storage: dict[str, Storage]
    fields: dict[str, ExtraSpec] = {}
    scale: Scale | None = None
    left_out: tuple[LeftOut, ...] = ()


class Manifest(Record):
    """A pack: the format, what wrote it, where its pairs came from, and its splits."""

    format: int
    written_by: str
    source: str
    credit: str = ""
    splits: dict[Split, SplitRecord]


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a pack's folder, or None where there is none.

    Raises DataError for one that cannot be read, and for a pack of another format.
    """
    path = folder / NAME
    try:
        said: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            Problem(f"the pack cannot be opened: {error.strerror or error}.", file=str(path))
        ) from error
    except ValueError as error:
        raise _damaged(path) from error
    number = said.get("format") if isinstance(said, dict) else None
    if isinstance(number, int) and number != FORMAT:
        age, hint = ("newer", "upgrade i2i-datasets") if number > FORMAT else ("older", AGAIN)
        message = f"this pack has the {age} format {number}, and this i2i-datasets reads format {FORMAT}."
        raise DataError(Problem(message, file=str(path), hint=hint))
    try:
        return Manifest.model_validate_json(json.dumps(said))
    except ValidationError as error:
        raise _damaged(path) from error


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a pack's folder."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / NAME).write_text(f"{text}\n", encoding="utf-8")


def _damaged(path: Path) -> DataError:
    return DataError(Problem("the manifest of this pack is damaged.", file=str(path), hint=AGAIN))
