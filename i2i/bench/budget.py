"""From a budget to the steps of each variant."""

from __future__ import annotations

import math

from i2i.bench.benchmark_file import SecondsAsSteps, State
from i2i.bench.definition import Budget


def seconds_as_steps(budget: Budget, state: State, baseline: str) -> SecondsAsSteps | None:
    """Turn a budget of seconds into steps of the baseline, once: its time is another at every trial.

    Where the budget is in another unit, what `state` holds stays.
    """
    if budget.seconds is None:
        return state.seconds
    asked, kept = (budget.seconds, state.tried[baseline]), state.seconds
    if kept is not None and (kept.seconds, kept.baseline) == asked:
        return kept
    return SecondsAsSteps(*asked, steps=max(1, int(budget.seconds / state.rehearsals[baseline].step_seconds)))


def steps_of(budget: Budget, state: State) -> dict[str, int]:
    """Return the steps that each variant is trained for."""
    lengths = {}
    for name, found in state.rehearsals.items():
        if budget.seconds is not None and state.seconds is not None:
            lengths[name] = state.seconds.steps
        elif budget.steps is not None:
            lengths[name] = budget.steps
        elif budget.epochs is not None:
            lengths[name] = math.ceil(budget.epochs * found.steps_per_epoch)
        elif budget.images is not None:
            lengths[name] = -(-budget.images // found.images_per_step)
        else:
            lengths[name] = found.total_steps
    return lengths
