"""Which parts of the networks are trained at a step: not what is frozen always, or in the step's stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from i2i.building.groups import frozen_parts, parts_at
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe


class Stages:
    """The stages of a run of so many steps, in their order; a recipe without any has one, without a name.

    It is made before the method, which may put parts of the networks into another mode: each stage touches
    what it freezes, and gives it back as it was. What the recipe freezes for good is in eval mode from here.
    """

    def __init__(self, recipe: Recipe, networks: Networks, total_steps: int) -> None:
        for path, module in networks.modules():
            for part in frozen_parts(recipe.slots[path], module):
                part.requires_grad_(False).eval()
        self._frozen = {
            name: [part for path in stage.frozen for part in parts_at(recipe, networks, path)]
            for name, stage in recipe.stages.items()
        }
        shares = [1.0 if stage.until is None else stage.until for stage in recipe.stages.values()]
        self._ends = dict(zip(recipe.stages, (round(share * total_steps) for share in shares), strict=True))
        self._entered: str | None = None
        self._thaw: Callable[[], None] | None = None

    def at(self, step: int) -> str | None:
        """Return the name of the stage that a step, counted from 0, belongs to."""
        return next(
            (name for name, end in self._ends.items() if step < end), next(reversed(self._ends), None)
        )

    def begins(self) -> list[int]:
        """Return the first step of each stage that has any, in order."""
        return sorted({0, *list(self._ends.values())[:-1]})

    def enter(self, step: int) -> str | None:
        """Freeze what the stage of `step` freezes, and nothing else; return the stage's name."""
        name = self.at(step)
        if name is not None and name != self._entered:
            if self._thaw is not None:
                self._thaw()
            self._thaw = _freeze(self._frozen[name])
            self._entered = name
        return name


def _freeze(parts: Iterable[nn.Module]) -> Callable[[], None]:
    """Take parts out of the training, in eval mode; return what puts them back as they are now."""
    modes = [(module, module.training) for part in parts for module in part.modules()]
    weights = [(p, p.requires_grad) for part in parts for p in part.parameters()]
    for module, _ in modes:
        module.training = False
    for parameter, _ in weights:
        parameter.requires_grad_(False)

    def thaw() -> None:
        for module, mode in modes:
            module.training = mode
        for parameter, wanted in weights:
            parameter.requires_grad_(wanted)

    return thaw
