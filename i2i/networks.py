"""What a method is given: networks by name, and losses with their weights.

The networks stay plain modules; `Judge` adds what a discriminator is shown beside the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, overload

import torch
from torch import Tensor, nn

from i2i.errors import PluginError, RecipeError, described
from i2i.kinds import AdversarialLoss, FeatureLoss, PairedLoss, Penalty
from i2i.maps import as_features, as_maps


@dataclass(frozen=True)
class Judge:
    """A discriminator under its name; a conditional one sees the condition first, then the image.

    `eagerly` gives the context in which a module that is compiled runs as it is written, if it is.
    """

    name: str
    module: nn.Module
    conditional: bool
    eagerly: Callable[[], AbstractContextManager[object]] | None = None

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
        """Return the judge as a function of the image alone, as penalties want it: never compiled."""

        def judge(image: Tensor) -> list[Tensor]:
            with self.eagerly() if self.eagerly else nullcontext():
                return self.maps(image, condition)

        return judge


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
class PartOfSide:
    """One part of a side of several files: `channels` says which they are, by how many the side has."""

    name: str
    channels: Mapping[int, slice]

    def of(self, image: Tensor) -> Tensor:
        """Return the part of images (...,C,H,W); RecipeError for images of a side that has no such part."""
        if image.shape[-3] not in self.channels:
            raise RecipeError(
                f"images of {image.shape[-3]} channel(s) have no part '{self.name}', which is one of "
                f"{' or '.join(map(str, self.channels))} channels: leave `part` out."
            )
        return image[..., self.channels[image.shape[-3]], :, :]


Loss = TypeVar("Loss", covariant=True)


@dataclass(frozen=True)
class LossTerm(Generic[Loss]):
    """One loss of a recipe: its kind, its weight, and the discriminators that it applies to.

    A loss between images compares its `part` of them alone, where its table names one: call the term.
    """

    name: str
    kind: str
    loss: Loss
    weight: float
    on: frozenset[str] = frozenset()
    every: int = 1
    part: PartOfSide | None = None

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return what a loss between images, both (B,C,H,W), gives for them, or for its part of them."""
        if self.part is not None:
            fake, real = self.part.of(fake), self.part.of(real)
        value: Tensor = self.loss(fake, real)  # type: ignore[operator]
        return value

    def due(self, step: int) -> bool:
        """Whether a penalty is applied at `step`."""
        return step % self.every == 0

    def weighted(self, value: Tensor) -> Tensor:
        """Return what the loss gave times its weight and `every`; PluginError if it is no single number."""
        if not isinstance(value, Tensor) or value.dim():
            raise PluginError(
                f"losses.{self.name}: it returned what is {described(value)}, and has to return a tensor of "
                "a single number: let it take the mean."
            )
        return value * (self.weight * self.every)


@dataclass(frozen=True)
class Losses:
    """The losses of a recipe, in its order."""

    terms: tuple[LossTerm[Any], ...]

    def __getitem__(self, name: str) -> LossTerm[Any]:
        for term in self.terms:
            if term.name == name:
                return term
        raise KeyError(name)

    @overload
    def of(self, kind: Literal["paired-loss"]) -> tuple[LossTerm[PairedLoss], ...]: ...
    @overload
    def of(
        self, kind: Literal["adversarial-loss"], judge: Judge | None = None
    ) -> tuple[LossTerm[AdversarialLoss], ...]: ...
    @overload
    def of(
        self, kind: Literal["feature-loss"], judge: Judge | None = None
    ) -> tuple[LossTerm[FeatureLoss], ...]: ...
    @overload
    def of(self, kind: Literal["penalty"], judge: Judge | None = None) -> tuple[LossTerm[Penalty], ...]: ...
    def of(self, kind: str, judge: Judge | None = None) -> tuple[LossTerm[Any], ...]:
        """Return the terms of a kind; with `judge`, those that apply to it."""
        return tuple(t for t in self.terms if t.kind == kind and (judge is None or judge.name in t.on))

    def accuracy(self, judge: Judge, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return which shares of a judge's logits are on the right side, for `run.measure`.

        They are ``accuracy.fake.NAME`` and ``accuracy.real.NAME``, as the first adversarial loss of the judge
        that can tell counts them; nothing where none can.
        """
        for term in self.of("adversarial-loss", judge):
            if count := getattr(term.loss, "accuracy", None):
                on_fake, on_real = count(fake, real)
                return {f"accuracy.fake.{judge.name}": on_fake, f"accuracy.real.{judge.name}": on_real}
        return {}
