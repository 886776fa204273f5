"""From run folders to an answer: one dictionary that results.json holds and every view draws from.

All statistics are made here, from files alone, so it does not matter who trained the cells or when.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from i2i.bench.statistics import Difference, bootstrap, paired_difference, spread, verdict
from i2i.errors import DataError
from i2i.kinds import Direction

SCHEMA = 1
ENDED = ("done", "diverged")


@dataclass(frozen=True)
class Figure:
    """A figure that is reported: which way is better, and how it is defined."""

    name: str
    better: Direction | None
    definition: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one run folder says; `images` are its figures of each image by id, `curve` its validations."""

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


def read_outcome(variant: str, seed: int, folder: Path, *, error: str = "") -> Outcome:
    """Read what a run left in `folder`; its status is "missing" where there is no summary yet.

    Raises DataError for files that are damaged.
    """
    if not (folder / "summary.json").is_file():
        return Outcome(variant, seed, folder, "failed" if error else "missing", error)
    summary = _json(folder / "summary.json")
    curve, copied = _curve(folder / "metrics.jsonl")
    status = str(summary.get("status"))
    done = status == "done"
    return Outcome(
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


def tabulate(
    outcomes: Sequence[Outcome],
    *,
    variants: Sequence[str],
    baseline: str,
    figures: Sequence[Figure],
    costs: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return a row for each variant, the best mean of the first figure first.

    `costs` are facts beside quality, by variant; ``step_seconds`` among them turns steps to seconds.
    """
    by_variant = {name: _by_seed(outcomes, name) for name in variants}
    rows = []
    for name in variants:
        cost = dict((costs or {}).get(name, {}))
        cost["reached"] = _reached(by_variant[name], by_variant[baseline], figures, cost)
        metrics = {
            figure.name: _aggregate(by_variant[name], by_variant[baseline], figure, name == baseline)
            for figure in figures
        }
        rows.append(
            {
                "variant": name,
                "baseline": name == baseline,
                "n": len(by_variant[name]),
                "metrics": metrics,
                "cost": cost,
            }
        )
    first = figures[0]

    def place(row: Mapping[str, Any]) -> tuple[bool, float]:
        mean = row["metrics"][first.name]["mean"]
        return mean is None, 0.0 if mean is None else -mean if first.better == "max" else mean

    return sorted(rows, key=place)


def curves(
    outcomes: Sequence[Outcome], variants: Sequence[str], figures: Sequence[Figure]
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return for each variant and figure the mean over seeds at each validation, with least and most."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in variants:
        records = [dict(o.curve) for o in _by_seed(outcomes, name).values() if o.curve]
        found[name] = {}
        for figure in figures:
            curve: dict[str, list[float]] = {"steps": [], "mean": [], "low": [], "high": []}
            for step in sorted(set.intersection(*(set(record) for record in records)) if records else ()):
                values = [record[step].get(figure.name) for record in records]
                known = [value for value in values if value is not None]
                if len(known) == len(values):
                    for key, value in zip(curve, (step, fmean(known), min(known), max(known)), strict=True):
                        curve[key].append(value)
            found[name][figure.name] = curve
    return found


def cell_records(outcomes: Iterable[Outcome], root: Path) -> list[dict[str, Any]]:
    """Return what is told of each run, with its folder seen from `root`."""
    return [
        {
            "variant": outcome.variant,
            "seed": outcome.seed,
            "folder": _seen_from(outcome.folder, root),
            "status": outcome.status,
            "error": outcome.error,
            "steps": outcome.steps,
            "metrics": dict(outcome.metrics),
            "copy_input": dict(outcome.copy_input),
            "seconds": outcome.seconds,
        }
        for outcome in outcomes
    ]


def table_csv(results: Mapping[str, Any]) -> str:
    """Return results as CSV: a row for each variant and figure."""
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    costs = ("generator_parameters", "discriminator_parameters", "flops_per_step", "step_seconds")
    own, against = ("n", "mean", "deviation"), ("mean", "low", "high")
    writer.writerow(["variant", "figure", "better", *own, "difference", "low", "high", "verdict", *costs])
    ways = {figure["name"]: figure["better"] for figure in results["metrics"]}
    for row in results["table"]:
        for name, found in row["metrics"].items():
            difference = found["difference"] or {}
            cells = [found[key] for key in own] + [difference.get(key) for key in against]
            cost = [row["cost"].get(key) for key in costs]
            writer.writerow([row["variant"], name, ways[name], *cells, found["verdict"], *cost])
    return text.getvalue()


# --- one figure of one variant --------------------------------------------------------------------


def _aggregate(
    ours: Mapping[int, Outcome], theirs: Mapping[int, Outcome], figure: Figure, is_baseline: bool
) -> dict[str, Any]:
    values = [_value(outcome, figure.name) for outcome in ours.values()]
    known = [value for value in values if value is not None]
    whole = known if len(known) == len(values) else []
    found = spread(whole) if whole else None
    record: dict[str, Any] = {
        "values": values,
        "mean": found and found.mean,
        "deviation": found and found.deviation,
        "n": len(whole),
        "difference": None,
        "images": None,
        "verdict": "baseline" if is_baseline else "cannot tell",
    }
    shared = [seed for seed in ours if seed in theirs]
    pairs = [(_value(ours[seed], figure.name), _value(theirs[seed], figure.name)) for seed in shared]
    sound = [(a, b) for a, b in pairs if a is not None and b is not None]
    if is_baseline or not sound or len(sound) < len(pairs) or not whole:
        return record
    difference: Difference = paired_difference([a for a, _ in sound], [b for _, b in sound])
    record["difference"] = asdict(difference)
    record["verdict"] = verdict(difference, figure.better)
    record["images"] = _over_images([(ours[seed], theirs[seed]) for seed in shared], figure.name)
    return record


def _over_images(pairs: Sequence[tuple[Outcome, Outcome]], figure: str) -> dict[str, float] | None:
    """Return the interval of the difference over images, each image's averaged over seeds."""
    tables = [outcome.images.get(figure, {}) for pair in pairs for outcome in pair]
    ids = [name for name in tables[0] if all(name in table for table in tables)]
    differences = [
        fmean(ours.images[figure][name] - theirs.images[figure][name] for ours, theirs in pairs)
        for name in ids
    ]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return None
    low, high = bootstrap(differences)
    return {"low": low, "high": high}


def _reached(
    ours: Mapping[int, Outcome],
    theirs: Mapping[int, Outcome],
    figures: Sequence[Figure],
    cost: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Return how long a variant takes to the baseline's final score of the same seed, if it gets there."""
    figure = figures[0]
    if figure.better is None:
        return None
    shared = [seed for seed in ours if seed in theirs and _value(theirs[seed], figure.name) is not None]
    if not shared:
        return None
    goals = {seed: _value(theirs[seed], figure.name) or 0.0 for seed in shared}
    arrivals = [_arrival(ours[seed], goals[seed], figure) for seed in shared]
    there = [step for step in arrivals if step is not None]
    steps = fmean(there) if len(there) == len(shared) else None
    seconds = cost.get("step_seconds")
    return {
        "metric": figure.name,
        "score": fmean(goals.values()),
        "steps": steps,
        "seconds": steps * seconds if steps is not None and seconds else None,
        "seeds": len(there),
        "of": len(shared),
    }


def _arrival(outcome: Outcome, goal: float, figure: Figure) -> int | None:
    for step, metrics in outcome.curve:
        value = metrics.get(figure.name)
        if value is not None and (value <= goal if figure.better == "min" else value >= goal):
            return step
    return None


def _by_seed(outcomes: Iterable[Outcome], variant: str) -> dict[int, Outcome]:
    return {o.seed: o for o in outcomes if o.variant == variant and o.status == "done"}


def _value(outcome: Outcome, figure: str) -> float | None:
    value = outcome.metrics.get(figure)
    return value if value is not None and math.isfinite(value) else None


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


def _seen_from(folder: Path, root: Path) -> str:
    folder, root = folder.resolve(), root.resolve()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)
