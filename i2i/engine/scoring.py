"""Scoring translations of a split, and what copying the input would score on the same pairs.

Metrics see images as they would be saved: quantised to the target's stored depth, in [0,1].
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from i2i.errors import PluginError, RecipeError
from i2i.images import as_saved
from i2i.kinds import Batch, Direction, PairSpec
from i2i.seeds import seeded
from i2i.system.device import Runtime

Translate = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """What metrics found: each figure over all images, and one value an image where a metric has any.

    `images` holds a list for each such figure, in the order of `ids`.
    """

    figures: dict[str, float] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    images: dict[str, list[float]] = field(default_factory=dict)

    def csv(self) -> str:
        """Return a row for each image: its id, and each figure that it has of its own."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *self.images])
        writer.writerows(zip(self.ids, *self.images.values(), strict=True))
        return text.getvalue()


@torch.no_grad()
def evaluate(
    translate: Translate,
    batches: Iterable[Batch],
    metrics: Mapping[str, Any],
    *,
    spec: PairSpec,
    runtime: Runtime,
    seed: int,
    draws: Mapping[str, int],
) -> Scores:
    """Return every figure of `metrics`, by its name, over all batches.

    Each answer is drawn under a seed of its own, so that two evaluations of the same weights agree;
    metrics with more than one draw see all of them, stacked.
    """
    scores = Scores()
    most = max(draws.values(), default=1)
    for metric in metrics.values():
        metric.reset()
    for number, batch in enumerate(batches):
        source = runtime.place(batch.source)
        real = as_saved(batch.target, spec.target)
        seen = as_saved(batch.source, spec.source)
        answers = []
        for draw in range(most):
            with seeded(seed, "evaluate", number, draw):
                answers.append(as_saved(translate(source).cpu(), spec.target))
        scores.ids.extend(batch.ids)
        for name, metric in metrics.items():
            fake = torch.stack(answers[: draws[name]]) if draws[name] > 1 else answers[0]
            for figure, values in (metric.update(seen, fake, real, batch.ids) or {}).items():
                scores.images.setdefault(figure, []).extend(_one_each(name, figure, values, len(batch.ids)))
    for name, metric in metrics.items():
        scores.figures.update(_figures(name, metric))
    return scores


def _one_each(table: str, figure: str, values: Any, count: int) -> list[float]:
    """Return the values of a figure for the images of a batch, as numbers."""
    if not isinstance(values, Tensor) or tuple(values.shape) != (count,):
        kind = type(values).__name__
        told = f"of shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"as a {kind}"
        raise PluginError(
            f"metrics.{table}: its update() gave '{figure}' {told} for {count} images: give a tensor with "
            "one number for each image, whatever the draws, or none at all."
        )
    numbers: list[float] = values.tolist()
    return numbers


def _figures(table: str, metric: Any) -> dict[str, float]:
    """Return what a metric computed: a number for each figure that it declares, and maybe others."""
    computed = metric.compute()
    if not isinstance(computed, Mapping) or not metric.directions.keys() <= computed.keys():
        gave = (
            ", ".join(map(str, computed)) if isinstance(computed, Mapping) else f"a {type(computed).__name__}"
        )
        raise PluginError(
            f"metrics.{table}: its compute() gave {gave or 'nothing'}, and its `directions` declares "
            f"{', '.join(metric.directions)}: each of those has to be there."
        )
    figures = {}
    for name, value in computed.items():
        try:
            figures[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise PluginError(
                f"metrics.{table}: its compute() gave no number for '{name}': {error}."
            ) from error
    return figures


def copy_input(
    batches: Iterable[Batch],
    metrics: Mapping[str, Any],
    *,
    spec: PairSpec,
    runtime: Runtime,
    seed: int,
    draws: Mapping[str, int],
) -> Scores:
    """Return what the source itself scores as an answer; empty where it could not be one of the target's."""
    source, target = ((side.channels, side.size, side.one_hot) for side in (spec.source, spec.target))
    if source != target:
        return Scores()
    return evaluate(lambda image: image, batches, metrics, spec=spec, runtime=runtime, seed=seed, draws=draws)


def directions(metrics: Mapping[str, Any]) -> dict[str, Direction]:
    """Return which way each figure is better: "min" or "max".

    Raises RecipeError when two metrics give a figure of one name, PluginError when one does not say.
    """
    found: dict[str, Direction] = {}
    owners: dict[str, str] = {}
    for table, metric in metrics.items():
        declared = getattr(metric, "directions", None)
        if not isinstance(declared, Mapping) or not set(declared.values()) <= {"min", "max"}:
            raise PluginError(
                f"metrics.{table}: its `directions` is {declared!r}: map the name of each figure to 'min' or "
                "'max'."
            )
        for name, way in declared.items():
            if name in owners:
                raise RecipeError(
                    f"metrics.{owners[name]} and metrics.{table} both give a figure '{name}': take one out."
                )
            owners[name], found[name] = table, way
    return found
