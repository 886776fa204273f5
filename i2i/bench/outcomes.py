"""What a run folder says of the run: how it ended, its metrics, those of each image, and its validations."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.errors import DataError

ENDED = ("done", "diverged")


@dataclass(frozen=True)
class RunOutcome:
    """What one run folder says.

    `images` has each image's own figures, by metric and id; `curve` has (step, metrics) of each validation.
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
    )


# --- reading --------------------------------------------------------------------------------------


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path} is damaged: remove its folder, and the run is made again.")
    return found


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
