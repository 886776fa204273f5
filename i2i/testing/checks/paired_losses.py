"""What a loss between two images promises: a scalar that is least where they are equal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import Subject
from i2i.testing.uses import images_for, two_images

AMOUNTS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""How much noise is laid over the truth, from none to a lot."""


def scalar(value: Any, what: str = "it") -> Tensor:
    """Return `value` if it is a finite scalar tensor; end the check if it is not."""
    if not isinstance(value, Tensor):
        fail(f"{what} returns a {type(value).__name__}: return a tensor without dimensions, on its graph")
    require(
        value.dim() == 0,
        f"{what} returns a tensor of shape {tuple(value.shape)}: take the mean over it",
    )
    require(
        value.isfinite(),
        f"{what} returns {value.item()}: look for logarithms, roots and divisions at 0",
    )
    return value


@check("scalar", "paired-loss", needs=["works"])
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
    require(
        fake.grad is not None and fake.grad.isfinite().all() and fake.grad.abs().sum() > 0,
        "the gradient at the fake is nothing or not finite: let it depend on every pixel smoothly",
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


@check("gradient-at-equality", "paired-loss", needs=["scalar"])
def gradient_at_equality(subject: Subject) -> None:
    """Where fake and real are equal its gradient is finite too."""
    loss = subject.build()
    real = images_for(loss)
    fake = real.clone().requires_grad_(True)
    _call(loss, fake, real).backward()
    require(
        fake.grad is not None and fake.grad.isfinite().all(),
        "where both images are equal its gradient is not finite: add a small number under the root",
    )


@check("mean-over-batch", "paired-loss", needs=["scalar"])
def mean_over_batch(subject: Subject) -> None:
    """A batch that holds each image twice costs as much as the batch."""
    loss = subject.build()
    fake, real = two_images(loss)
    once = _call(loss, fake, real).item()
    twice = _call(loss, torch.cat([fake, fake]), torch.cat([real, real])).item()
    require_same(
        once, twice, "it grows with the batch: take the mean over images, so that a weight means the same"
    )


@check("half-precision", "paired-loss", needs=["scalar"])
def half_precision(subject: Subject) -> None:
    """Images in bfloat16 cost about what they cost in float32, and the result is float32."""
    loss = subject.build()
    fake, real = (image.detach().bfloat16() for image in two_images(loss))
    whole = _call(loss, fake.float(), real.float())
    with torch.autocast("cpu", torch.bfloat16):
        half = scalar(_call(loss, fake, real), "under bfloat16 it")
    require(
        half.dtype == torch.float32,
        f"under bfloat16 it returns {half.dtype}: turn its inputs to float32 first, with .float()",
    )
    require(
        torch.isclose(half, whole, rtol=0.05, atol=1e-3),
        f"under bfloat16 the same images cost {half.item():.4g} rather than {whole.item():.4g}: compute it "
        "in float32",
    )


def require_same(one: float, other: float, sentence: str) -> None:
    """End the check with `sentence` where two costs differ by more than rounding."""
    require(abs(one - other) <= 1e-4 * max(1.0, abs(one)), f"{one:.4g} becomes {other:.4g}: {sentence}")


def _costs(subject: Subject) -> list[float]:
    """Return what more and more noise over the truth costs."""
    loss = subject.build()
    real = images_for(loss, count=4) * 0.5
    noise = samples.noise(real, seed=7)
    return [_call(loss, real + amount * noise, real).item() for amount in AMOUNTS]


def _call(loss: Callable[..., Any], fake: Tensor, real: Tensor) -> Any:
    with seeded(0, "loss"):
        return loss(fake, real)


CHECKS = (
    scalar_of_images,
    minimal_at_equality,
    monotone,
    gradient_at_equality,
    mean_over_batch,
    half_precision,
)
