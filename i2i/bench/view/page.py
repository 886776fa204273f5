"""The page of a benchmark: one file, report.html, that opens from disk and asks nothing of the network.

It draws what results.json holds and computes no statistics of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from i2i.bench.results import (
    CellResult,
    Cost,
    Environment,
    MetricResult,
    ReportedMetric,
    Results,
    VariantResult,
)
from i2i.bench.tabulate import ranked
from i2i.bench.view import drawing, words
from i2i.bench.view.costs import cost_columns
from i2i.bench.view.drawing import Bar, Look, Weighed
from i2i.bench.view.gallery import gallery
from i2i.bench.view.pairs import Pair, pairs_of, panels
from i2i.pages.numbers import against_copying, short
from i2i.pages.template import template
from i2i.system.atomic import write_text

REPORT = "report.html"
"""The page of a run, in its folder."""

BETTER: Mapping[str | None, str] = {
    "min": "↓ lower is better",
    "max": "↑ higher is better",
    None: "",
}


def write_page(results: Results, folder: Path) -> Path:
    """Write `folder`/report.html from the results of a benchmark or a comparison; return the file.

    Pictures are read from `folder`; one that is not there leaves a gap.
    """
    path = folder / REPORT
    write_text(path, template("bench.html.j2").render(_values(results, folder)))
    return path


def _values(results: Results, folder: Path) -> dict[str, Any]:
    metrics = results.metrics
    looks = drawing.looks([variant.name for variant in results.variants], results.baseline)
    table = ranked(results.table, metrics[0]) if metrics else results.table
    copied = results.copied
    pairs = {metric.name: pairs_of(results, metric.name) for metric in metrics}
    return {
        "results": results,
        "answer": words.answer(results),
        "judged": words.how_judged(results),
        "about": _about(results),
        "looks": list(looks.values()),
        "signs": words.SIGNS,
        "scores": [
            _metric_table(metric, table, looks, copied.get(metric.name), pairs[metric.name])
            for metric in metrics
        ],
        "pairs": panels(pairs[metrics[0].name], metrics[0].name) if metrics else [],
        "look_of": looks,
        "reports": {
            cell.folder: link
            for cell in results.cells
            if (link := _link(cell.folder, folder)).endswith(REPORT)
        },
        "costs": cost_columns(table, metrics[0].name) if metrics else [],
        "plots": _plots(metrics[0].name, table, looks) if metrics else [],
        "curves": [
            chart
            for metric in metrics
            if (chart := drawing.curves(metric, results.curves, looks, copied.get(metric.name)))
        ],
        "pictures": gallery(results.pictures, [row.variant for row in table], folder),
        "changes": _changes(results),
        "cells": [_cell(cell, results, folder) for cell in results.cells],
        "environment": _environment(results.environment),
        "credits": [results.credit] if results.credit else [],
    }


def _about(results: Results) -> list[tuple[str, str]]:
    """Return label and text of what was compared, and how far it has come."""
    done = sum(cell.status == "done" for cell in results.cells)
    return [
        ("variants", f"{len(results.variants)}"),
        ("seeds" if len(results.seeds) != 1 else "seed", ", ".join(map(str, results.seeds)) or words.NOTHING),
        ("length", words.length_of(results) or words.NOTHING),
        ("baseline", results.baseline),
        ("runs", f"{done} of {len(results.cells)} finished"),
    ]


# --- quality and cost -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreRow:
    """One metric of one variant, as its row shows it."""

    look: Look
    baseline: bool
    mean: str
    of: str
    seeds: str
    difference: str
    interval: str
    bar: Bar | None
    verdict: str
    needed: str
    against: str
    images: str


@dataclass(frozen=True)
class ScoreTable:
    """One metric of all variants, in the order of the leaderboard."""

    name: str
    better: str
    left: str
    right: str
    definition: str
    zero: float
    copied: str
    rows: Sequence[ScoreRow]


def _metric_table(
    metric: ReportedMetric,
    table: Sequence[VariantResult],
    looks: Mapping[str, Look],
    copied: float | None,
    pairs: Mapping[str, Sequence[Pair]],
) -> ScoreTable:
    decimals = words.decimals(table, metric.name)
    most = max((row.metrics[metric.name].n for row in table), default=0)
    bars = drawing.bars(table, metric.name, pairs)
    left, right = {"min": ("better", "worse"), "max": ("worse", "better")}.get(
        metric.better or "", ("less", "more")
    )

    def shown(row: VariantResult, found: MetricResult) -> ScoreRow:
        low, high = (found.images.low, found.images.high) if found.images else (None, None)
        ends = [words.fixed(end, decimals, sign=True) for end in (low, high)]
        return ScoreRow(
            look=looks[row.variant],
            baseline=row.baseline,
            mean=words.measured(found.mean, found.deviation, decimals),
            of=f"{found.n} of {most} seeds" if found.n < most else "",
            seeds=", ".join(short(value) for value in found.values if value is not None),
            difference=words.effect(found.difference, decimals) if found.difference else words.NOTHING,
            interval=words.interval(found.difference, decimals) if found.difference else "",
            bar=bars.bars.get(row.variant),
            verdict=found.verdict,
            needed=words.seeds_needed(found),
            against=found.against_copying,
            images=f"{' to '.join(ends)} over images" if found.images else "",
        )

    return ScoreTable(
        name=metric.name,
        better=BETTER[metric.better],
        left=left,
        right=right,
        definition=metric.definition,
        zero=bars.zero,
        copied="" if copied is None else words.fixed(copied, decimals),
        rows=[shown(row, row.metrics[metric.name]) for row in table],
    )


def _plots(metric: str, table: Sequence[VariantResult], looks: Mapping[str, Look]) -> list[drawing.Plot]:
    """Return a metric over the time of a step, and over the number of parameters."""

    def parameters(cost: Cost) -> float | None:
        ours, theirs = cost.generator_parameters, cost.discriminator_parameters
        return None if ours is None or theirs is None else float(ours + theirs) / 1e6

    def milliseconds(cost: Cost) -> float | None:
        return None if cost.step_seconds is None else cost.step_seconds * 1000

    def seconds_deviation(cost: Cost) -> float:
        return (cost.step_deviation or 0.0) * 1000

    plots = []
    for title, cost_of, deviation_of in (
        ("time of a step, ms", milliseconds, seconds_deviation),
        ("parameters of G and D, millions", parameters, lambda cost: 0.0),
    ):
        values = {
            row.variant: Weighed(cost, found.mean, found.deviation or 0.0, deviation_of(row.cost))
            for row in table
            if (found := row.metrics[metric]).mean is not None and (cost := cost_of(row.cost)) is not None
        }
        plots.append(drawing.cost_plot(title, metric, values, looks))
    return [plot for plot in plots if plot is not None]


# --- what was run -----------------------------------------------------------------------------------


def _changes(results: Results) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return for each variant its keys that differ, with the value before and after."""
    return [
        (variant.name, [(key, _value(before), _value(after)) for key, before, after in variant.changes])
        for variant in results.variants
    ]


def _value(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class CellRow:
    """One run: what it says, a link to its report or its folder if it is there, and for each metric its text.

    Beside the text stands how it compares with copying the input.
    """

    result: CellResult
    link: str
    metrics: Sequence[tuple[str, str]]


def _cell(cell: CellResult, results: Results, folder: Path) -> CellRow:
    metrics = []
    for metric in results.metrics:
        value, copied = cell.metrics.get(metric.name), cell.copy_input.get(metric.name)
        against = against_copying(value, copied, metric.better) or ""
        metrics.append((words.NOTHING if value is None else short(value), against))
    return CellRow(cell, _link(cell.folder, folder), metrics)


def _link(run: str, folder: Path) -> str:
    """Return the address of a run's report, or else of its folder; nothing if that is not there.

    `run` is the folder as seen from `folder`, that of the page.
    """
    if not run or not (folder / run).is_dir():
        return ""
    return f"{_address(run)}/{REPORT if (folder / run / REPORT).is_file() else ''}"


def _address(path: str) -> str:
    """Return a folder as a link: beside the page, or anywhere on this machine."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path)


def _environment(environment: Environment) -> dict[str, str]:
    return {label: str(value) for label, value in vars(environment).items() if value not in (None, "")}
