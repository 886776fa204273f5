"""What a metric promises: figures that do not depend on batches, and are best where nothing is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from i2i.engine.scoring import definition
from i2i.errors import I2IError
from i2i.testing import samples
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.uses import Scored, drawn, made_metric, scored


@check("directions", "metric", needs=["works", *MANNERS, "random-state-untouched"])
def directions(subject: Subject) -> None:
    """`directions` says of its figures whether less or more is better, and its meaning is told."""
    metric = subject.shared
    found = getattr(metric, "directions", None)
    require(
        isinstance(found, Mapping) and found and all(way in ("min", "max") for way in found.values()),
        f"its `directions` is {found!r}: map the name of each figure to 'min' or 'max'",
    )
    require(
        definition(metric),
        "nothing says what its figures mean: give its class a docstring, or an attribute `definition`",
    )


@check("figures", "metric", needs=["directions"])
def figures(subject: Subject) -> None:
    """compute() gives the same number for each direction again and again; update() none, or one an image."""
    metric = made_metric(subject)
    inputs = scored(subject, metric)
    own = metric.update(*inputs)
    found = metric.compute()
    require(
        isinstance(found, Mapping) and all(isinstance(name, str) for name in found),
        f"compute() returns a {type(found).__name__}: return a mapping from names to numbers",
    )
    for name, value in found.items():
        require(
            isinstance(value, (int, float)) and not isinstance(value, bool),
            f"its figure '{name}' is a {type(value).__name__}: return a plain number, with .item()",
        )
    try:
        again = metric.compute()
    except Exception as error:
        fail(f"asked again, compute() raises {told(error)}: leave to reset() what was collected")
    require(
        found.keys() == again.keys() and all(_same(again[name], value) for name, value in found.items()),
        "asked again, compute() gives other figures: change nothing there, and leave to reset() what was "
        "collected",
    )
    missing = sorted(metric.directions.keys() - found.keys())
    require(
        not missing,
        f"compute() gives no '{', '.join(missing)}', which `directions` names: it gives {', '.join(found)}",
    )
    require(
        own is None or isinstance(own, Mapping),
        f"update() returns a {type(own).__name__}: return None, or a mapping from names to one value an "
        "image",
    )
    _one_an_image(own, len(inputs[3]), "update()")
    for name in own or {}:
        require(name in found, f"update() gives '{name}', which compute() does not: use one name for both")


@check("batches-like-one", "metric", needs=["figures"])
def batches_like_one(subject: Subject) -> None:
    """Images in batches of any size score what they score at once."""
    metric = made_metric(subject)
    inputs = scored(subject, metric)
    whole = _score(metric, inputs)
    for sizes in ((2, 3), (1, 1, 1, 1, 1)):
        parts = _score(metric, inputs, sizes)
        for name, value in whole.items():
            require(
                _same(parts[name], value),
                f"'{name}' is {value:.6g} for 5 images at once and {parts[name]:.6g} in batches of "
                f"{' and '.join(map(str, sizes))}: sum over images and divide by their number in compute()",
            )


@check("reset", "metric", needs=["batches-like-one"])
def reset(subject: Subject) -> None:
    """After reset() it knows nothing of what it saw before."""
    metric = made_metric(subject)
    inputs = scored(subject, metric)
    first = _score(metric, inputs)
    metric.reset()
    source, fake, real, ids = inputs
    metric.update(source, 1 - fake, real, ids)
    again = _score(metric, inputs)
    for name, value in first.items():
        require(
            _same(again[name], value),
            f"'{name}' is {value:.6g} the first time and {again[name]:.6g} after other images and a reset(): "
            "forget everything there but what prepare() learnt",
        )


@check("best-at-perfect", "metric", needs=["figures"])
def best_at_perfect(subject: Subject) -> None:
    """A perfect translation scores at least as well as a worse one, by each direction."""
    metric = made_metric(subject)
    source, fake, real, ids = scored(subject, metric)
    perfect, worse = real.expand_as(fake).clone(), drawn(subject, real, 0.4)
    best_of, *others = (_score(metric, (source, image, real, ids)) for image in (perfect, fake, worse))
    for name, way in metric.directions.items():
        best, found = best_of[name], [other[name] for other in others]
        require(
            math.isfinite(best),
            f"'{name}' is {best:.4g} where fake and real are equal: keep what is divided by, or of which a "
            "logarithm is taken, away from 0",
        )
        sound = best <= min(found) + 1e-6 if way == "min" else best >= max(found) - 1e-6
        require(
            sound,
            f"'{name}' is {best:.4g} where fake and real are equal and {found[0]:.4g} and {found[1]:.4g} "
            f"with noise, and `directions` says '{way}': turn it round, or leave out a figure that has no "
            "better",
        )


@check("looks-at-fakes", "metric", needs=["figures"])
def looks_at_fakes(subject: Subject) -> None:
    """It scores noise, and a negative, otherwise than a perfect translation."""
    metric = made_metric(subject)
    source, fake, real, ids = scored(subject, metric)
    shown = (real.expand_as(fake).clone(), 1 - real.expand_as(fake), drawn(subject, real, 1.0))
    perfect, *others = (_score(metric, (source, image, real, ids)) for image in shown)
    require(
        any(not _same(perfect[name], other[name]) for other in others for name in metric.directions),
        "it scores noise and a negative like a perfect translation: compare `fake`, the second that update "
        "is given, with `real`",
    )


@check("several-draws", "metric", needs=["figures"])
def several_draws(subject: Subject) -> None:
    """Given several answers to each source, (draws,B,C,H,W), it scores them, or says in words why not."""
    metric = made_metric(subject)
    source, _, real, ids = scored(subject, metric)
    draws = torch.stack([real, (real + 0.1 * samples.noise(real, seed=4)).clamp(0, 1)])
    metric.reset()
    try:
        own = metric.update(source, draws, real, ids)
        found = metric.compute()
    except I2IError:
        return
    except Exception as error:
        fail(
            f"of two draws it raises {told(error)}: take `fake` as (draws,B,C,H,W) too, or raise "
            "i2i.errors.RecipeError with a sentence"
        )
    _one_an_image(own, len(ids), "of two draws update()")
    require(
        metric.directions.keys() <= found.keys(),
        "of two draws it gives other figures: give the same ones, say as means over draws",
    )


def _one_an_image(own: Mapping[str, Any] | None, images: int, what: str) -> None:
    for name, values in (own or {}).items():
        require(
            isinstance(values, Tensor) and tuple(values.shape) == (images,),
            f"{what} gives '{name}' as {_told(values)} for {images} images: give one value an image",
        )
        require(
            not values.requires_grad,
            f"{what} gives '{name}' with a graph, and keeps its memory: leave gradients off",
        )


def _score(metric: Any, inputs: Scored, sizes: tuple[int, ...] = (5,)) -> Mapping[str, float]:
    """Return the figures of images that come in batches of `sizes`."""
    source, fake, real, ids = inputs
    metric.reset()
    start = 0
    with torch.no_grad():
        for size in sizes:
            cut = slice(start, start + size)
            shown = fake[:, cut] if fake.dim() == 5 else fake[cut]
            metric.update(source[cut], shown, real[cut], ids[cut])
            start += size
        found: Mapping[str, float] = metric.compute()
    return found


def _same(one: float, other: float) -> bool:
    both_nan = math.isnan(one) and math.isnan(other)
    return both_nan or math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)


def _told(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


CHECKS = (directions, figures, batches_like_one, reset, best_at_perfect, looks_at_fakes, several_draws)
