"""Transforms of whole batches: on the device before a step, and between images and discriminators.

A transform knows pairs, so a batch is taken apart, each pair is transformed with a generator of its own, and
what comes out is stacked again. Nothing here runs in a worker process: that is `stream`'s part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2i.errors import PluginError, RecipeError, described
from i2i.images.resizing import resize, resize_side
from i2i.kind_table import asks_another
from i2i.kinds import DiscriminatorSlot, Pair, PairSpec, Transform
from i2i.seeds import generator_for

Sides = tuple[Tensor, Tensor]
"""Sources and targets (B,C,H,W), or the condition and the image that discriminators see."""


def apply(
    name: str,
    transform: Transform,
    pair: Pair,
    *,
    size: tuple[int, int],
    rng: torch.Generator,
    another: Callable[[], Pair] | None = None,
    after: PairSpec | None = None,
) -> Pair:
    """Return what the transform in the table `name` makes of a pair; PluginError where that is no pair.

    It is given the function `another` where it asks for that. `after` is what a transform that changes the
    channels says that it makes.
    """
    asked: dict[str, Any] = {} if another is None else {"another": another}
    made = transform(pair, size=size, rng=rng, **asked)
    if not isinstance(made, Pair):
        raise PluginError(
            f"transforms.{name}: it returned a {type(made).__name__}, and has to return the pair, as by "
            "dataclasses.replace(pair, source=..., target=...)."
        )
    for side in ("source", "target"):
        before, image = getattr(pair, side), getattr(made, side)
        channels = before.shape[0] if after is None else getattr(after, side).channels
        if not isinstance(image, Tensor) or image.dtype != before.dtype or image.shape[:-2] != (channels,):
            shape = (
                f"{tuple(image.shape)} of {image.dtype}"
                if isinstance(image, Tensor)
                else type(image).__name__
            )
            keeps = "keep" if after is None else "make, as its spec() says,"
            raise PluginError(
                f"transforms.{name}: it made the {side} {shape}, and has to {keeps} {channels} channels "
                f"(C,H,W) of {before.dtype}."
            )
    _check_fields(name, pair, made)
    return made


def _check_fields(name: str, pair: Pair, made: Pair) -> None:
    """Raise PluginError where a transform has lost a field, or moved the target and not the field with it."""
    if made.extra.keys() != pair.extra.keys():
        raise PluginError(f"transforms.{name}: it lost or added a field of pair.extra: return each of them.")
    for field, after in made.extra.items():
        before = pair.extra[field]
        wanted = (before.shape[0], *made.target.shape[-2:])
        if not isinstance(after, Tensor) or after.dtype != before.dtype or tuple(after.shape) != wanted:
            raise PluginError(
                f"transforms.{name}: it left '{field}' of pair.extra {described(after)} beside a target of "
                f"{tuple(made.target.shape)}: move it as the target, by nearest neighbour."
            )


def transformed(
    source: Tensor,
    target: Tensor,
    spec: PairSpec,
    transforms: Mapping[str, Transform],
    rng: Callable[[str, int], torch.Generator],
    *,
    extra: Mapping[str, Tensor] = {},
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return both sides of a batch transformed, in float32, with `extra` images, all at the sizes they had.

    `rng` is asked for the generator of a transform's name and a place in the batch. A transform that asks for
    another pair gets another of the batch; RecipeError where that holds one pair alone.
    """
    pairs = [
        Pair(*sides, spec, {name: images[place] for name, images in extra.items()})
        for place, sides in enumerate(zip(source.float(), target.float(), strict=True))
    ]
    for name, transform in transforms.items():
        before, asks = pairs, asks_another(transform)
        pairs = []
        for place, pair in enumerate(before):
            drawn = rng(name, place)
            others = partial(_another, name, before, place, drawn) if asks else None
            pairs.append(apply(name, transform, pair, size=_size(target), rng=drawn, another=others))
    sources = [resize_side(pair.source, _size(source), spec.source) for pair in pairs]
    targets = [resize_side(pair.target, _size(target), spec.target) for pair in pairs]
    moved = {
        name: torch.stack([resize(pair.extra[name], _size(target), labels=True) for pair in pairs])
        for name in extra
    }
    return torch.stack(sources), torch.stack(targets), moved


def other_than(place: int, count: int, rng: torch.Generator) -> int:
    """Draw one of `count` places, another than `place` where there is one."""
    if count < 2:
        return place
    drawn = int(torch.randint(count - 1, (), generator=rng, device=rng.device))
    return drawn + (drawn >= place)


def like(pair: Pair, wanted: Pair) -> Pair:
    """Return a pair brought to the size that both sides of another have."""
    spec = pair.spec
    return replace(
        pair,
        source=resize_side(pair.source, _size(wanted.source), spec.source),
        target=resize_side(pair.target, _size(wanted.target), spec.target),
        extra={name: resize(field, _size(wanted.target), labels=True) for name, field in pair.extra.items()},
    )


def _another(name: str, pairs: Sequence[Pair], place: int, rng: torch.Generator) -> Pair:
    """Return another pair of a batch, drawn by `rng`, as it is before the transform in the table `name`."""
    if len(pairs) < 2:
        raise RecipeError(
            f"transforms.{name}: it takes another pair of the batch, and this one holds a single pair: set "
            'data.batch_size to 2 or more, or at = "loading".'
        )
    return like(pairs[other_than(place, len(pairs), rng)], pairs[place])


@dataclass(frozen=True)
class Augmentation:
    """What stands between images and discriminators: the recipe's transforms at "judging", in its order.

    Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv 2006.10738),
    section 3: real and fake images go through the same augmentation, in the discriminators' step and in the
    generators', so that a discriminator cannot learn few real images by heart, and no generator is taught to
    draw augmented ones.
    """

    transforms: Mapping[str, Transform]
    spec: PairSpec

    def drawn(
        self, rng: torch.Generator, *, role: DiscriminatorSlot | None = None
    ) -> Callable[[Tensor, Tensor | None], Sides]:
        """Draw one augmentation for a batch, and return it as a function of images and what is beside them.

        It takes the image (B,C,H,W) first and the condition second, and returns both augmented, in float32;
        a place in the batch is treated alike each time. `role` says which sides these are, the target beside
        its source unless told otherwise; without a condition, None stands for it and the image comes back
        twice. Without transforms the very same tensors come back and nothing is drawn.

        Raises RecipeError where a transform lets no gradient through to the image.
        """
        if not self.transforms:
            return lambda image, condition: (image, image if condition is None else condition)
        seed = int(torch.randint(2**62, (), generator=rng))
        role = role or DiscriminatorSlot()
        beside_it = self.spec.side(role.condition or role.judges)
        spec = PairSpec(beside_it, self.spec.side(role.judges), self.spec.aligned)

        def augment(image: Tensor, condition: Tensor | None) -> Sides:
            beside = image if condition is None else condition
            # Blurs and warps are convolutions and products, which autocast would take in half precision.
            with torch.autocast(image.device.type, enabled=False):
                beside, shown, _ = transformed(
                    beside, image, spec, self.transforms, lambda name, place: generator_for(seed, name, place)
                )
            if image.requires_grad and torch.is_grad_enabled() and not shown.requires_grad:
                names = ", ".join(f"transforms.{name}" for name in self.transforms)
                raise RecipeError(
                    f'{names}: no gradient comes through to the image, so at = "judging" would leave a '
                    'generator nothing to learn from: set at = "loading", or take another transform.'
                )
            return shown, beside

        return augment


def _size(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return height, width
