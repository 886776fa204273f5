"""What a transform promises that changes what pairs are, or that asks for another pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from i2i.kind_table import asks_another, changes_spec
from i2i.kinds import Pair, PairSpec, Side
from i2i.testing import samples
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.uses import partner, transformed

SIDES: tuple[Side, Side] = ("source", "target")

SEEDS = range(16)
"""Several draws, as a transform may do nothing in one of them."""


@check("spec-kept", "transform", needs=["works", "places", *MANNERS, "random-state-untouched"])
def spec_kept(subject: Subject) -> None:
    """Where it changes what pairs are, it makes what its `spec` says, and each side from that side alone."""
    if not changes_spec(subject.factory):
        return
    transform, pair = subject.build(), samples.pair()
    try:
        after = transform.spec(pair.spec)
    except Exception as error:
        fail(f"of pairs of pictures its spec() raises {told(error)}: return the spec of what it makes")
    require(
        isinstance(after, PairSpec),
        f"its spec() returns a {type(after).__name__}: return the PairSpec, changed",
    )
    size = (pair.target.shape[-2], pair.target.shape[-1])
    for seed in SEEDS:
        out = transformed(transform, pair, seed=seed, size=size)
        require(isinstance(out, Pair), f"it returns a {type(out).__name__}: return the pair, changed")
        for side in SIDES:
            image, said = getattr(out, side), after.side(side)
            require(
                isinstance(image, Tensor) and image.dtype == torch.float32,
                f"it makes the {side} no tensor of float32",
            )
            require(
                image.shape == (said.channels, *size),
                f"it makes the {side} {tuple(image.shape)}, and its spec() says {said.channels} channels: "
                "let both say the same, and keep height and width",
            )
            require(
                image.isfinite().all() and image.abs().max() <= 1.0001,
                f"it makes values of the {side} up to {image.abs().max().item():.3g}: clamp them to [-1,1]",
            )
        for side, other in (SIDES, SIDES[::-1]):
            away = replace(pair, **{other: getattr(pair, other).flip(-1)})
            again = transformed(transform, away, seed=seed, size=size)
            require(
                torch.equal(getattr(out, side), getattr(again, side)),
                f"the {side} that it makes depends on the {other}, which is not there when a picture is "
                f"translated: make it from the {side} alone",
            )


@check("another-kept", "transform", needs=["works", "places", *MANNERS, "random-state-untouched"])
def another_kept(subject: Subject) -> None:
    """Where it asks for another pair, it takes one sometimes, and leaves it as it is."""
    transform: Any = subject.build()
    if not asks_another(transform):
        return
    pair = samples.pair()
    given: list[Pair] = []

    def another() -> Pair:
        given.append(partner(pair))
        return given[-1]

    for seed in SEEDS:
        transform(pair, size=(32, 40), rng=samples.generator(seed), another=another)
    require(given, "it asks for `another` pair, and takes none in 16 draws: call another(), or take it out")
    untouched = partner(pair)
    require(
        all(
            torch.equal(found.source, untouched.source) and torch.equal(found.target, untouched.target)
            for found in given
        ),
        "it changes the pair that another() returns in place, which others of the batch are made from: build "
        "new tensors",
    )


CHECKS = (spec_kept, another_kept)
