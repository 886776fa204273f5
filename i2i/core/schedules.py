"""Schedules: the factor on the learning rate at a step, counted from 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt


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


class Cosine:
    """Half a cosine from 1 that would reach `end` one step after the last.

    Loshchilov and Hutter 2017 (arXiv 1608.03983), without restarts.

    Args:
        end: factor that the curve leads to.
    """

    def __init__(self, *, total_steps: int, end: Annotated[float, Ge(0)] = 0.0) -> None:
        self.total_steps = total_steps
        self.end = end

    def __call__(self, step: int, /) -> float:
        """Return the factor at `step`; from `total_steps` on it is `end`."""
        behind = min(step / self.total_steps, 1.0)
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * behind))


class Step:
    """Multiplied by `factor` again and again, each time the same stretch of training is done.

    Args:
        every: length of that stretch.
        unit: what `every` counts: shares of the whole run, or epochs.
        factor: what the learning rate is multiplied by.
    """

    def __init__(
        self,
        *,
        total_steps: int,
        steps_per_epoch: int,
        every: Annotated[float, Gt(0)] = 0.25,
        unit: Literal["run", "epochs"] = "run",
        factor: Annotated[float, Gt(0)] = 0.5,
    ) -> None:
        if unit == "run" and every >= 1:
            raise ValueError(
                f"every = {every:g} is no part of the run: give a share such as 0.25, or set unit = 'epochs'"
            )
        self.every = max(1, round(every * (total_steps if unit == "run" else steps_per_epoch)))
        self.factor = factor

    def __call__(self, step: int, /) -> float:
        """Return the factor at `step`."""
        return float(self.factor ** (step // self.every))


class Plateau:
    """Multiplied by `factor` whenever a figure has not improved for `patience` validations.

    Args:
        metric: the figure that is watched, as validations name it.
        direction: whether a smaller ("min") or a larger ("max") figure is better.
        patience: validations without a new best after which the factor is applied.
        factor: what the learning rate is multiplied by.
    """

    requires: ClassVar[Mapping[str, str]] = {
        "metric": "core/plateau watches a figure, and the recipe has no metric: add one as [metrics.NAME]"
    }

    def __init__(
        self,
        *,
        metric: str,
        direction: Literal["min", "max"] = "min",
        patience: Annotated[int, Ge(1)] = 5,
        factor: Annotated[float, Gt(0), Lt(1)] = 0.5,
    ) -> None:
        self.watches = metric
        self.direction = direction
        self.patience = patience
        self.factor = factor
        self.best: float | None = None
        self.waited = 0
        self.cuts = 0

    def __call__(self, _step: int, /) -> float:
        """Return the factor that the figures so far have led to."""
        return float(self.factor**self.cuts)

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take note of one validation; a figure that is not a number is no improvement."""
        value = metrics[self.watches]
        if not math.isnan(value) and (self.best is None or self._better(value, self.best)):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.cuts, self.waited = self.cuts + 1, 0

    def _better(self, value: float, than: float) -> bool:
        return value < than if self.direction == "min" else value > than

    def state_dict(self) -> dict[str, Any]:
        """Return what has been seen so far."""
        return {"best": self.best, "waited": self.waited, "cuts": self.cuts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.waited, self.cuts = state["best"], state["waited"], state["cuts"]
