"""The record of a cell that has ended: all that tables need of it, without its weights.

It is a small file, to be committed where an interrupted table is to go on from a repository. It names no
variant and no place, so any benchmark that comes to the same cell reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from i2i.bench.keys import ANY_TEST, Marks, TestValues
from i2i.errors import DataError, ResourceError
from i2i.records import Direction
from i2i.system.atomic import write_text

SCHEMA = 1

Figures = Mapping[str, float | None]
"""Figures by name; None for what is no finite number."""


@dataclass(frozen=True)
class Scoring:
    """Figures that were taken of a cell's model at once, over its held-out images.

    `metrics` has the settings of each metric that took part, by their digest (`bench/keys`). `better` says
    which way a figure is better, as far as it is known; `images` has the figures of each of `ids`. `test` has
    the values of test keys that the model had, by path; None in an older record, of those in its recipe.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    figures: Figures
    copy_input: Figures = field(default_factory=dict)
    better: Mapping[str, Direction | None] = field(default_factory=dict)
    ids: Sequence[str] = ()
    images: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None

    def has(self, figure: str, settings: str) -> bool:
        """Whether a figure is among these, taken by the metric with that digest of its settings."""
        return figure in self.figures and settings in self.metrics


@dataclass(frozen=True)
class TrainedOn:
    """With what a cell was trained, and on what: `device` by its name."""

    i2i: str | None = None
    torch: str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | None = None

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> TrainedOn:
        """Return what a run's provenance says of program and machine."""
        found = about.get("runtime")
        runtime = found if isinstance(found, Mapping) else {}
        return cls(
            **{name: about.get(name) for name in ("i2i", "torch", "device")},
            **{name: runtime.get(name) for name in ("precision", "threads")},
        )


@dataclass(frozen=True)
class CellRecord:
    """How a cell ended, on what it was trained, and the figures of its model.

    The first of `scorings` is the last validation of its run, of which there is none where it diverged;
    `curve` has (step, figures) of each. `recipe` is the table of a resolved recipe that had this key, `data`
    are the fingerprints of its data, `trained` says with what it was trained.
    """

    key: str
    status: Literal["done", "diverged"]
    recipe: Mapping[str, Any]
    steps: int
    seconds: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    trained: Mapping[str, Any]
    data: Marks
    scorings: Sequence[Scoring] = ()
    curve: Sequence[tuple[int, Figures]] = ()
    error: str = ""
    schema: int = SCHEMA

    def scorings_at(self, test: TestValues) -> list[Scoring]:
        """Return the scorings that were taken with these values of test keys."""
        return [
            scoring
            for scoring in self.scorings
            if test.agree(test.said_in(self.recipe) if scoring.test is None else scoring.test)
        ]

    def scoring_of(self, figure: str, settings: str, test: TestValues = ANY_TEST) -> Scoring | None:
        """Return the scoring that has a figure by those settings of its metric and `test`, if any."""
        return next((found for found in self.scorings_at(test) if found.has(figure, settings)), None)

    def with_scoring(self, scoring: Scoring) -> CellRecord:
        """Return the record with another scoring of the same model."""
        return replace(self, scorings=[*self.scorings, scoring])


class DamagedRecordError(DataError):
    """A file that should be a record and is none."""


class OtherVersionError(DamagedRecordError):
    """A record that another version of i2i wrote, which is not for this one to write over."""


def write_record(path: Path, record: CellRecord) -> None:
    """Write a record as JSON, each of its parts on a line of its own."""
    parts = (f"{json.dumps(key)}: {json.dumps(_plain(value))}" for key, value in asdict(record).items())
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n", durable=True)


def read_record(path: Path) -> CellRecord | None:
    """Return the record that a file holds; None where there is no such file.

    Raises DamagedRecordError for one that holds no record of the cell that it is named after, and
    OtherVersionError for one of another schema.
    """
    written = None
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        record = _RECORDS.validate_python(written)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        record = None
    schema = written.get("schema") if isinstance(written, Mapping) else None
    if type(schema) is int and schema != SCHEMA:
        raise OtherVersionError(
            f"{path} is of another version of i2i (schema {schema}, not {SCHEMA}): take that version, or "
            "another folder of cells."
        )
    if record is None or record.key != path.stem:
        raise DamagedRecordError(
            f"{path} is damaged: restore it, or remove it, and its cell is trained again."
        )
    return record


_RECORDS = TypeAdapter(CellRecord)


def _plain(value: Any) -> Any:
    """Return JSON values, in which what is no finite number is null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
