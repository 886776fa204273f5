"""The verdicts of a table: which differences are more than noise, after Holm's correction.

The comparisons of one figure, of each variant with the baseline, are a family: the chance that any of them is
called a difference where there is none is at most 5 %. Figures are not counted together: they are taken of
the same images and move together, and the answer in words goes by the first of them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from i2i.bench.results import MetricResult, ReportedMetric, VariantResult
from i2i.bench.statistics import ALPHA, holm, seeds_needed, verdict


def judged(table: Sequence[VariantResult], metrics: Sequence[ReportedMetric]) -> list[VariantResult]:
    """Return the rows with the verdicts that their differences allow, whatever verdicts they had."""
    rows = list(table)
    for metric in metrics:
        found = [row.metrics[metric.name] for row in rows]
        verdicts = _judged_together(found, metric)
        rows = [
            row if row.baseline else replace(row, metrics={**row.metrics, metric.name: result})
            for row, result in zip(rows, verdicts, strict=True)
        ]
    return rows


def is_judged(table: Sequence[VariantResult]) -> bool:
    """Whether all differences with an interval were judged so; those of the first version were not."""
    found = [(result.difference, result.corrected) for row in table for result in row.metrics.values()]
    return all(corrected is not None for away, corrected in found if away and away.low is not None)


def _judged_together(found: Sequence[MetricResult], metric: ReportedMetric) -> list[MetricResult]:
    """Return one metric of all variants with its verdicts; that of the baseline has no difference."""
    p_values = {
        place: result.difference.p
        for place, result in enumerate(found)
        if result.difference is not None and result.difference.p is not None
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        _judged(result, metric, corrected.get(place), comparisons=len(corrected))
        for place, result in enumerate(found)
    ]


def _judged(
    found: MetricResult, metric: ReportedMetric, corrected: float | None, *, comparisons: int
) -> MetricResult:
    away = found.difference
    if away is None or away.deviation is None:
        return replace(found, corrected=None, seeds_needed=None, verdict="cannot tell")
    said = verdict(away.mean, corrected, metric.better)
    needed = None
    if said == "within noise":
        # What the correction asks of the smallest of so many p-values: that is enough in any place.
        needed = seeds_needed(away.mean, away.deviation, level=ALPHA / comparisons)
    return replace(found, corrected=corrected, seeds_needed=needed, verdict=said)
