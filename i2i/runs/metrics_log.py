"""The lines of metrics.jsonl, read back: what is a record, and what is damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.errors import ResourceError

METRICS = "metrics.jsonl"

_VALUES = {"train": ("losses",), "val": ("metrics",), "note": ()}
"""By kind of record, the tables of numbers that it holds; those of other kinds are by callbacks."""

_OF_CALLBACKS = ("values",)


@dataclass(frozen=True)
class Records:
    """The records up to a step, the lines they stand in, and a note on each line that is none."""

    records: list[dict[str, Any]]
    lines: list[bytes]
    notes: list[str]


def read_records(path: Path, *, upto: int, validated: bool = True) -> Records:
    """Return the records in `path` up to the step `upto`; a value that was no finite number is NaN.

    Without `validated`, the validation of that step is left out.

    Raises ResourceError when the file is there and cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error
    found = Records([], [], [])
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is None:
            if number < len(lines):  # the last one a killed process may have left unfinished
                found.notes.append(f"{path}:{number} is damaged and was left out.")
        elif record["step"] <= upto and (validated or record["kind"] != "val" or record["step"] < upto):
            found.records.append(record)
            found.lines.append(line)
    return found


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the record in a line, or None where that is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return None
    tables = _VALUES.get(record["kind"], _OF_CALLBACKS)
    sound = (
        type(record.get("step")) is int
        and record["step"] >= 0
        and all(_is_number(record.get(name)) and math.isfinite(record[name]) for name in ("seconds", "epoch"))
        and all(_is_table(record.get(name)) for name in tables)
        and _is_table(record.get("copy_input", {}))
        and (record["kind"] != "note" or isinstance(record.get("text"), str))
    )
    if not sound:
        return None
    for name in (*tables, "copy_input"):
        if name in record:
            record[name] = {key: math.nan if value is None else value for key, value in record[name].items()}
    return record


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(item is None or _is_number(item) for item in value.values())


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)
