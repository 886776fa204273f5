"""Transforms that change what pairs are: part of reading a pair, in training as at test, before all others.

A transform says by its method `spec` that it adds or changes channels. It makes each side by itself, and
draws from a generator that the item's id seeds: a picture that is translated has no target, and the network
is to see it as it saw others in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from i2i.augmentation import apply
from i2i.building import components
from i2i.building.blame import Named, Suspect
from i2i.data.stream import as_pair
from i2i.data.views import View
from i2i.errors import PluginError
from i2i.images import normalise
from i2i.images.values import quantise
from i2i.kind_table import changes_spec
from i2i.kinds import Data, Pair, PairSpec, Side, Transform
from i2i.recipe.recipe import Recipe
from i2i.recipe.slots import Slot
from i2i.seeds import generator_for

SIDES: tuple[Side, Side] = ("source", "target")


@dataclass(frozen=True)
class Change:
    """One transform of a recipe, and what pairs are like before and after it."""

    slot: Slot
    transform: Transform
    before: PairSpec
    after: PairSpec

    def made(self, side: Side, image: Tensor, item: str) -> Tensor:
        """Return what it makes of one side (C,H,W) in [-1,1] of the `item` with that id."""
        height, width = image.shape[-2:]
        sides = {s: torch.zeros(self.before.side(s).channels, height, width) for s in SIDES} | {side: image}
        made = apply(
            self.slot.name,
            self.transform,
            Pair(sides["source"], sides["target"], self.before),
            size=(height, width),
            rng=generator_for(0, "change", self.slot.name, item),
            after=self.after,
        )
        changed: Tensor = getattr(made, side)
        if changed.shape[-2:] != image.shape[-2:]:
            raise PluginError(
                f"{self.slot.path}: it made the {side} {changed.shape[-2]}x{changed.shape[-1]} of "
                f"{height}x{width}, and one with a `spec` has to keep the size."
            )
        return changed


@dataclass(frozen=True)
class Changes:
    """The transforms of a recipe that change what pairs are, in its order, from `plain` to `spec`."""

    steps: tuple[Change, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The tables of the transforms: those that are equal make the same of a pair."""
        return tuple(step.slot for step in self.steps)

    @property
    def plain(self) -> PairSpec:
        """What the data set hands out."""
        return self.steps[0].before

    @property
    def spec(self) -> PairSpec:
        """What networks, losses and metrics are given."""
        return self.steps[-1].after

    def stored(self, side: Side, image: Tensor, item: str) -> Tensor:
        """Return one side (C,H,W) in [-1,1] of `plain` as the stored values of `spec`."""
        for step in self.steps:
            image = step.made(side, image, item)
        return quantise(image, self.spec.side(side))

    def side(self, side: Side, image: Tensor, item: str) -> Tensor:
        """Return one side (C,H,W) of `plain` as one of `spec`, both in [-1,1]."""
        return normalise(self.stored(side, image, item), self.spec.side(side))


class Changed(View):
    """A data set whose pairs are changed as they are read; `unchanged_spec` is that of what it shows."""

    def __init__(self, data: Data, changes: Changes) -> None:
        super().__init__(data)
        self._changes = changes
        self.spec, self.unchanged_spec = changes.spec, changes.plain

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        return self._changed(super().__getitem__(index))

    def __getattr__(self, name: str) -> Any:
        if name == "optima" and self.spec.target != self.unchanged_spec.target:
            raise AttributeError(name)  # they are pictures of the target as it was
        return super().__getattr__(name)

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        return self._changed(super()._draw(index, rng))

    def _changed(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        pair = as_pair(item, self.unchanged_spec)
        made: dict[str, Tensor] = {
            side: self._changes.stored(side, getattr(pair, side), item["id"]) for side in SIDES
        }
        return {**item, **made}


def changes_of(recipe: Recipe, spec: PairSpec) -> Changes | None:
    """Return the transforms of `recipe` that change what pairs of `spec` are; None where none does.

    Raises RecipeError, placed in the recipe, where one refuses such pairs.
    """
    steps: list[Change] = []
    for slot in recipe.section("transforms"):
        if not changes_spec(slot.factory):
            continue
        transform = components.make(recipe, slot, spec=spec)
        after = components.spec_after(slot, transform, spec)
        _check(slot, spec, after)
        steps.append(Change(slot, Named(transform, Suspect.of(slot)), spec, after))
        spec = after
    return Changes(tuple(steps)) if steps else None


def changed(recipe: Recipe, data: Data) -> Data:
    """Return `data` as the transforms of `recipe` that change what pairs are make it."""
    changes = changes_of(recipe, data.spec)
    return data if changes is None else Changed(data, changes)


def _check(slot: Slot, before: PairSpec, after: Any) -> None:
    """Raise PluginError where what a transform says of its pairs cannot be."""
    if not isinstance(after, PairSpec):
        told = f"its spec() returned a {type(after).__name__}, and has to return a PairSpec"
        raise PluginError(slot.problem(f"{slot.entry.ref}: {told}"))
    for side in SIDES:
        was, said = before.side(side), after.side(side)
        faults = {
            f"makes the {side} {said.height}x{said.width}, and has to keep {was.height}x{was.width}": (
                said.size != was.size
            ),
            f"gives the {side} {said.channels} channels": said.channels < 1,
            f"gives the {side} {said.channels} channels, and parts with others": bool(said.parts)
            and sum(part.channels for part in said.parts) != said.channels,
            f"stores the {side} from {said.low:g} to {said.high:g}": said.low >= said.high,
        }
        for fault, found in faults.items():
            if found:
                raise PluginError(slot.problem(f"{slot.entry.ref}: its spec() {fault}"))
