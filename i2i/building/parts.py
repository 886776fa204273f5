"""The part of a side that a loss or a metric is about, where its table names one, as channels."""

from __future__ import annotations

from i2i.errors import Problem, RecipeError
from i2i.recipe.recipe import Slot
from i2i.records import MethodSlots, PairSpec, Side


def written_sides(roles: MethodSlots) -> tuple[Side, ...]:
    """Return the sides that the generators of a method write, which its losses between images compare."""
    return tuple(dict.fromkeys(role.writes for role in roles.generators.values()))


def part_problem(slot: Slot, spec: PairSpec, sides: tuple[Side, ...]) -> Problem | None:
    """Return why there are no channels of the part that the table of `slot` names in each of the `sides`."""
    part = slot.settings.part
    if part is None:
        return None
    for side in sides:
        names = [known.name for known in spec.side(side).parts]
        if part not in names:
            has = f"its parts are {', '.join(names)}" if names else "it has no parts"
            return slot.problem(
                f"the {side} has no part '{part}': {has}",
                "" if names else "leave `part` out",
                key="part",
            )
    if len({str(spec.side(side).channels_of(part)) for side in sides}) > 1:
        message = f"the part '{part}' lies in other channels of the {' than of the '.join(sides)}"
        return slot.problem(message, "name the parts of both in one order", key="part")
    return None


def channels_of(slot: Slot, spec: PairSpec, sides: tuple[Side, ...]) -> slice | None:
    """Return the channels that a loss or a metric is shown of the `sides`: None for all of them.

    Raises RecipeError, placed in the recipe, where the data lacks the part that is named.
    """
    if problem := part_problem(slot, spec, sides):
        raise RecipeError(problem)
    return None if slot.settings.part is None else spec.side(sides[0]).channels_of(slot.settings.part)
