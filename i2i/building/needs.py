"""What a method needs of a network beside its kind's contract: whether the network as it is built has it."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor, nn

from i2i.errors import PluginError, RecipeError
from i2i.recipe import network_needs
from i2i.recipe.network_needs import WORDS, Role, is_able, takes_time, that_fit, wants_time
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import NetworkNeed


def beside(network: nn.Module, image: Tensor, *, given: bool = True) -> dict[str, Tensor]:
    """Return the keywords that `network` is called with beside `image` to look at its shapes.

    A time in the middle where it takes one and is `given` one, on the device of the image.
    """
    if not given or not takes_time(network):
        return {}
    return {"time": torch.full((len(image),), 0.5, device=image.device)}


def check_needs(recipe: Recipe, slot: Slot, role: Role, network: nn.Module) -> None:
    """Raise RecipeError where `network`, built for `slot`, lacks what the method needs of it by its `role`.

    Features of a discriminator are not asked for here: they are in what it returns. Raises PluginError for a
    need that there is not.
    """
    method = recipe.method.entry.ref
    for need in sorted(role.needs):
        if (slot.kind, need) not in WORDS:
            known = " and ".join(get_args(NetworkNeed))
            message = f"{method} needs '{need}' of a {slot.kind}, and what can be needed is {known}"
            raise PluginError(recipe.method.problem(message, key="use"))
        if (slot.kind, need) != ("discriminator", "features") and not is_able(slot.kind, need, network):
            raise lacking(recipe, slot, role, need)
    if "time" not in role.needs and wants_time(network):
        message = f"{slot.entry.ref} reads a time beside the image, and {method} gives it none"
        fitting = that_fit(slot.kind, role, recipe.components)
        raise RecipeError(slot.problem(f"{message}; {fitting}", key="use"))


def lacking(recipe: Recipe, slot: Slot, role: Role, need: NetworkNeed) -> RecipeError:
    """Return what is told of a network that lacks what the method needs, with those that would fit."""
    return RecipeError(network_needs.lacking(recipe.method, slot, role, need, recipe.components))
