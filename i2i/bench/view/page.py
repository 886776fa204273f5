"""The page of a benchmark: one file, report.html, that opens from disk and asks nothing of the network.

It draws what results.json holds and computes no statistics of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from i2i.bench.view import drawing, words
from i2i.bench.view.drawing import Bar, Look
from i2i.bench.view.gallery import gallery
from i2i.pages.numbers import clock, short
from i2i.pages.template import template
from i2i.system.atomic import write_text

BETTER: Mapping[str | None, str] = {
    "min": "↓ lower is better",
    "max": "↑ higher is better",
    None: "",
}


def write_page(results: Mapping[str, Any], folder: Path) -> Path:
    """Write `folder`/report.html from the results of a benchmark or a comparison; return the file.

    Pictures are read from `folder`; one that is not there leaves a gap.
    """
    path = folder / "report.html"
    write_text(path, template("bench.html.j2").render(_view(results, folder)))
    return path


def _view(results: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    metrics = results["metrics"]
    looks = drawing.looks([variant["name"] for variant in results["variants"]], results["baseline"])
    table = words.ranked(results["table"], metrics[0]) if metrics else results["table"]
    copied = _copied(results)
    return {
        "results": results,
        "answer": words.answer(results),
        "about": _about(results),
        "looks": list(looks.values()),
        "signs": words.SIGNS,
        "scores": [_scores(metric, table, looks, copied.get(metric["name"])) for metric in metrics],
        "costs": _costs(table, _decimals(metrics[0], table) if metrics else 0),
        "bar_box": drawing.BAR,
        "plots": _plots(results, table, looks),
        "curves": [
            chart
            for metric in metrics
            if (chart := drawing.curves(metric, results["curves"], looks, copied.get(metric["name"])))
        ],
        "pictures": gallery(results, [row["variant"] for row in table], folder),
        "changes": _changes(results),
        "cells": _cells(results, folder),
        "environment": _environment(results["environment"]),
        "credits": [results["credit"]] if results["credit"] else [],
    }


def _about(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of what was compared, and how far it has come."""
    cells, seeds = results["cells"], results["seeds"]
    done = sum(cell["status"] == "done" for cell in cells)
    steps = sorted({variant["steps"] for variant in results["variants"] if variant["steps"]})
    length = ", ".join(f"{value:,} {unit}" for unit, value in results["budget"].items())
    if steps and set(results["budget"]) != {"steps"}:
        span = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
        length = f"{length} ({span} steps)" if length else f"{span} steps"
    return [
        ("variants", f"{len(results['variants'])}"),
        ("seeds" if len(seeds) != 1 else "seed", ", ".join(map(str, seeds)) or words.NOTHING),
        ("length", length or words.NOTHING),
        ("baseline", results["baseline"]),
        ("runs", f"{done} of {len(cells)} finished"),
    ]


def _copied(results: Mapping[str, Any]) -> dict[str, float]:
    """Return what copying the input scores, where all cells agree: it depends on the data alone."""
    found: dict[str, set[float]] = {}
    for cell in results["cells"]:
        for name, value in (cell["copy_input"] or {}).items():
            found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1 and None not in values}


# --- quality and cost -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """One metric of one variant, as its row shows it."""

    look: Look
    baseline: bool
    mean: str
    of: str
    seeds: str
    difference: str
    bar: Bar | None
    verdict: str
    images: str


@dataclass(frozen=True)
class Scores:
    """One metric of all variants, in the order of the leaderboard."""

    name: str
    better: str
    left: str
    right: str
    definition: str
    zero: float
    copied: str
    rows: Sequence[Score]


def _decimals(metric: Mapping[str, Any], table: Sequence[Mapping[str, Any]]) -> int:
    found = [row["metrics"].get(metric["name"], {}) for row in table]
    return words.places([cell.get("mean") for cell in found], [cell.get("deviation") for cell in found])


def _scores(
    metric: Mapping[str, Any],
    table: Sequence[Mapping[str, Any]],
    looks: Mapping[str, Look],
    copied: float | None,
) -> Scores:
    name = metric["name"]
    found = [row["metrics"].get(name, {}) for row in table]
    decimals = _decimals(metric, table)
    most = max((cell.get("n", 0) for cell in found), default=0)
    bars = drawing.bars(table, name)
    left, right = {"min": ("better", "worse"), "max": ("worse", "better")}.get(
        metric["better"], ("less", "more")
    )

    def score(row: Mapping[str, Any], cell: Mapping[str, Any]) -> Score:
        count, images = cell.get("n", 0), cell.get("images")
        return Score(
            look=looks[row["variant"]],
            baseline=row["baseline"],
            mean=words.measured(cell.get("mean"), cell.get("deviation"), decimals),
            of=f"{count} of {most} seeds" if count < most else "",
            seeds=", ".join(map(short, filter(lambda value: value is not None, cell.get("values", [])))),
            difference=words.difference(cell.get("difference"), decimals),
            bar=bars.bars.get(row["variant"]),
            verdict=cell.get("verdict", "cannot tell"),
            images=""
            if images is None
            else f"{words.fixed(images['low'], decimals, sign=True)} to "
            f"{words.fixed(images['high'], decimals, sign=True)} over images",
        )

    return Scores(
        name=name,
        better=BETTER[metric["better"]],
        left=left,
        right=right,
        definition=metric["definition"],
        zero=bars.zero,
        copied="" if copied is None else words.fixed(copied, decimals),
        rows=[score(row, cell) for row, cell in zip(table, found, strict=True)],
    )


@dataclass(frozen=True)
class Cost:
    """One column of costs: its heading, and for each variant a text and what stands small below it."""

    title: str
    texts: Sequence[tuple[str, ...]]


def _costs(table: Sequence[Mapping[str, Any]], decimals: int) -> list[Cost]:
    """Return the costs that are known of any variant; `decimals` are those of the score to reach."""
    costs = [row["cost"] for row in table]

    def column(title: str, key: str, text: Callable[[Any], str]) -> Cost:
        values = [cost.get(key) for cost in costs]
        return Cost(title, [(words.NOTHING if value is None else text(value),) for value in values])

    columns = [
        column("G", "generator_parameters", words.compact),
        column("D", "discriminator_parameters", words.compact),
        column("FLOPs a step", "flops_per_step", words.compact),
        column("sees", "receptive_field", _field),
        column("step", "step_seconds", words.duration),
        column("images/s", "images_per_second", "{:,.1f}".format),
        column("memory", "peak_memory_mb", "{:,.0f} MB".format),
    ]
    reached = [cost.get("reached") for cost in costs]
    first = next(filter(None, reached), None)
    if first is not None:
        score = words.fixed(first["score"], decimals)
        columns.append(Cost(f"time to {first['metric']} {score}", list(map(_reached, reached))))
    return [cost for cost in columns if any(text != words.NOTHING for text, *_ in cost.texts)]


def _field(fields: Mapping[str, int | None]) -> str:
    known = {
        name: "all" if size == 0 else f"{size:,} px" for name, size in fields.items() if size is not None
    }
    if len(known) < 2:
        return next(iter(known.values()), words.NOTHING)
    return ", ".join(f"{name} {size}" for name, size in known.items())


def _reached(reached: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the time to the baseline's score, and below it the steps and how many seeds got there."""
    if reached is None:
        return (words.NOTHING,)
    some = f"{reached['seeds']} of {reached['of']} seeds"
    if reached["steps"] is None:
        return ("not reached", *([some] if reached["seeds"] else []))
    steps = f"{reached['steps']:,.0f} steps"
    time = [] if reached["seconds"] is None else [clock(reached["seconds"])]
    return (*time, steps, *([some] if reached["seeds"] < reached["of"] else []))


def _plots(
    results: Mapping[str, Any], table: Sequence[Mapping[str, Any]], looks: Mapping[str, Look]
) -> list[drawing.Plot]:
    """Return the first metric over the time of a step, and over the number of parameters."""
    if not results["metrics"]:
        return []
    metric = results["metrics"][0]["name"]

    def parameters(cost: Mapping[str, Any]) -> float | None:
        ours, theirs = cost.get("generator_parameters"), cost.get("discriminator_parameters")
        return None if ours is None or theirs is None else float(ours + theirs) / 1e6

    def milliseconds(cost: Mapping[str, Any]) -> float | None:
        return None if cost.get("step_seconds") is None else float(cost["step_seconds"] * 1000)

    plots = []
    for title, cost_of in (
        ("time of a step, ms", milliseconds),
        ("parameters of G and D, millions", parameters),
    ):
        values = {
            row["variant"]: (cost, cell["mean"], cell["deviation"] or 0.0)
            for row in table
            if (cell := row["metrics"].get(metric, {})).get("mean") is not None
            and (cost := cost_of(row["cost"])) is not None
        }
        plots.append(drawing.cost_plot(title, metric, values, looks))
    return [plot for plot in plots if plot is not None]


# --- what was run -----------------------------------------------------------------------------------


def _changes(results: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return for each variant its keys that differ, with the value before and after."""
    return [
        (variant["name"], [(key, _value(before), _value(after)) for key, before, after in variant["changes"]])
        for variant in results["variants"]
    ]


def _value(value: Any) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


def _cells(results: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    names = [metric["name"] for metric in results["metrics"]]
    return [
        {
            **cell,
            "address": _address(cell["folder"]),
            "report": (folder / cell["folder"] / "report.html").is_file() if cell["folder"] else False,
            "figures": [_figure(cell["metrics"], name) for name in names],
        }
        for cell in results["cells"]
    ]


def _address(path: str) -> str:
    """Return a folder as a link: beside the page, or anywhere on this machine."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path)


def _figure(metrics: Mapping[str, float | None] | None, name: str) -> str:
    value = (metrics or {}).get(name)
    return words.NOTHING if value is None else short(value)


def _environment(environment: Mapping[str, Any]) -> dict[str, str]:
    known: Iterable[tuple[str, Any]] = environment.items()
    return {label.replace("_", " "): str(value) for label, value in known if value not in (None, "")}
