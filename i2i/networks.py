"""What a method is given: networks by name, and losses with their weights.

The networks stay plain modules; `Judge` adds what a discriminator is shown beside the image. A loss is called
through its `LossTerm`, which gives it what its signature asks for beside the tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import torch
from torch import Tensor, nn

from i2i.errors import PluginError, RecipeError, described
from i2i.kinds import AdversarialLoss, FeatureLoss, PairedLoss, Penalty
from i2i.maps import as_features, as_maps
from i2i.records import Batch

if TYPE_CHECKING:
    from i2i.context import Run

GIVEN = ("source", "batch", "step")
"""What a loss is given where the signature of its call asks for it, beside its tensors.

The sources (B,C,H,W) of the batch, the `Batch` itself, and the number of the step, from 0. By its name it is
given each further field of the batch, too (`Batch.extra`).
"""

CALLS: Mapping[str, Mapping[str, int]] = {
    "paired-loss": {"": 2},
    "adversarial-loss": {"generator": 2, "discriminator": 2},
    "feature-loss": {"": 2},
    "penalty": {"": 3},
}
"""What is called of a loss of each kind, the loss itself or methods of it, with how many arguments."""


@dataclass(frozen=True)
class Judge:
    """A discriminator under its name; a conditional one sees the condition first, then the image.

    `eagerly` gives the context in which a module that is compiled runs as it is written, if it is.
    """

    name: str
    module: nn.Module
    conditional: bool
    eagerly: Callable[[], AbstractContextManager[object]] | None = None

    def look(self, image: Tensor, condition: Tensor | None = None, *, time: Tensor | None = None) -> Any:
        """Return the module's own output for `image`, beside `condition` if it is conditional.

        One that reads a time is given `time`, (B,) in [0,1].
        """
        beside = {} if time is None else {"time": time}
        if not self.conditional:
            return self.module(image, **beside)
        if condition is None:
            raise TypeError(f"discriminators.{self.name} is conditional: give it what is beside the image")
        return self.module(torch.cat((condition, image), dim=1), **beside)

    def maps(
        self, image: Tensor, condition: Tensor | None = None, *, time: Tensor | None = None
    ) -> list[Tensor]:
        """Return the logit maps for `image`."""
        return as_maps(self.look(image, condition, time=time))

    def features(
        self, image: Tensor, condition: Tensor | None = None, *, time: Tensor | None = None
    ) -> list[list[Tensor]]:
        """Return the features for `image`, a list for each scale."""
        return as_features(self.look(image, condition, time=time))

    def given(
        self, condition: Tensor | None = None, *, time: Tensor | None = None
    ) -> Callable[[Tensor], list[Tensor]]:
        """Return the judge as a function of the image alone, as penalties want it: never compiled."""

        def judge(image: Tensor) -> list[Tensor]:
            with self.eagerly() if self.eagerly else nullcontext():
                return self.maps(image, condition, time=time)

        return judge


@dataclass(frozen=True)
class Networks:
    """All networks of a recipe; `others` are neither generators nor discriminators."""

    generators: Mapping[str, nn.Module]
    judges: Mapping[str, Judge]
    others: Mapping[str, nn.Module] = field(default_factory=dict)

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module]) -> Networks:
        """Return networks by their slot paths, as a method is given them that translates with just these."""
        parts: dict[str, dict[str, nn.Module]] = {"generators": {}}
        for path, module in networks.items():
            section, _, name = path.partition(".")
            parts.setdefault(section, {})[name] = module
        return cls(generators=parts["generators"], judges={}, others=parts.get("networks", {}))

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield each network with its slot path: generators first, then discriminators, then the others."""
        for name, module in self.generators.items():
            yield f"generators.{name}", module
        for name, judge in self.judges.items():
            yield f"discriminators.{name}", judge.module
        for name, module in self.others.items():
            yield f"networks.{name}", module


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


def asked_of(loss: Any, call: str, count: int) -> dict[str, bool]:
    """Return what a loss, or a metric, asks for beside the `count` arguments of one of its calls, by name.

    True stands for what it cannot be called without.
    """
    function = getattr(loss, call or "forward") if call or isinstance(loss, nn.Module) else loss
    asked = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if by_name and (place >= count or parameter.kind is parameter.KEYWORD_ONLY):
            asked[parameter.name] = parameter.default is parameter.empty
    return asked


def _given(name: str, batch: Batch, run: Run) -> Any:
    """Return what stands behind one of the names in `GIVEN`, or of the batch's further fields."""
    return {"source": batch.source, "batch": batch, "step": run.step, **batch.extra}[name]


@dataclass(frozen=True)
class LossTerm(Generic[Loss]):
    """One loss of a recipe: its kind, its weight, and the discriminators that it applies to.

    Call the term as its kind says of the loss, and with the batch and the run: `term(fake, real, batch=batch,
    run=run)`, of an adversarial loss `term.generator(…)` and `term.discriminator(…)`. So the loss is given
    what it asks for. One between images compares its `part` of them alone, where its table names
    one. `factors` are those of schedules on weights at the present step, by loss.
    """

    name: str
    kind: str
    loss: Loss
    weight: float
    on: frozenset[str] = frozenset()
    every: int = 1
    part: PartOfSide | None = None
    factors: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)
    _asked: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, *tensors: Any, batch: Batch, run: Run) -> Tensor:
        """Return what the loss gives for its tensors, without its weight."""
        if self.part is not None:
            tensors = tuple(map(self.part.of, tensors))
        return self._called("", tensors, batch, run)

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor], *, batch: Batch, run: Run) -> Tensor:
        """Return what an adversarial loss lets the generator minimise, without its weight."""
        return self._called("generator", (fake, real), batch, run)

    def discriminator(
        self, fake: Sequence[Tensor], real: Sequence[Tensor], *, batch: Batch, run: Run
    ) -> Tensor:
        """Return what an adversarial loss lets the discriminator minimise."""
        return self._called("discriminator", (fake, real), batch, run)

    def _called(self, call: str, arguments: Sequence[Any], batch: Batch, run: Run) -> Tensor:
        """Call the loss, or a method of it, with what it asks for; the one place where losses are called."""
        if call not in self._asked:
            self._asked[call] = [*asked_of(self.loss, call, len(arguments))]
        function: Any = getattr(self.loss, call) if call else self.loss
        there = {*GIVEN, *batch.extra}
        given = {name: _given(name, batch, run) for name in self._asked[call] if name in there}
        value: Tensor = function(*arguments, **given)
        return value

    def due(self, step: int) -> bool:
        """Whether a penalty is applied at `step`."""
        return step % self.every == 0

    @property
    def factor(self) -> float:
        """The factor of its schedule on the weight at the present step; 1 without a schedule."""
        return self.factors.get(self.name, 1.0)

    def weighted(self, value: Tensor) -> Tensor:
        """Return what the loss gave times its weight, its schedule's factor, and `every`.

        Raises PluginError if it is no single number.
        """
        if not isinstance(value, Tensor) or value.dim():
            raise PluginError(
                f"losses.{self.name}: it returned what is {described(value)}, and has to return a tensor of "
                "a single number: let it take the mean."
            )
        return value * (self.weight * self.every * self.factor)


@dataclass(frozen=True)
class Losses:
    """The losses of a recipe, in its order.

    `factors` are those of schedules on weights at the present step, by loss; the engine sets them.
    `named` are the losses that the method's slots call by their names.
    """

    terms: tuple[LossTerm[Any], ...]
    factors: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    named: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> LossTerm[Any]:
        for term in self.terms:
            if term.name == name:
                return term
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(term.name == name for term in self.terms)

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
        """Return the terms of a kind; with `judge`, those that apply to it.

        Without those that the method's slots name: it applies each of these by its name, and elsewhere.
        """
        free = (term for term in self.terms if term.name not in self.named)
        return tuple(term for term in free if term.kind == kind and (judge is None or judge.name in term.on))

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of what losses gave, by their names, each by its weight: a scalar to minimise.

        Raises PluginError where that is nothing, and for a name that no loss of the recipe has.
        """
        if not parts:
            raise PluginError("the method gives no loss to the total of what it minimises: apply one.")
        for name in parts:
            if name not in self:
                raise PluginError(
                    f"the method gives '{name}' to the total of losses, and no loss of the recipe has this "
                    "name: add a term of the method's own to the total, by its own weight."
                )
        return torch.stack([self[name].weighted(part) for name, part in parts.items()]).sum()

    def accuracy(self, judge: Judge, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return which shares of a judge's logits are on the right side, for `run.measure`.

        They are ``accuracy.fake.NAME`` and ``accuracy.real.NAME``, as the first adversarial loss of the judge
        that can tell counts them; nothing where none can.
        """
        for term in self.terms:
            if term.kind != "adversarial-loss" or judge.name not in term.on:
                continue
            if count := getattr(term.loss, "accuracy", None):
                on_fake, on_real = count(fake, real)
                return {f"accuracy.fake.{judge.name}": on_fake, f"accuracy.real.{judge.name}": on_real}
        return {}
