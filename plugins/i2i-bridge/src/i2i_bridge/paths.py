"""What a bridge and a flow have in common: a path to the target, from time 1 to 0, and guesses of its end.

The network is shown a point of the path beside the source, and the time, and guesses the target. In training
the point is made of the true target; a translation starts at time 1 and goes where the guesses lead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from i2i.context import Objective, Run
from i2i.kinds import Batch
from i2i.networks import Losses
from i2i.slot_keys import AtTest

Evaluations = Annotated[int, Ge(1), Le(50), AtTest()]
Stochastic = Annotated[float, Ge(0), Le(1), AtTest()]

Guess = Callable[[Tensor, float], Tensor]
"""Takes points (B,C,H,W) of a path and their time, and guesses the targets, (B,C,H,W)."""

Move = Callable[[Tensor, Tensor, float, float], Tensor]
"""Takes points of a path, guesses of the targets, the time and an earlier one; returns the points there."""


def drawn_times(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return a time for each of the images, (B,1,1,1), uniform above 0 and up to 1, on their device."""
    times = 1 - torch.rand((len(images), 1, 1, 1), generator=rng)
    return times.to(images.device)


def drawn_noise(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return normal noise like the images, on their device."""
    return torch.randn(images.shape, generator=rng).to(images.device)


def objective(losses: Losses, guess: Tensor, batch: Batch, run: Run) -> Objective:
    """Return what the network minimises: all losses between its guess and the target, by their weights."""
    terms = losses.of("paired-loss")
    parts = {term.name: term(guess, batch.target, batch=batch, run=run) for term in terms}
    return losses.total(parts), parts


def walked(start: Tensor, guess: Guess, move: Move, *, evaluations: int) -> Tensor:
    """Go from `start` at time 1 to time 0 in equal steps, and return the last guess, within [-1,1].

    Targets lie there, so each guess is brought there before it leads any further.
    """
    point = start
    for left in range(evaluations, 1, -1):
        time, earlier = left / evaluations, (left - 1) / evaluations
        point = move(point, guess(point, time).clamp(-1, 1), time, earlier)
    return guess(point, 1 / evaluations).clamp(-1, 1)
