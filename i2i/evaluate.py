"""Scoring translations of a split, and what copying the input would score on the same pairs.

Metrics see images as they would be saved: quantised to the target's stored depth, in [0,1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from i2i.images import quantise
from i2i.kinds import Batch, Direction, ImageSpec, PairSpec
from i2i.runtime import Runtime
from i2i.seeds import seeded

Translate = Callable[[Tensor], Tensor]


def as_saved(image: Tensor, spec: ImageSpec) -> Tensor:
    """Return images in [-1,1] as a reader of the saved file finds them, float32 in [0,1]."""
    stored = quantise(image, spec).to(torch.float32)
    return (stored - spec.low) / (spec.high - spec.low)


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
) -> dict[str, float]:
    """Return every figure of `metrics`, by its name, over all batches.

    Each answer is drawn under a seed of its own, so that two evaluations of the same weights agree;
    metrics with more than one draw see all of them, stacked.
    """
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
        for name, metric in metrics.items():
            fake = torch.stack(answers[: draws[name]]) if draws[name] > 1 else answers[0]
            metric.update(seen, fake, real, batch.ids)
    return {name: value for metric in metrics.values() for name, value in metric.compute().items()}


def copy_input(
    batches: Iterable[Batch],
    metrics: Mapping[str, Any],
    *,
    spec: PairSpec,
    runtime: Runtime,
    seed: int,
    draws: Mapping[str, int],
) -> dict[str, float]:
    """Return what the source itself scores as an answer; empty where its shape is not the target's."""
    source, target = spec.source, spec.target
    if (source.channels, source.size) != (target.channels, target.size):
        return {}
    return evaluate(lambda image: image, batches, metrics, spec=spec, runtime=runtime, seed=seed, draws=draws)


def directions(metrics: Mapping[str, Any]) -> dict[str, Direction]:
    """Return which way each figure is better: "min" or "max"."""
    return {name: way for metric in metrics.values() for name, way in metric.directions.items()}
