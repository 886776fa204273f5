"""From a budget to the steps of each variant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from i2i.bench.benchmark_file import SecondsAsSteps, SecondsEach, State
from i2i.bench.definition import Budget


def settled(budget: Budget, state: State, *, baseline: str, trainings: Mapping[str, str]) -> State:
    """Return `state` with a budget of seconds turned into steps, once: times are others at every trial.

    `trainings` are the keys of what the variants are trained by, which those that share a training have in
    common. Where the budget is in another unit, what the state holds stays.
    """
    if budget.seconds is not None:
        return replace(state, seconds=_of_the_baseline(budget.seconds, state, baseline))
    if budget.each_seconds is not None:
        return replace(state, seconds_each=_of_each(budget.each_seconds, state, trainings))
    return state


def _of_the_baseline(seconds: float, state: State, baseline: str) -> SecondsAsSteps:
    asked, kept = (seconds, state.tried[baseline]), state.seconds
    if kept is not None and (kept.seconds, kept.baseline) == asked:
        return kept
    return SecondsAsSteps(*asked, steps=_within(seconds, state.rehearsals[baseline].step_seconds))


def _of_each(seconds: float, state: State, trainings: Mapping[str, str]) -> SecondsEach:
    kept = state.seconds_each
    steps = dict(kept.steps) if kept is not None and kept.seconds == seconds else {}
    for variant, training in trainings.items():
        if training not in steps:
            steps[training] = _within(seconds, state.rehearsals[variant].step_seconds)
    return SecondsEach(seconds, steps)


def _within(seconds: float, step_seconds: float) -> int:
    return max(1, int(seconds / step_seconds))


def steps_of(budget: Budget, state: State, trainings: Mapping[str, str]) -> dict[str, int]:
    """Return the steps that each variant is trained for."""
    lengths = {}
    for name, found in state.rehearsals.items():
        if budget.seconds is not None and state.seconds is not None:
            lengths[name] = state.seconds.steps
        elif budget.each_seconds is not None and state.seconds_each is not None:
            lengths[name] = state.seconds_each.steps[trainings[name]]
        elif budget.steps is not None:
            lengths[name] = budget.steps
        elif budget.epochs is not None:
            lengths[name] = math.ceil(budget.epochs * found.steps_per_epoch)
        elif budget.images is not None:
            lengths[name] = -(-budget.images // found.images_per_step)
        else:
            lengths[name] = found.total_steps
    return lengths
