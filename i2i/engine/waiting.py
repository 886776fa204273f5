"""Figures of the validation that a recipe waits for: each has to be one that its metrics give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from i2i.abilities import Watches
from i2i.errors import RecipeError
from i2i.recipe.recipe import Recipe
from i2i.records import Direction


def check_figures(recipe: Recipe, schedules: Mapping[str, Any], directions: Mapping[str, Direction]) -> None:
    """Raise RecipeError for a figure that `save_best` or a schedule goes by and no metric gives."""
    wanted = {}
    if recipe.train.save_best is not None:
        wanted["train.save_best"] = recipe.train.save_best.partition(":")[0]
    for path, schedule in schedules.items():
        slot = recipe.slot_for("schedules", path)
        if slot is not None and isinstance(schedule, Watches):
            wanted[slot.path] = schedule.watches
    known = ", ".join(sorted(directions)) or "none"
    problems = [
        recipe.problem(path, f"no metric of this recipe gives a figure '{figure}'", f"figures: {known}")
        for path, figure in wanted.items()
        if figure not in directions
    ]
    if problems:
        raise RecipeError(*problems)
