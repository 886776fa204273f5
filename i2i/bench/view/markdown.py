"""The answer as Markdown: a table to paste into a paper, an issue or a README."""

from __future__ import annotations

from collections.abc import Sequence

from i2i.bench.results import MetricResult, Results, TimeToBaseline
from i2i.bench.view import words
from i2i.pages.numbers import short


def markdown(results: Results, *, picture: str | None = None) -> str:
    """Return a page of the results; `picture` is a file beside it to show."""
    lines = [f"# {results.name}", ""]
    if results.summary:
        lines += [results.summary, ""]
    lines += [f"**{words.answer(results)}**", ""]
    if results.go_on:
        lines += ["To go on:", "", "```console", results.go_on, "```", ""]
    lines += [*_quality(results), "", *_cost(results), ""]
    if picture:
        lines += [f"![The same held-out images, a row for each variant]({picture})", ""]
    lines += [_conditions(results), "", *results.notes]
    if results.credit:
        lines += ["", results.credit]
    return "\n".join(lines).rstrip() + "\n"


def _quality(results: Results) -> list[str]:
    """Each metric's mean and deviation, and its paired difference with the verdict."""
    arrows = {"min": " ↓", "max": " ↑", None: ""}
    titles = [metric.name + arrows[metric.better] for metric in results.metrics]
    decimals = {metric.name: words.decimals(results.table, metric.name) for metric in results.metrics}
    rows = [
        [
            f"{row.variant} (baseline)" if row.baseline else row.variant,
            *(_result(row.metrics[name], places) for name, places in decimals.items()),
        ]
        for row in results.table
    ]
    if copied := results.copied:
        scores = [words.fixed(copied.get(name), places) for name, places in decimals.items()]
        rows.append(["copying the input", *scores])
    return _table(["variant", *titles], rows)


def _result(found: MetricResult, decimals: int) -> str:
    text = words.measured(found.mean, found.deviation, decimals)
    lines = [text, found.against_copying]
    if found.difference is not None:
        seeds = words.seeds_needed(found)
        told = f"{found.verdict} ({seeds} needed)" if seeds else found.verdict
        lines += [words.difference(found.difference, decimals), told]
    return "<br>".join(filter(None, lines))


def _cost(results: Results) -> list[str]:
    rows = []
    for row in results.table:
        cost = row.cost
        rows.append(
            [
                row.variant,
                _count(cost.generator_parameters),
                _count(cost.discriminator_parameters),
                ", ".join(map(str, cost.receptive_field.values())) or "-",
                "-" if cost.flops_per_step is None else short(cost.flops_per_step / 1e9),
                words.duration(cost.step_seconds, cost.step_deviation),
                _count(cost.steps),
                words.trained(cost.train_seconds),
                words.duration(cost.image_seconds),
                "-" if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,.0f}",
                _reached(cost.reached),
            ]
        )
    titles = ["variant", "G parameters", "D parameters", "field, px", "GFLOP a step", "a step"]
    titles += ["steps", "training", "an image", "MB"]
    columns = zip([*titles, f"steps to the baseline's {results.metrics[0].name}"], *rows, strict=True)
    told = [column for column in columns if set(column[1:]) != {words.NOTHING}]
    titles, *rows = map(list, zip(*told, strict=True))
    return _table(titles, rows)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _reached(found: TimeToBaseline | None) -> str:
    if found is None:
        return "-"
    return f"reached by {found.seeds} of {found.of} seeds" if found.steps is None else short(found.steps)


def _conditions(results: Results) -> str:
    """Say where and how long this was measured."""
    about = results.environment
    length = words.length_of(results) or "no steps"
    seeds = ", ".join(map(str, results.seeds))
    threads = f"{about.threads} thread{'' if about.threads == 1 else 's'}"
    judged = "".join(f" {sentence}" for sentence in words.how_judged(results))
    return (
        f"{length} a run; seeds {seeds}; mean ± deviation over seeds, then the difference to the "
        f"baseline, paired by seed, with its own 95 % interval.{judged} "
        f"{about.processor or about.platform}, {about.cores} cores, {about.device}, "
        f"{about.precision}, {threads} a run; i2i {about.i2i}, torch {about.torch}."
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
