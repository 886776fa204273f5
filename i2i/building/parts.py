"""The part of a side that a loss or a metric is about, where its table names one, as channels."""

from __future__ import annotations

from itertools import combinations

from i2i.errors import Problem, RecipeError
from i2i.networks import PartOfSide
from i2i.recipe.recipe import Slot
from i2i.records import ImageSpec, MethodSlots, PairSpec, Side


def written_sides(roles: MethodSlots) -> tuple[Side, ...]:
    """Return the sides that the generators of a method write, which its losses between images compare."""
    return tuple(dict.fromkeys(role.writes for role in roles.generators.values()))


def sides_with_part(slot: Slot, spec: PairSpec, sides: tuple[Side, ...]) -> tuple[Side, ...]:
    """Return those of `sides` that have the part which the table of `slot` names."""
    part = slot.settings.part
    return tuple(side for side in sides if part in (known.name for known in spec.side(side).parts))


def part_problem(slot: Slot, spec: PairSpec, sides: tuple[Side, ...]) -> Problem | None:
    """Return why it is not clear which channels of `sides` the part in the table of `slot` is, if so."""
    part = slot.settings.part
    if part is None:
        return None
    names = {side: [known.name for known in spec.side(side).parts] for side in sides}
    if not any(part in own for own in names.values()):
        told = [
            f"the {side} has no part '{part}': "
            + (f"its parts are {', '.join(own)}" if own else "it has no parts")
            for side, own in names.items()
        ]
        return slot.problem("; ".join(told), "" if any(names.values()) else "leave `part` out", key="part")
    for one, other in combinations(sides, 2):
        alike = spec.side(one).channels == spec.side(other).channels
        if alike and _channels(part, spec.side(one)) != _channels(part, spec.side(other)):
            message = (
                f"'{part}' is a part of one side, or lies elsewhere in the other, and both have "
                f"{spec.side(one).channels} channels: which images have it cannot be told"
            )
            return slot.problem(message, "leave `part` out", key="part")
    return None


def part_of(slot: Slot, spec: PairSpec, sides: tuple[Side, ...]) -> PartOfSide | None:
    """Return the part that a loss or a metric is shown of images of the `sides`: None for the whole.

    Raises RecipeError, placed in the recipe, where it is not clear which channels that is.
    """
    part = slot.settings.part
    if part is None:
        return None
    if problem := part_problem(slot, spec, sides):
        raise RecipeError(problem)
    having = [spec.side(side) for side in sides_with_part(slot, spec, sides)]
    return PartOfSide(part, {side.channels: side.channels_of(part) for side in having})


def _channels(part: str, side: ImageSpec) -> slice | None:
    return side.channels_of(part) if part in (known.name for known in side.parts) else None
