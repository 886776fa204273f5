"""What a loss between two images promises: a scalar that is least where they are equal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.checks.losses import scalar
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, require
from i2i.testing.subjects import Subject
from i2i.testing.uses import images_for, two_images

AMOUNTS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""How much noise is laid over the truth, from none to a lot."""


@check("scalar", "paired-loss", needs=["works", *MANNERS])
def scalar_of_images(subject: Subject) -> None:
    """It returns one finite number for a batch, with a gradient to the fake."""
    loss = subject.build()
    fake, real = two_images(loss)
    value = scalar(_call(loss, fake, real))
    require(
        value.requires_grad,
        "no gradient comes with what it returns: take detach, item, numpy or no_grad out of it",
    )
    value.backward()  # type: ignore[no-untyped-call]
    slopes = torch.zeros_like(fake) if fake.grad is None else fake.grad
    require(
        slopes.abs().sum() != 0,
        "the gradient at the fake is nothing: let it depend on every pixel smoothly, without rounding",
    )
    require(
        slopes.isfinite().all(),
        "the gradient at the fake is not finite: add a small number under roots, and to what is divided by",
    )
    idle = [number for number, slope in enumerate(slopes, start=1) if not slope.abs().sum() > 0]
    require(
        not idle,
        f"image {', '.join(map(str, idle))} of {len(fake)} gets no gradient: take the mean over all images",
    )


@check("minimal-at-equality", "paired-loss", needs=["scalar"])
def minimal_at_equality(subject: Subject) -> None:
    """It is least where fake and real are equal."""
    costs = _costs(subject)
    require(
        costs[0] <= min(costs[1:]) + 1e-6,
        f"two equal images cost {costs[0]:.4g}, and unequal ones as little as {min(costs):.4g}: a loss is "
        "least where nothing is left to mend",
    )


@check("monotone", "paired-loss", needs=["minimal-at-equality"])
def monotone(subject: Subject) -> None:
    """The more noise there is in the fake, the more it costs."""
    costs = _costs(subject)
    shown = ", ".join(f"{cost:.4g}" for cost in costs)
    require(
        all(more > less for less, more in pairwise(costs)),
        f"with more and more noise it costs {shown}: let it grow with the distance",
    )


def _costs(subject: Subject) -> list[float]:
    """Return what more and more noise over the truth costs."""
    loss = subject.build()
    real = images_for(loss, count=4)
    if "labels" not in getattr(loss, "requires", {}):
        real = real * 0.5  # so that noise is not cut off
    noise = samples.noise(real, seed=7)
    return [_call(loss, (real + amount * noise).clamp(-1, 1), real).item() for amount in AMOUNTS]


def _call(loss: Callable[..., Any], fake: Tensor, real: Tensor) -> Any:
    with seeded(0, "loss"):
        return loss(fake, real)


CHECKS = (scalar_of_images, minimal_at_equality, monotone)
