"""What the components of a recipe need of its data, and the data does not have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from i2i.errors import Problem
from i2i.kind_table import FIELD
from i2i.networks import keywords
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import RESERVED_FIELDS, ExtraSpec, PairSpec


def unmet_by_data(recipe: Recipe, spec: PairSpec, extra: Mapping[str, ExtraSpec]) -> Iterator[Problem]:
    """Yield a problem for each component that needs what data of `spec` and `extra` fields do not have."""
    there = (
        f"the data has the further fields {', '.join(extra)}" if extra else "the data has no further fields"
    )
    for slot in recipe.slots.values():
        needs = getattr(slot.factory, "requires", {})
        if "pairs" in needs and not spec.aligned:
            yield slot.problem(needs["pairs"])
        for need, sentence in needs.items():
            if need.startswith(FIELD) and need.removeprefix(FIELD) not in extra:
                yield slot.problem(f"{sentence} ({there})")
        for name in _asked_in_vain(slot, extra):
            if f"{FIELD}{name}" not in needs:
                yield slot.problem(f"{slot.entry.ref} asks for the field '{name}' of each item, and {there}")
    images = [name for name, said in extra.items() if said.image]
    for slot in recipe.section("transforms") if images else ():
        if slot.settings.at != "judging" and not isinstance(getattr(slot.factory, "moves", None), bool):
            yield slot.problem(
                f"{slot.entry.ref} does not say by `moves` whether it moves pixels, and the data has "
                f"{', '.join(images)}, which would have to move with them: take it out, or take another"
            )


def _asked_in_vain(slot: Slot, extra: Mapping[str, ExtraSpec]) -> list[str]:
    """Return the fields that the call of a metric cannot do without, and the data has not."""
    call = _call(slot)
    needed = [name for name, required in keywords(call).items() if required] if call else []
    return [name for name in needed if name not in extra and name not in RESERVED_FIELDS]


def _call(slot: Slot) -> Callable[..., Any] | None:
    """Return what is called of a metric, where its class tells."""
    factory: Any = slot.factory
    if not inspect.isclass(factory):
        return None
    # A loss is asked once it is built.
    return getattr(factory, "update", None) if slot.kind == "metric" else None
