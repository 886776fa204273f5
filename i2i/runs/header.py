"""What the header of a weights file says of the component, the data and the metrics it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from i2i.recipe.recipe import Recipe
from i2i.recipe.slots import Slot

OF_THE_MACHINE = ("workers", "cache")
"""Slot keys of the data that change nothing in what it is."""


def shareable(recipe: Recipe) -> dict[str, Any]:
    """Return the data and metrics of `recipe` as a model file carries them: without paths of this machine."""
    data = {"data": _without_paths(recipe.data, recipe.table["data"])}
    for key in OF_THE_MACHINE:
        data["data"].pop(key, None)
    metrics = {
        slot.name: _without_paths(slot, recipe.table["metrics"][slot.name])
        for slot in recipe.section("metrics")
    }
    return data | ({"metrics": metrics} if metrics else {})


def portable(slot: Slot, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's table as its weights file carries it: without the paths it can do without."""
    optional = {name for name, p in signature(slot.factory).parameters.items() if p.default is None}

    def dropped(key: str) -> bool:
        of_component = key in optional and holds_path(slot.params.get(key))
        return of_component or holds_path(getattr(slot.settings, key, None))

    return {key: value for key, value in table.items() if not dropped(key)}


def _without_paths(slot: Slot, table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if not holds_path(slot.params.get(key))}


def holds_path(value: Any) -> bool:
    """Whether a key's value is a path, or has one in it."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(holds_path, value))
    return isinstance(value, Path)
