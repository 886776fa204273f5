"""What an adversarial loss promises: two scalars over maps of any shape and number, each the right way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from i2i.seeds import seeded
from i2i.testing import samples
from i2i.testing.checks.losses import cost, require_same, scalar
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject

SIDES = ("generator", "discriminator")
SHAPES = ((2, 1, 6, 5), (2, 1, 32, 32), (2, 1), (2,))
"""Maps of patches, of pixels, and of the whole image."""


@check("both-sides", "adversarial-loss", needs=["works", *MANNERS])
def both_sides(subject: Subject) -> None:
    """Each side returns one finite number, with a gradient to the logits that it can change."""
    loss = subject.build()
    for side in SIDES:
        fake, real = (_wanting(samples.logits(seed=seed)) for seed in (0, 5))
        value = scalar(_play(loss, side, fake, real), f"its {side}()")
        require(
            value.requires_grad,
            f"no gradient comes with what its {side}() returns: take detach, item or no_grad out of it",
        )
        value.backward()  # type: ignore[no-untyped-call]
        changeable = fake if side == "generator" else [*fake, *real]
        require(
            all(logits.grad is not None and logits.grad.isfinite().all() for logits in changeable),
            f"its {side}() leaves a map of logits without a finite gradient: let each map count",
        )


@check("any-map", "adversarial-loss", needs=["both-sides"])
def any_map(subject: Subject) -> None:
    """It takes maps of pixels, of patches and of whole images, alone and together."""
    loss = subject.build()
    maps = [torch.randn(shape, generator=samples.generator(number)) for number, shape in enumerate(SHAPES)]
    for fake in (*([one] for one in maps), maps):
        for side in SIDES:
            shapes = [tuple(one.shape) for one in fake]
            try:
                value = _play(loss, side, fake, [one + 1 for one in fake])
            except Exception as error:
                fail(f"its {side}() raises {told(error)} for maps of {shapes}: take means over whole maps")
            scalar(value, f"its {side}(), for maps of {shapes},")


@check("mean-over-maps", "adversarial-loss", needs=["any-map", "loss-resumes"])
def mean_over_maps(subject: Subject) -> None:
    """Two maps cost the mean of what each costs, whatever their sizes, and a map twice what it costs once."""
    fake, real = samples.logits(seed=0), samples.logits(seed=5, level=1.0)
    for side in SIDES:

        def cost_of(fake: list[Tensor], real: list[Tensor], side: str = side) -> tuple[float, float]:
            return cost(subject, lambda loss: getattr(loss, side)(fake, real))

        (first, off), (second, away) = (cost_of([f], [r]) for f, r in zip(fake, real, strict=True))
        both, near = cost_of(fake, real)
        twice, nearby = cost_of([fake[0]] * 2, [real[0]] * 2)
        advice = f"let {side}() take the mean over each map, then over maps"
        require_same((first + second) / 2, both, advice, within=off + away + near)
        require_same(first, twice, advice, within=off + nearby)


@check("right-direction", "adversarial-loss", needs=["both-sides"])
def right_direction(subject: Subject) -> None:
    """The generator's side falls as fakes pass for real, the discriminator's as the two are told apart."""
    loss = subject.build()
    real = _level(0.0)
    persuaded = [_play(loss, "generator", _level(level), real).item() for level in (-2.0, -1.0, 0.0, 0.5)]
    require(
        _falls(persuaded),
        f"as the logits of fakes rise, its generator() goes {_shown(persuaded)}: it has to fall, check signs "
        "and which side is which",
    )
    margins = (-1.0, -0.5, 0.0, 0.25)
    apart = [_play(loss, "discriminator", _level(-by), _level(by)).item() for by in margins]
    require(
        _falls(apart),
        f"as real logits rise above fake ones, its discriminator() goes {_shown(apart)}: it has to fall, "
        "check signs and which side is which",
    )


@check("learns-when-wrong", "adversarial-loss", needs=["right-direction"])
def learns_when_wrong(subject: Subject) -> None:
    """Where logits are far on the wrong side, 20 from 0, the gradient that leads back does not vanish."""
    for side in SIDES:
        steep, flat = (_pull(subject.build(), side, level) for level in (1.0, 20.0))
        require(
            flat > 1e-3 * steep,
            f"where logits are far on the wrong side, the gradient of its {side}() is {flat:.2g}, and "
            f"nearer by it is {steep:.2g}: give logits to the loss without a sigmoid, and let it grow where "
            "they are wrong",
        )


@check("stable", "adversarial-loss", needs=["both-sides"])
def stable(subject: Subject) -> None:
    """Logits of a thousand, of either sign, give finite numbers and gradients."""
    loss = subject.build()
    for level in (-1000.0, 1000.0):
        for side in SIDES:
            fake, real = (_wanting(samples.logits(level=sign * level)) for sign in (1, -1))
            value = _play(loss, side, fake, real)
            value.backward()
            sound = all(m.grad is None or m.grad.isfinite().all() for m in (*fake, *real))
            require(
                value.isfinite() and sound,
                f"for logits around {level:g} its {side}() is not finite: use softplus or "
                "binary_cross_entropy_with_logits in place of the logarithm of a sigmoid",
            )


@check("float32", "adversarial-loss", needs=["both-sides"])
def float32(subject: Subject) -> None:
    """Logits in bfloat16 cost what the same values cost in float32, and the result is float32."""
    fake, real = ([m.bfloat16() for m in samples.logits(seed=seed, spread=3.0)] for seed in (0, 5))
    for side in SIDES:
        half = scalar(_play(subject.build(), side, fake, real), f"for bfloat16 its {side}()")
        whole = _play(subject.build(), side, [m.float() for m in fake], [m.float() for m in real])
        require(
            half.dtype == torch.float32 and torch.isclose(half, whole, rtol=1e-3, atol=1e-4),
            f"for bfloat16 its {side}() returns {half.item():.6g} as {half.dtype}, for the same values in "
            f"float32 {whole.item():.6g}: turn logits to float32 first, with .float()",
        )


@check("accuracy", "adversarial-loss", needs=["right-direction"])
def accuracy(subject: Subject) -> None:
    """Its accuracy(), if it has one, gives the shares of fake and of real logits on the right side."""
    loss = subject.build()
    if not hasattr(loss, "accuracy"):
        return
    for by, expected in ((2.0, (1.0, 1.0)), (-2.0, (0.0, 0.0))):
        found = loss.accuracy(_level(-by), _level(by))
        require(
            isinstance(found, tuple) and len(found) == 2,
            f"its accuracy() returns {type(found).__name__}: return two scalars, of fake and of real logits",
        )
        shares = tuple(scalar(share, "its accuracy()").item() for share in found)
        require(
            shares == expected,
            f"where real logits lie {2 * by:g} above fake ones, its accuracy() is {shares[0]:.3g} of fake "
            f"and {shares[1]:.3g} of real ones: count those that are taken for what they are",
        )


def _pull(loss: Any, side: str, level: float) -> float:
    """Return the size of the gradient where logits are `level` on the wrong side for `side`."""
    wrong = -level if side == "generator" else level
    fake, real = (_wanting(_level(sign * wrong)) for sign in (1, -1))
    _play(loss, side, fake, real).backward()
    return sum(logits.grad.abs().sum().item() for logits in (*fake, *real) if logits.grad is not None)


def _play(loss: Any, side: str, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Any:
    with seeded(0, "loss"):
        return getattr(loss, side)(fake, real)


def _level(level: float) -> list[Tensor]:
    return samples.logits(level=level, spread=0.01)


def _wanting(maps: list[Tensor]) -> list[Tensor]:
    return [logits.requires_grad_(True) for logits in maps]


def _falls(values: Sequence[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(values))


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


CHECKS = (both_sides, any_map, mean_over_maps, right_direction, learns_when_wrong, stable, float32, accuracy)
