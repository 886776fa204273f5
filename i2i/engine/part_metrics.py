"""Metrics of one part of the target, where their tables name one: they see nothing of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from torch import Tensor

from i2i.abilities import NeedsImages, Prepares
from i2i.building import components
from i2i.building.parts import part_of
from i2i.data.views import PartOfTarget
from i2i.engine.scoring import definition
from i2i.errors import PluginError
from i2i.kinds import Direction, Metric, PairSpec
from i2i.networks import PartOfSide
from i2i.recipe.recipe import Recipe

T = TypeVar("T")


def build_metrics(recipe: Recipe, spec: PairSpec) -> dict[str, Metric]:
    """Build the metrics for data of `spec`, by name, in the recipe's order, each for its part.

    Raises RecipeError, placed in the recipe, where the target lacks a part that one names.
    """
    metrics = components.build_metrics(recipe, spec)
    for slot in recipe.section("metrics"):
        if part := part_of(slot, spec, ("target",)):
            metrics[slot.name] = PartMetric(metrics[slot.name], part)
    return metrics


class PartMetric:
    """A metric that is shown one part of the target alone; its figures are called like ``mae(depth)``."""

    directions: Mapping[str, Direction]

    def __init__(self, metric: Metric, part: PartOfSide) -> None:
        self._metric, self._part = metric, part
        if isinstance(found := getattr(metric, "directions", None), Mapping):
            self.directions = self._named(found)
        else:
            self.directions = found  # type: ignore[assignment]  # which is told as it is of any metric
        self.references = tuple(self._name(name) for name in getattr(metric, "references", ()))
        self.definition = f"Of the part '{part.name}' alone. {definition(metric)}"
        self.update = self._update_of(metric)
        if isinstance(metric, NeedsImages):
            self.fewest = metric.fewest
        if isinstance(metric, Prepares):
            self.prepare = self._prepare

    def _update_of(self, metric: Metric) -> Any:
        """Return the metric's `update`, shown its part of translations (…,C,H,W) and of the truth."""

        @wraps(metric.update)  # which tells what it asks for
        def update(
            source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str], **fields: Tensor
        ) -> Mapping[str, Tensor]:
            own, truth = self._part.of(fake), self._part.of(real)
            return self._named(metric.update(source, own, truth, ids, **fields) or {})

        return update

    def reset(self) -> None:
        """Start afresh."""
        self._metric.reset()

    def compute(self) -> Mapping[str, float]:
        """Return the figures, by the names of the part's."""
        return self._named(self._metric.compute())

    def _prepare(self, train_data: Any, /) -> None:
        channels = self._part.channels[train_data.spec.target.channels]
        self._metric.prepare(PartOfTarget(train_data, channels))  # type: ignore[attr-defined]

    def _name(self, figure: str) -> str:
        return f"{figure}({self._part.name})"

    def _named(self, figures: Mapping[str, T]) -> dict[str, T]:
        if not isinstance(figures, Mapping):
            raise PluginError(
                f"the metric of the part '{self._part.name}' gave a {type(figures).__name__}: return a "
                "mapping from names to figures."
            )
        return {self._name(name): value for name, value in figures.items()}
