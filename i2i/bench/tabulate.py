"""From what runs say to the table and the curves of an answer.

All statistics are made here, from files alone, so it does not matter who trained the cells or when.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from i2i.bench.outcomes import RunOutcome
from i2i.bench.results import (
    CellResult,
    Cost,
    Interval,
    MetricCurve,
    MetricResult,
    ReportedMetric,
    TimeToBaseline,
    VariantResult,
)
from i2i.bench.statistics import bootstrap, paired_difference, spread
from i2i.bench.verdicts import judged
from i2i.pages.numbers import against_copying, over_seeds


def tabulate(
    outcomes: Sequence[RunOutcome],
    *,
    variants: Sequence[str],
    baseline: str,
    metrics: Sequence[ReportedMetric],
    costs: Mapping[str, Cost] | None = None,
) -> list[VariantResult]:
    """Return a row for each variant, the best mean of the first metric first.

    `costs` are facts beside quality, by variant; `step_seconds` among them turns steps to seconds.
    """
    by_variant = {name: _by_seed(outcomes, name) for name in variants}
    theirs = by_variant[baseline]
    rows = []
    for name, ours in by_variant.items():
        cost = (costs or {}).get(name, Cost())
        rows.append(
            VariantResult(
                variant=name,
                baseline=name == baseline,
                n=len(ours),
                metrics={metric.name: _result(ours, theirs, metric, name == baseline) for metric in metrics},
                cost=replace(
                    cost,
                    reached=_reached(ours, theirs, metrics[0], cost.step_seconds),
                    steps=_steps(ours),
                    train_seconds=_train_seconds(ours),
                ),
            )
        )
    first = metrics[0]
    return ranked(judged(rows, metrics), first if first.better else replace(first, better="min"))


def ranked(table: Sequence[VariantResult], metric: ReportedMetric) -> list[VariantResult]:
    """Return the rows from the best mean of `metric` to the worst, those without one last.

    For a metric that knows no better the order is kept.
    """
    way = {"min": 1.0, "max": -1.0}.get(metric.better or "", 0.0)

    def place(row: VariantResult) -> tuple[bool, float]:
        mean = row.metrics[metric.name].mean
        return (True, 0.0) if mean is None else (False, way * mean)

    return sorted(table, key=place)


def curves(
    outcomes: Sequence[RunOutcome], variants: Sequence[str], metrics: Sequence[ReportedMetric]
) -> dict[str, dict[str, MetricCurve]]:
    """Return for each variant and metric the mean over seeds at each validation, with least and most."""
    found: dict[str, dict[str, MetricCurve]] = {}
    for name in variants:
        runs = [dict(o.curve) for o in _by_seed(outcomes, name).values() if o.curve]
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        found[name] = {}
        for metric in metrics:
            points = []
            for step in steps:
                values = [run[step].get(metric.name) for run in runs]
                known = [value for value in values if value is not None]
                if len(known) == len(values):
                    points.append((step, fmean(known), min(known), max(known)))
            found[name][metric.name] = MetricCurve(*zip(*points, strict=True)) if points else MetricCurve()
    return found


def cell_results(outcomes: Iterable[RunOutcome], root: Path) -> list[CellResult]:
    """Return what is told of each run, with its folder seen from `root`."""
    return [
        CellResult(
            variant=outcome.variant,
            seed=outcome.seed,
            folder=_seen_from(outcome.folder, root),
            status=outcome.status,
            error=outcome.error,
            steps=outcome.steps,
            metrics=outcome.metrics,
            copy_input=outcome.copy_input,
            seconds=outcome.seconds,
            images_per_second=outcome.images_per_second,
            peak_memory_mb=outcome.peak_memory_mb,
            trained_on=outcome.trained_on,
            train_seconds=outcome.train_seconds,
        )
        for outcome in outcomes
    ]


# --- one metric of one variant --------------------------------------------------------------------


def _result(
    ours: Mapping[int, RunOutcome],
    theirs: Mapping[int, RunOutcome],
    metric: ReportedMetric,
    is_baseline: bool,
) -> MetricResult:
    values = [_value(outcome, metric.name) for outcome in ours.values()]
    known = [value for value in values if value is not None]
    whole = known if len(known) == len(values) else []
    found = spread(whole) if whole else None
    result = MetricResult(
        values=values,
        mean=found.mean if found else None,
        deviation=found.deviation if found else None,
        n=len(whole),
        against_copying=over_seeds(
            [
                against_copying(value, outcome.copy_input.get(metric.name), metric.better)
                for value, outcome in zip(values, ours.values(), strict=True)
            ]
        ),
        verdict="baseline" if is_baseline else "cannot tell",
    )
    shared = [seed for seed in ours if seed in theirs]
    pairs = [(_value(ours[seed], metric.name), _value(theirs[seed], metric.name)) for seed in shared]
    sound = [(a, b) for a, b in pairs if a is not None and b is not None]
    if is_baseline or not sound or len(sound) < len(pairs) or not whole:
        return result
    return replace(
        result,
        difference=paired_difference([a for a, _ in sound], [b for _, b in sound]),
        images=_over_images([(ours[seed], theirs[seed]) for seed in shared], metric.name),
    )


def _over_images(pairs: Sequence[tuple[RunOutcome, RunOutcome]], metric: str) -> Interval | None:
    """Return the interval of the difference over images, each image's averaged over seeds."""
    tables = [outcome.images.get(metric, {}) for pair in pairs for outcome in pair]
    ids = [name for name in tables[0] if all(name in table for table in tables)]
    differences = [
        fmean(ours.images[metric][name] - theirs.images[metric][name] for ours, theirs in pairs)
        for name in ids
    ]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return None
    return Interval(*bootstrap(differences))


def _reached(
    ours: Mapping[int, RunOutcome],
    theirs: Mapping[int, RunOutcome],
    metric: ReportedMetric,
    step_seconds: float | None,
) -> TimeToBaseline | None:
    """Return how long a variant takes to the baseline's final score of the same seed, if it gets there."""
    if metric.better is None:
        return None
    shared = [seed for seed in ours if seed in theirs and _value(theirs[seed], metric.name) is not None]
    if not shared:
        return None
    goals = {seed: _value(theirs[seed], metric.name) or 0.0 for seed in shared}
    arrivals = [_arrival(ours[seed], goals[seed], metric) for seed in shared]
    there = [step for step in arrivals if step is not None]
    steps = fmean(there) if len(there) == len(shared) else None
    return TimeToBaseline(
        metric=metric.name,
        score=fmean(goals.values()),
        steps=steps,
        seconds=steps * step_seconds if steps is not None and step_seconds else None,
        seeds=len(there),
        of=len(shared),
    )


def _arrival(outcome: RunOutcome, goal: float, metric: ReportedMetric) -> int | None:
    for step, metrics in outcome.curve:
        value = metrics.get(metric.name)
        if value is not None and (value <= goal if metric.better == "min" else value >= goal):
            return step
    return None


def _steps(ours: Mapping[int, RunOutcome]) -> int | None:
    """Return the steps of a variant's runs, None unless all have as many."""
    steps = {outcome.steps for outcome in ours.values()}
    return steps.pop() if len(steps) == 1 else None


def _train_seconds(ours: Mapping[int, RunOutcome]) -> float | None:
    """Return the mean time of the steps of a run, None unless it is known of all."""
    known = [outcome.train_seconds for outcome in ours.values() if outcome.train_seconds is not None]
    return fmean(known) if known and len(known) == len(ours) else None


def _by_seed(outcomes: Iterable[RunOutcome], variant: str) -> dict[int, RunOutcome]:
    return {o.seed: o for o in outcomes if o.variant == variant and o.status == "done"}


def _value(outcome: RunOutcome, metric: str) -> float | None:
    value = outcome.metrics.get(metric)
    return value if value is not None and math.isfinite(value) else None


def _seen_from(folder: Path, root: Path) -> str:
    folder, root = folder.resolve(), root.resolve()
    try:
        return Path(os.path.relpath(folder, root)).as_posix()
    except ValueError:  # another drive
        return str(folder)
