"""What the library looks for around Arrow files, so that `datasets.load_from_disk` opens a pack too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_datasets.folders import ARROW, DICT, STATE
from i2i_datasets.manifest import SplitRecord, Storage


def write_around(folder: Path, splits: Mapping[Any, SplitRecord], *, credit: str) -> None:
    """Write the JSON files of the library into a pack's folder and into those of its splits."""
    from datasets import DatasetInfo, Features, Image, Value  # it takes a second, and no reader needs it

    def feature(kind: Storage) -> Any:
        return Value("binary") if kind == "array" else Image()

    for split, record in splits.items():
        pictures = {name: feature(kind) for name, kind in record.storage.items()}
        info = DatasetInfo(features=Features({"id": Value("string"), **pictures}), license=credit)
        info.write_to_directory(str(folder / split))
        _write(folder / split / STATE, _state(split, record.sha256))
    _write(folder / DICT, {"splits": list(splits)})


def _state(split: str, digest: str) -> Mapping[str, Any]:
    return {
        "_data_files": [{"filename": ARROW}],
        "_fingerprint": digest[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }


def _write(path: Path, said: Mapping[str, Any]) -> None:
    path.write_text(f"{json.dumps(said, indent=1)}\n", encoding="utf-8")
