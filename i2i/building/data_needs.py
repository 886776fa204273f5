"""What the components of a recipe need of its data, and the data does not have."""

from __future__ import annotations

from collections.abc import Iterator

from i2i.errors import Problem
from i2i.recipe.recipe import Recipe
from i2i.records import PairSpec


def unmet_by_data(recipe: Recipe, spec: PairSpec) -> Iterator[Problem]:
    """Yield a problem for each component that needs what data of `spec` do not have."""
    for slot in recipe.slots.values():
        needs = getattr(slot.factory, "requires", {})
        if "pairs" in needs and not spec.aligned:
            yield slot.problem(needs["pairs"])
