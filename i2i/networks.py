"""What a method is given: networks by name, and losses with their weights.

The networks stay plain modules; `Judge` adds what a discriminator is shown beside the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import PluginError
from i2i.maps import as_features, as_maps


@dataclass(frozen=True)
class Judge:
    """A discriminator under its name; a conditional one sees the condition first, then the image."""

    name: str
    module: nn.Module
    conditional: bool

    def look(self, image: Tensor, condition: Tensor | None = None) -> Any:
        """Return the module's own output for `image`, beside `condition` if it is conditional."""
        if not self.conditional:
            return self.module(image)
        if condition is None:
            raise TypeError(f"discriminators.{self.name} is conditional: give it what is beside the image")
        return self.module(torch.cat((condition, image), dim=1))

    def maps(self, image: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Return the logit maps for `image`."""
        return as_maps(self.look(image, condition))

    def features(self, image: Tensor, condition: Tensor | None = None) -> list[list[Tensor]]:
        """Return the features for `image`, a list for each scale."""
        return as_features(self.look(image, condition))

    def given(self, condition: Tensor | None = None) -> Callable[[Tensor], list[Tensor]]:
        """Return the judge as a function of the image alone, as penalties want it."""
        return lambda image: self.maps(image, condition)


@dataclass(frozen=True)
class Networks:
    """All networks of a recipe."""

    generators: Mapping[str, nn.Module]
    judges: Mapping[str, Judge]

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield each network with its slot path, generators first."""
        for name, module in self.generators.items():
            yield f"generators.{name}", module
        for name, judge in self.judges.items():
            yield f"discriminators.{name}", judge.module


@dataclass(frozen=True)
class LossTerm:
    """One loss of a recipe: its kind, its weight, and the discriminators that it applies to."""

    name: str
    kind: str
    loss: Any
    weight: float
    on: frozenset[str] = frozenset()
    every: int = 1

    def due(self, step: int) -> bool:
        """Whether a penalty is applied at `step`."""
        return step % self.every == 0

    def weighted(self, value: Tensor) -> Tensor:
        """Return what the loss gave times its weight and `every`; PluginError if it is no single number."""
        if not isinstance(value, Tensor) or value.dim():
            told = (
                f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            )
            raise PluginError(
                f"losses.{self.name}: it returned what is {told}, and has to return a tensor of a single "
                "number: let it take the mean."
            )
        return value * (self.weight * self.every)


@dataclass(frozen=True)
class Losses:
    """The losses of a recipe, in its order."""

    terms: tuple[LossTerm, ...]

    def __getitem__(self, name: str) -> LossTerm:
        for term in self.terms:
            if term.name == name:
                return term
        raise KeyError(name)

    def of(self, kind: str, judge: Judge | None = None) -> tuple[LossTerm, ...]:
        """Return the terms of a kind; with `judge`, those that apply to it."""
        return tuple(t for t in self.terms if t.kind == kind and (judge is None or judge.name in t.on))
