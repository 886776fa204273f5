"""What variants cost, as columns of text for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from i2i.bench.results import Cost, TimeToBaseline, VariantResult
from i2i.bench.view import words
from i2i.pages.numbers import clock


@dataclass(frozen=True)
class CostColumn:
    """One column: its heading, and for each variant a text and what stands small below it."""

    title: str
    texts: Sequence[tuple[str, ...]]


def cost_columns(table: Sequence[VariantResult], metric: str) -> list[CostColumn]:
    """Return the costs that are known of any variant; the baseline's score on `metric` is to be reached."""
    costs = [row.cost for row in table]

    def column(title: str, text: Callable[[Cost], str]) -> CostColumn:
        return CostColumn(title, [(text(cost),) for cost in costs])

    columns = [
        column("steps", lambda cost: _known(cost.steps, "{:,}")),
        column("training", lambda cost: words.trained(cost.train_seconds)),
        column("an image", lambda cost: words.duration(cost.image_seconds)),
        column("G", lambda cost: words.compact(cost.generator_parameters)),
        column("D", lambda cost: words.compact(cost.discriminator_parameters)),
        column("FLOPs a step", lambda cost: words.compact(cost.flops_per_step)),
        column("sees", _fields),
        CostColumn("step", [_step(cost) for cost in costs]),
        column("images/s", lambda cost: _known(cost.images_per_second, "{:,.1f}")),
        column("memory", lambda cost: _known(cost.peak_memory_mb, "{:,.0f} MB")),
    ]
    first = next((cost.reached for cost in costs if cost.reached), None)
    if first is not None:
        title = f"time to {metric} {words.fixed(first.score, words.decimals(table, metric))}"
        columns.append(CostColumn(title, [_reached(cost.reached) for cost in costs]))
    return [column for column in columns if any(text != words.NOTHING for text, *_ in column.texts)]


def _step(cost: Cost) -> tuple[str, ...]:
    """Return the time of a step, and below it its deviation."""
    time = words.duration(cost.step_seconds)
    return (time,) if cost.step_deviation is None else (time, f"± {words.duration(cost.step_deviation)}")


def _known(value: float | None, form: str) -> str:
    return words.NOTHING if value is None else form.format(value)


def _fields(cost: Cost) -> str:
    known = {
        name: "all" if size == 0 else f"{size:,} px"
        for name, size in cost.receptive_field.items()
        if size is not None
    }
    if len(known) < 2:
        return next(iter(known.values()), words.NOTHING)
    return ", ".join(f"{name} {size}" for name, size in known.items())


def _reached(reached: TimeToBaseline | None) -> tuple[str, ...]:
    """Return the time to the baseline's score, and below it the steps and how many seeds got there."""
    if reached is None:
        return (words.NOTHING,)
    some = f"{reached.seeds} of {reached.of} seeds"
    if reached.steps is None:
        return ("not reached", *([some] if reached.seeds else []))
    time = [] if reached.seconds is None else [clock(reached.seconds)]
    return (*time, f"{reached.steps:,.0f} steps", *([some] if reached.seeds < reached.of else []))
