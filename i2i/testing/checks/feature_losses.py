"""What a loss between features, and a penalty on a discriminator's slope, promise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from i2i.maps import Maps
from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.checks.losses import require_same, scalar
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, require
from i2i.testing.subjects import Subject
from i2i.testing.uses import Judging, penalty_inputs

Features = list[list[Tensor]]


@check("scalar-of-features", "feature-loss", needs=["works", *MANNERS])
def scalar_of_features(subject: Subject) -> None:
    """It returns one finite number for the features of all scales, with a gradient to the fake's."""
    loss = subject.build()
    fake, real = samples.features(seed=0), samples.features(seed=5)
    for scale in fake:
        for tensor in scale:
            tensor.requires_grad_(True)
    value = scalar(_call(loss, fake, real))
    require(
        value.requires_grad,
        "no gradient comes with what it returns: take detach, item or no_grad off the fake's features",
    )
    value.backward()  # type: ignore[no-untyped-call]
    require(
        any(tensor.grad is not None and tensor.grad.abs().sum() > 0 for scale in fake for tensor in scale),
        "no feature of the fake gets a gradient: detach the real ones alone",
    )


@check("least-at-equal-features", "feature-loss", needs=["scalar-of-features"])
def least_at_equal_features(subject: Subject) -> None:
    """It is least where the features are equal, and grows with the distance."""
    loss = subject.build()
    real = samples.features(seed=5)
    costs = [_call(loss, _noisy(real, amount), real).item() for amount in (0.0, 0.1, 0.3, 1.0)]
    shown = ", ".join(f"{cost:.4g}" for cost in costs)
    require(
        all(more > less for less, more in pairwise(costs)),
        f"for equal features, and then with more and more noise, it costs {shown}: let it grow with the "
        "distance",
    )


@check("mean-over-scales", "feature-loss", needs=["scalar-of-features"])
def mean_over_scales(subject: Subject) -> None:
    """A scale twice costs what it costs once, so that a weight means the same for any discriminator."""
    loss = subject.build()
    fake, real = samples.features(seed=0), samples.features(seed=5)
    once = _call(loss, fake[:1], real[:1]).item()
    twice = _call(loss, fake[:1] * 2, real[:1] * 2).item()
    require_same(once, twice, "take the mean over scales, not their sum")


@check("penalty-scalar", "penalty", needs=["works", *MANNERS])
def penalty_scalar(subject: Subject) -> None:
    """It returns one finite number from 0 up, whose gradient alone reaches the discriminator's weights."""
    penalty = subject.build()
    judge, real, fake = penalty_inputs()
    with seeded(0, "penalty"):
        value = scalar(penalty(judge, real, fake))
    require(
        value >= 0,
        f"it returns {value.item():.4g}, which rewards what it is to punish: check its sign",
    )
    require(
        value.requires_grad,
        "no gradient comes with what it returns: ask torch.autograd.grad for create_graph=True",
    )
    require(
        all(parameter.grad is None for parameter in judge.network.parameters()),
        "calling it leaves gradients in the discriminator, which the engine's own are added to: ask "
        "torch.autograd.grad for the slope, never backward()",
    )
    value.backward()  # type: ignore[no-untyped-call]
    learnt = [p.grad for p in judge.network.parameters() if p.grad is not None]
    require(
        any(grad.abs().sum() > 0 for grad in learnt) and all(grad.isfinite().all() for grad in learnt),
        "the discriminator's weights get no gradient, or none that is finite: ask torch.autograd.grad for "
        "create_graph=True",
    )


@check("penalty-any-map", "penalty", needs=["penalty-scalar"])
def penalty_any_map(subject: Subject) -> None:
    """It takes judges of patches, of whole images and of several scales."""
    penalty = subject.build()
    for scales in (1, 2):
        (judge, real, fake), (other, *_) = penalty_inputs(), penalty_inputs()
        whole = _Whole(other.network)

        def shown(image: Tensor, scales: int = scales) -> list[Tensor]:
            return [*whole(image).logits, *judge(image)][:scales]  # noqa: B023 - called before the next turn

        with seeded(0, "penalty"):
            value = scalar(penalty(shown, real, fake), "for another judge it")
        value.backward()  # type: ignore[no-untyped-call]
        for network in (other.network, judge.network)[:scales]:
            require(
                any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters()),
                f"of a judge with {scales} maps it leaves one out: go through all that judge(image) returns",
            )


@check("penalty-at-no-slope", "penalty", needs=["penalty-scalar"])
def penalty_at_no_slope(subject: Subject) -> None:
    """Of a judge that says the same of every image, the penalty and its gradient are finite."""
    penalty = subject.build()
    judge, real, fake = penalty_inputs()
    with torch.no_grad():
        for parameter in judge.network.parameters():
            parameter.zero_()
    with seeded(0, "penalty"):
        value = penalty(judge, real, fake)
    value.backward()
    require(
        value.isfinite()
        and all(p.grad is None or p.grad.isfinite().all() for p in judge.network.parameters()),
        "where the slope is 0 it is not finite, or its gradient is not: add a small number under the root",
    )


@check("penalty-half-precision", "penalty", needs=["penalty-scalar"])
def penalty_half_precision(subject: Subject) -> None:
    """Under autocast to bfloat16 it is finite, and the result is float32."""
    penalty = subject.build()
    judge, real, fake = penalty_inputs()
    with torch.autocast("cpu", torch.bfloat16), seeded(0, "penalty"):
        value = scalar(penalty(judge, real, fake.bfloat16()), "under bfloat16 it")
    require(
        value.dtype == torch.float32,
        f"under bfloat16 it returns {value.dtype}: turn images and logits to float32, outside of autocast",
    )


class _Whole:
    """Judges the whole image by the mean of another judge's map."""

    def __init__(self, network: Any) -> None:
        self._judging = Judging(network)

    def __call__(self, image: Tensor) -> Maps:
        return Maps([logits.mean(dim=(2, 3)) for logits in self._judging(image)])


def _call(loss: Any, fake: Features, real: Features) -> Any:
    with seeded(0, "loss"):
        return loss(fake, real)


def _noisy(features: Features, amount: float) -> Features:
    return [[tensor + amount * samples.noise(tensor, seed=9) for tensor in scale] for scale in features]


CHECKS = (
    scalar_of_features,
    least_at_equal_features,
    mean_over_scales,
    penalty_scalar,
    penalty_any_map,
    penalty_at_no_slope,
    penalty_half_precision,
)
