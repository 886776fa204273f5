"""What the components of a recipe need of its data, and the data does not have."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from i2i.errors import Problem
from i2i.kind_table import FIELD, changes_spec
from i2i.networks import asked_of
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import ExtraSpec, PairSpec

SEEN_WITH_SELF = 5
"""How many arguments the `update` of every metric has: itself, sources, translations, truths, ids."""


def unmet_by_data(recipe: Recipe, spec: PairSpec, extra: Mapping[str, ExtraSpec]) -> Iterator[Problem]:
    """Yield a problem for each component that needs what data of `spec` and `extra` fields do not have.

    `spec` is that of the training. Pairs that it goes without, by `data.paired`, are held-out pairs all the
    same, which metrics compare.
    """
    for slot in recipe.slots.values():
        needs = getattr(slot.factory, "requires", {})
        compared = slot.kind == "metric" and not recipe.data.settings.paired
        if "pairs" in needs and not (spec.aligned or compared):
            yield slot.problem(needs["pairs"])
        yield from unmet_fields(slot, extra)
    images = [name for name, said in extra.items() if said.image]
    for slot in recipe.section("transforms") if images else ():
        if changes_spec(slot.factory) and getattr(slot.factory, "moves", False):
            yield slot.problem(
                f"{slot.entry.ref} moves pixels as pairs are read, where {', '.join(images)} of the data "
                "stay in place: take it out, or take another"
            )
        elif slot.settings.at != "judging" and not isinstance(getattr(slot.factory, "moves", None), bool):
            yield slot.problem(
                f"{slot.entry.ref} does not say by `moves` whether it moves pixels, and the data has "
                f"{', '.join(images)}, which would have to move with them: take it out, or take another"
            )


def unmet_fields(slot: Slot, extra: Mapping[str, ExtraSpec]) -> Iterator[Problem]:
    """Yield a problem for each further field that a component needs and that is none of the `extra` ones."""
    needs, there = getattr(slot.factory, "requires", {}), fields_told(extra)
    for need, sentence in needs.items():
        if need.startswith(FIELD) and need.removeprefix(FIELD) not in extra:
            yield slot.problem(f"{sentence} ({there})")
    for name in _asked_in_vain(slot, extra):
        if f"{FIELD}{name}" not in needs:
            yield slot.problem(f"{slot.entry.ref} asks for the field '{name}' of each item, and {there}")


def _asked_in_vain(slot: Slot, extra: Mapping[str, ExtraSpec]) -> list[str]:
    """Return the fields that a metric's `update`, where its class tells, needs and that are not there."""
    if slot.kind != "metric" or not inspect.isclass(slot.factory) or not hasattr(slot.factory, "update"):
        return []
    asked = asked_of(slot.factory, "update", SEEN_WITH_SELF)
    return [name for name, needed in asked.items() if needed and name not in extra]


def fields_told(extra: Mapping[str, ExtraSpec]) -> str:
    """Say which further fields the data have."""
    if not extra:
        return "the data has no further fields"
    told = ", ".join(f"{name} ({said.what})" for name, said in extra.items())
    return f"the data has the further fields {told}"
