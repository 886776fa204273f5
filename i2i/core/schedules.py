"""Schedules: the factor on the learning rate at a step, counted from 0."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt


class Constant:
    """The learning rate as it is, all the time."""

    def __call__(self, _step: int, /) -> float:
        return 1.0


class LinearDecay:
    """Constant at first, then on a straight line that would reach `end` one step after the last.

    So with `end` 0 the last step still learns something.

    Args:
        start: share of the run after which the decay begins.
        end: factor that the line leads to.
    """

    def __init__(
        self,
        *,
        total_steps: int,
        start: Annotated[float, Ge(0), Lt(1)] = 0.5,
        end: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        self.total_steps = total_steps
        self.first = start * total_steps
        self.end = end

    def __call__(self, step: int, /) -> float:
        """Return the factor at `step`; from `total_steps` on it is `end`."""
        behind = min(max(step - self.first, 0.0) / (self.total_steps - self.first), 1.0)
        return 1.0 + (self.end - 1.0) * behind
