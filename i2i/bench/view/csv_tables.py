"""The answer as CSV, for spreadsheets: a row for each cell, and a row for each variant and metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from i2i.bench.records import TrainedOn
from i2i.bench.results import Cost, Results

OF_TABLE = (
    *("variant", "figure", "better", "n", "mean", "deviation"),
    *("difference", "low", "high", "verdict"),
    *("generator_parameters", "discriminator_parameters", "flops_per_step", "step_seconds"),
    *("copy_input", "against_copying"),
    *("percent", "p", "corrected_p", "seeds_needed"),
    *("image_seconds", "steps", "train_seconds"),
)

BEFORE_FIGURES = ("variant", "seed", "key", "status", "steps", "seconds")
AFTER_FIGURES = (
    *("step_seconds", "step_deviation", "flops_per_step"),
    *("generator_parameters", "discriminator_parameters"),
    *("images_per_second", "peak_memory_mb"),
    *("device", "precision", "threads", "i2i", "torch"),
    *("folder", "error"),
    *("image_seconds", "train_seconds"),
)
"""The times of a step and of an image, FLOPs and the parameters are the variant's, all else the cell's."""


def csv_of_cells(results: Results) -> str:
    """Return a row for each cell with all that is known of it; what is not known is empty.

    Each figure has a column of its name, and what copying the input scores one more, `copy_input.NAME`.
    """
    names = [metric.name for metric in results.metrics]
    costs = {row.variant: row.cost for row in results.table}
    rows = []
    for cell in results.cells:
        cost, about = costs.get(cell.variant, Cost()), cell.trained_on or TrainedOn()
        rows.append(
            [
                *(cell.variant, cell.seed, Path(cell.folder).name, cell.status, cell.steps, cell.seconds),
                *(cell.metrics.get(name) for name in names),
                *(cell.copy_input.get(name) for name in names),
                *(cost.step_seconds, cost.step_deviation, cost.flops_per_step),
                *(cost.generator_parameters, cost.discriminator_parameters),
                *(cell.images_per_second, cell.peak_memory_mb),
                *(about.device, about.precision, about.threads, about.i2i, about.torch),
                *(cell.folder, cell.error, cost.image_seconds, cell.train_seconds),
            ]
        )
    return _csv([*BEFORE_FIGURES, *names, *(f"copy_input.{name}" for name in names), *AFTER_FIGURES], rows)


def csv_of_table(results: Results) -> str:
    """Return a row for each variant and metric, with its difference to the baseline; empty: not known."""
    ways = {metric.name: metric.better for metric in results.metrics}
    rows = []
    for row in results.table:
        cost = row.cost
        for name, found in row.metrics.items():
            away = found.difference
            rows.append(
                [
                    *(row.variant, name, ways[name], found.n, found.mean, found.deviation),
                    *((away.mean, away.low, away.high) if away else (None, None, None)),
                    found.verdict,
                    *(cost.generator_parameters, cost.discriminator_parameters),
                    *(cost.flops_per_step, cost.step_seconds),
                    *(results.copied.get(name), found.against_copying),
                    *((away.percent, away.p) if away else (None, None)),
                    *(found.corrected, found.seeds_needed),
                    *(cost.image_seconds, cost.steps, cost.train_seconds),
                ]
            )
    return _csv(OF_TABLE, rows)


def _csv(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([titles, *rows])
    return text.getvalue()
