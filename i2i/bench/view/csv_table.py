"""The answer as CSV, for spreadsheets: a row for each variant and metric."""

from __future__ import annotations

import csv
import io

from i2i.bench.results import Results

TITLES = (
    *("variant", "figure", "better", "n", "mean", "deviation"),
    *("difference", "low", "high", "verdict"),
    *("generator_parameters", "discriminator_parameters", "flops_per_step", "step_seconds"),
    *("copy_input", "against_copying"),
)


def csv_table(results: Results) -> str:
    """Return the table of `results`; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TITLES)
    ways = {metric.name: metric.better for metric in results.metrics}
    for row in results.table:
        cost = row.cost
        costs = (
            cost.generator_parameters,
            cost.discriminator_parameters,
            cost.flops_per_step,
            cost.step_seconds,
        )
        for name, found in row.metrics.items():
            away = found.difference
            against = (away.mean, away.low, away.high) if away else (None, None, None)
            copied = (results.copied.get(name), found.against_copying)
            own = (found.n, found.mean, found.deviation)
            writer.writerow([row.variant, name, ways[name], *own, *against, found.verdict, *costs, *copied])
    return text.getvalue()
