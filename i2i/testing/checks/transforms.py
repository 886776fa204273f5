"""What a transform promises: a pair stays a pair, and all that is random comes from the given generator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor

from i2i.errors import I2IError
from i2i.kind_table import changes_spec
from i2i.kinds import Pair, Side
from i2i.slot_keys import Place
from i2i.testing import samples
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.uses import others, transformed

PLACES: tuple[str, ...] = get_args(Place)
"""What a recipe can set `at` to."""

SIDES: tuple[Side, Side] = ("source", "target")

SEEDS = range(16)
"""Several draws, as a transform may do nothing in one of them."""


@check("places", "transform", needs=["loads"])
def places(subject: Subject) -> None:
    """Where it says at which `places` it can be applied, these are such as a recipe can set."""
    said = getattr(subject.factory, "places", PLACES)
    sound = isinstance(said, Collection) and not isinstance(said, str) and set(said) <= {*PLACES}
    require(
        sound and said, f"its `places` is {said!r}: make it a tuple of {', '.join(PLACES)}, or leave it out"
    )


@check("pair-kept", "transform", needs=["works", "places", *MANNERS, "random-state-untouched"])
def pair_kept(subject: Subject) -> None:
    """It returns a Pair of the same channels, float32 in [-1,1], with both sides of one size."""
    if changes_spec(subject.factory):
        return  # `spec-kept` looks at what it makes
    transform = subject.build()
    pair = samples.pair()
    for seed in SEEDS:
        out = transformed(transform, pair, seed=seed)
        require(
            isinstance(out, Pair),
            f"it returns a {type(out).__name__}: return dataclasses.replace(pair, source=..., target=...)",
        )
        for name, image in (("source", out.source), ("target", out.target)):
            require(
                isinstance(image, Tensor) and image.dtype == torch.float32 and image.shape[:-2] == (3,),
                f"it makes the {name} {_told(image)}: keep (C,H,W), float32 and the channels",
            )
            require(
                image.isfinite().all() and (image.abs().max() <= 1.0001 or not _trains(subject)),
                f"it makes values of the {name} up to {image.abs().max().item():.3g}: clamp them to [-1,1]",
            )
        require(
            out.source.shape[-2:] == out.target.shape[-2:],
            f"it makes a source of {tuple(out.source.shape)} and a target of {tuple(out.target.shape)}: "
            "resize and cut both sides alike",
        )
        require(out.spec == pair.spec, "it changes the pair's `spec`, which belongs to the data: leave it")
    for what, options in OTHERS.items():
        found = samples.pair(**options)
        shapes = tuple(found.source.shape), tuple(found.target.shape)
        try:
            out = transformed(transform, found)
        except I2IError as error:
            fail(f"{what} it refuses: {error.problems[0].message}")
        except Exception as error:
            fail(f"{what}, {shapes[0]} and {shapes[1]}, it raises {told(error)}: take each side as it comes")
        require(
            (len(out.source), len(out.target)) == (len(found.source), len(found.target)),
            f"{what} it changes the number of channels: take each side as it comes",
        )


OTHERS: Mapping[str, Mapping[str, Any]] = {
    "of sides with 1 and 3 channels": {"channels": (1, 3)},
    "of images that are smaller than `size`": {"size": (24, 30)},
}
"""Other pairs that data may have: how they are called, and how they are made."""


@check("drawn-from-rng", "transform", needs=["pair-kept"])
def drawn_from_rng(subject: Subject) -> None:
    """Generators of one state give the same pair, whatever was done before."""
    transform = subject.build()
    pair = samples.pair()
    first = [transformed(transform, pair, seed=seed) for seed in SEEDS]
    torch.manual_seed(12345)
    again = [transformed(transform, pair, seed=seed) for seed in SEEDS]
    require(
        all(map(_equal, first, again)),
        "the same state of `rng` gives another pair the second time: draw everything from rng, keep no count",
    )
    rng = samples.generator(3)
    transform(pair, size=(32, 40), rng=rng, **others(transform, pair))
    require(
        rng.initial_seed() == 3,
        "it seeds `rng`, so that each pair is changed alike: draw from it as it is",
    )


@check("sides-together", "transform", needs=["pair-kept"])
def sides_together(subject: Subject) -> None:
    """It moves both sides alike, by one draw."""
    if not _trains(subject):
        return  # what it does to an image's values may be for the image alone
    transform = subject.build()
    pair = samples.pair(labels=True)
    for seed in SEEDS:
        out = transformed(transform, pair, seed=seed)
        require(
            torch.equal(out.source, out.target),
            "of two sides that are the same label map it makes different ones: draw once, then move both "
            "sides by it",
        )
    image = samples.pair().source
    for seed in SEEDS:
        out = transformed(transform, Pair(image, image.clone(), samples.pair().spec), seed=seed)
        straight = _likeness(out.source, out.target)
        best, how = max((_likeness(moved, out.target), how) for how, moved in _moved(out.source))
        require(
            best < straight + 0.3,
            f"of an image on both sides it makes two that are alike only once the source is {how}: draw "
            "once, then move both sides by it",
        )


@check("labels-kept", "transform", needs=["sides-together"])
def labels_kept(subject: Subject) -> None:
    """Label maps, on either side or both, are moved by nearest neighbour and never recoloured."""
    if not _trains(subject):
        return  # a discriminator is not told classes, it is shown images
    transform = subject.build()
    for sides in (SIDES, SIDES[:1], SIDES[1:]):
        pair = samples.pair(labels=sides)
        for seed, side in product(SEEDS, sides):
            out = getattr(transformed(transform, pair, seed=seed), side)
            require(
                out.abs().eq(1).all() and (out > 0).sum(dim=0).eq(1).all(),
                f"it makes new values of a label map, or pixels of no class: where spec.{side}.labels is "
                f"set, use nearest neighbour for the {side}, repeat the edge, and change no value",
            )


@check("moves", "transform", needs=["labels-kept"])
def moves(subject: Subject) -> None:
    """Where it says by `moves` whether it moves pixels, it does so, and further fields move along."""
    said = getattr(subject.factory, "moves", None)
    require(
        said is None or isinstance(said, bool),
        f"its `moves` is {said!r}: True where it moves pixels, and pair.extra with them, else False",
    )
    if said is None or not _trains(subject) or changes_spec(subject.factory):
        return
    transform = subject.build()
    labels = samples.pair(labels=True)
    pair = replace(labels, extra={"field": _classes(labels)})
    for seed in SEEDS:
        out = transformed(transform, pair, seed=seed)
        require(
            said or torch.equal(out.target, pair.target),
            "it says moves = False, and moves the pixels of a label map: say moves = True, and move each of "
            "pair.extra as the target, by nearest neighbour",
        )
        field = out.extra.get("field")
        require(
            isinstance(field, Tensor) and field.dtype == torch.int64 and torch.equal(field, _classes(out)),
            "of a target and a field of pair.extra that show the same, it makes different ones: move each "
            "field as the target, by nearest neighbour, and keep its type",
        )


def _classes(pair: Pair) -> Tensor:
    """Return the class of each pixel of a target that is a label map, (1,H,W)."""
    return pair.target.argmax(dim=0, keepdim=True)


@check("label-parts-kept", "transform", needs=["labels-kept"])
def label_parts_kept(subject: Subject) -> None:
    """A label map among the several files of a side is moved by nearest neighbour and never recoloured."""
    if not _trains(subject):
        return
    transform = subject.build()
    for side in SIDES:
        pair = samples.pair_of_parts(side)
        for seed in SEEDS:
            out = transformed(transform, pair, seed=seed)
            seg = getattr(out, side)[out.spec.side(side).channels_of("seg")]
            require(
                seg.abs().eq(1).all() and (seg > 0).sum(dim=0).eq(1).all(),
                f"it makes new values of 'seg', a label map among the files of the {side}: take each file by "
                "itself, as i2i.images.by_file and resize_side do",
            )


@check("target-colours-kept", "transform", needs=["pair-kept"])
def target_colours_kept(subject: Subject) -> None:
    """A target of one colour stays of that colour: photometry is for the source, unless a recipe asks."""
    if not _trains(subject):
        return  # nothing is trained to look like this target
    transform = subject.build()
    pair = samples.pair()
    flat = Pair(pair.source, torch.full_like(pair.target, 0.25), pair.spec)
    for seed in SEEDS:
        out = transformed(transform, flat, seed=seed)
        require(
            torch.allclose(out.target, torch.tensor(0.25), atol=1e-4),
            "it changes a target of one colour: change colours of the source alone by default, and fill what "
            "comes in from outside with the edge",
        )


@check("differentiable", "transform", needs=["pair-kept"])
def differentiable(subject: Subject) -> None:
    """Where it can be applied at "judging", a gradient comes through to the image."""
    if "judging" not in _places(subject):
        return
    transform = subject.build()
    pair = samples.pair()
    for seed in SEEDS:
        image = pair.target.clone().requires_grad_(True)
        out = transformed(transform, replace(pair, target=image), seed=seed).target
        require(
            out.requires_grad,
            "no gradient comes through to the image: compute with torch's functions on pair.target, or say "
            'places = ("loading", "device")',
        )
        (slope,) = torch.autograd.grad(out.square().sum(), image, allow_unused=True)
        require(
            slope is not None and slope.isfinite().all() and slope.abs().max() > 0,
            "the gradient that comes to the image is 0, or not finite: compute with torch's functions "
            'on pair.target, or say places = ("loading", "device")',
        )


@check("on-device", "transform", needs=["pair-kept"])
def on_device(subject: Subject) -> None:
    """Where it can be applied on the device, it works with images that are elsewhere than `rng`."""
    if not {"device", "judging"} & _places(subject):
        return
    transform = subject.build()
    pair = samples.pair()
    # A device that every machine has, and that refuses to mix with the processor's memory as a GPU does.
    away = replace(pair, source=pair.source.to("meta"), target=pair.target.to("meta"))
    for seed in SEEDS:
        try:
            out = transformed(transform, away, seed=seed)
        except Exception as error:
            fail(
                f"with images on another device it raises {told(error)}: move what is drawn to "
                'pair.target.device and read no pixel into Python, or say places = ("loading",)'
            )
        require(
            out.source.is_meta and out.target.is_meta,
            'it moves images off their device: leave them where they are, or say places = ("loading",)',
        )


def _places(subject: Subject) -> set[str]:
    usual = PLACES[:1] if changes_spec(subject.factory) else PLACES
    return set(getattr(subject.factory, "places", usual))


def _trains(subject: Subject) -> bool:
    """Whether its pairs are trained on as they are, so that its targets are what a network is to learn."""
    return bool({"loading", "device"} & _places(subject)) and not changes_spec(subject.factory)


def _moved(image: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield an image as it is after each of some moves, and how it was moved."""
    yield "mirrored", image.flip(-1)
    yield "turned upside down", image.flip(-2)
    yield "turned by half", image.flip(-1, -2)
    for by, dim in product((-8, -4, -2, 2, 4, 8), (-1, -2)):
        yield f"shifted by {abs(by)} pixels", image.roll(by, dim)


def _likeness(one: Tensor, other: Tensor) -> float:
    """Return how far two images go together, from 0 to 1, whatever their colours."""
    grey = torch.stack([image.mean(dim=0).flatten() for image in (one, other)])
    found = torch.corrcoef(grey)[0, 1].abs().item()
    return found if found == found else 0.0


def _equal(one: Pair, other: Pair) -> bool:
    return torch.equal(one.source, other.source) and torch.equal(one.target, other.target)


def _told(image: object) -> str:
    if isinstance(image, Tensor):
        return f"a tensor of shape {tuple(image.shape)} and {image.dtype}"
    return f"a {type(image).__name__}"


CHECKS = (
    places,
    pair_kept,
    drawn_from_rng,
    sides_together,
    labels_kept,
    moves,
    target_colours_kept,
    label_parts_kept,
    differentiable,
    on_device,
)
