"""What is known of a run: how it ended, its metrics, those of each image, and its validations.

A run folder says it, and of a cell of a benchmark its record.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.bench.keys import ANY_TEST, TestValues
from i2i.bench.records import CellRecord, Scoring, TrainedOn
from i2i.errors import DataError, I2IError
from i2i.plugins.versions import RESOLVED
from i2i.recipe.recipe import read_resolved

ENDED = ("done", "diverged")


@dataclass(frozen=True)
class RunOutcome:
    """What one run folder says.

    `images` has each image's own figures, by metric and id; `curve` has (step, metrics) of each validation.
    `seconds` it took as a whole, and `train_seconds` its steps alone.
    """

    variant: str
    seed: int
    folder: Path
    status: str
    error: str = ""
    steps: int = 0
    seconds: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    copy_input: Mapping[str, float | None] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Sequence[tuple[int, Mapping[str, float | None]]] = ()
    images_per_second: float | None = None
    peak_memory_mb: float | None = None
    trained_on: TrainedOn | None = None
    train_seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether training it again would change nothing."""
        return self.status in ENDED


def read_outcome(variant: str, seed: int, folder: Path, *, error: str = "") -> RunOutcome:
    """Read what a run left in `folder`; its status is "missing" where there is no summary yet.

    Raises DataError for files that are damaged.
    """
    if not (folder / "summary.json").is_file():
        return RunOutcome(variant, seed, folder, "failed" if error else "missing", error)
    summary = _json(folder / "summary.json")
    curve, copied = _curve(folder / "metrics.jsonl")
    status = str(summary.get("status"))
    done = status == "done"
    return RunOutcome(
        variant,
        seed,
        folder,
        "failed" if error and status not in ENDED else status,
        error or ("" if done else str(summary.get("error", ""))),
        steps=summary.get("steps", 0),
        seconds=summary.get("seconds"),
        metrics=summary.get("metrics", {}) if done else {},
        copy_input=copied,
        images=_images(folder / "val.csv") if done else {},
        curve=curve,
        images_per_second=summary.get("images_per_second"),
        peak_memory_mb=summary.get("peak_memory_mb"),
        trained_on=_trained_on(folder / "provenance.json"),
        train_seconds=_train_seconds(
            summary.get("steps", 0), summary.get("images_per_second"), _recipe(folder)
        ),
    )


def outcome_of(
    record: CellRecord,
    variant: str,
    seed: int,
    folder: Path,
    *,
    settings: Mapping[str, str],
    test: TestValues = ANY_TEST,
) -> RunOutcome:
    """Return what the record of a cell says, as far as it was found by these settings of metrics and `test`.

    `settings` are the digests of what decides each figure, by its name. A figure that was taken of the model
    later is known at the last step alone.
    """
    metrics: dict[str, float | None] = {}
    copied: dict[str, float | None] = {}
    images: dict[str, dict[str, float]] = {}
    known = record.scorings_at(test)
    for scoring in known:
        for name, value in scoring.figures.items():
            if name in metrics or not _of_these(scoring, name, settings):
                continue
            metrics[name] = value
            if name in scoring.copy_input:
                copied[name] = scoring.copy_input[name]
            if name in scoring.images:
                values = [math.nan if each is None else each for each in scoring.images[name]]
                images[name] = dict(zip(scoring.ids, values, strict=True))
    first = record.scorings[0] if record.scorings else None
    # Validations were made with the values of test keys that the run had.
    alike = first is None or first in known
    curve = [
        (
            step,
            {n: v for n, v in figures.items() if alike and (first is None or _of_these(first, n, settings))},
        )
        for step, figures in record.curve
    ]
    if curve and curve[-1][0] == record.steps:
        curve[-1] = (record.steps, {**metrics, **curve[-1][1]})
    return RunOutcome(
        variant,
        seed,
        folder,
        record.status,
        record.error,
        steps=record.steps,
        seconds=record.seconds,
        metrics=metrics,
        copy_input=copied,
        images=images,
        curve=curve,
        images_per_second=record.images_per_second,
        peak_memory_mb=record.peak_memory_mb,
        trained_on=TrainedOn.of(record.trained),
        train_seconds=_train_seconds(record.steps, record.images_per_second, record.recipe),
    )


def _train_seconds(
    steps: int, images_per_second: float | None, recipe: Mapping[str, Any] | None
) -> float | None:
    """Return the time of so many steps at the speed of a run, which leaves out validating and saving."""
    if not images_per_second or recipe is None:
        return None
    data, train = recipe.get("data", {}), recipe.get("train", {})
    return float(steps * data.get("batch_size", 1) * train.get("accumulate", 1) / images_per_second)


def _of_these(scoring: Scoring, figure: str, settings: Mapping[str, str]) -> bool:
    """Whether a figure was found by these settings; where its metric is not known, whether all were."""
    if figure in settings:
        return settings[figure] in scoring.metrics
    return scoring.metrics.keys() <= set(settings.values())


# --- reading --------------------------------------------------------------------------------------


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path} is damaged: remove its folder, and the run is made again.")
    return found


def _recipe(folder: Path) -> Mapping[str, Any] | None:
    """Return the table of a run's recipe, None where it cannot be read: no figure depends on it."""
    try:
        return read_resolved(folder / RESOLVED)
    except I2IError:
        return None


def _trained_on(path: Path) -> TrainedOn | None:
    """Return what a provenance.json says, None where it is missing or damaged: no figure depends on it."""
    try:
        return TrainedOn.of(_json(path))
    except DataError:
        return None


def _curve(path: Path) -> tuple[list[tuple[int, dict[str, float | None]]], dict[str, float | None]]:
    """Return the validations of a metrics.jsonl, and what copying the input scores."""
    curve, copied = [], dict[str, float | None]()
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if record["kind"] == "val":
                curve.append((int(record["step"]), dict(record["metrics"])))
                copied = dict(record.get("copy_input") or {})
        except (ValueError, TypeError, KeyError):
            if number < len(lines):  # the last one a killed process may have left unfinished
                raise DataError(f"{path}:{number} is damaged.") from None
    return curve, copied


def _images(path: Path) -> dict[str, dict[str, float]]:
    if not path.is_file():
        return {}
    found: dict[str, dict[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                name = row.pop("id")
                for figure, value in row.items():
                    found.setdefault(figure, {})[name] = float(value)
    except (ValueError, TypeError, KeyError, csv.Error):
        raise DataError(f"{path} is damaged: remove its folder, and the run is made again.") from None
    return found
