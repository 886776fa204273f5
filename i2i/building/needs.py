"""What a method needs of a network beside its kind's contract: whether it is there, and where else.

"time" is a parameter of that name of the network's `forward`; "features" is a method `features(image)` of a
generator, and features in what a discriminator returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor, nn

from i2i.errors import PluginError, RecipeError
from i2i.maps import Maps
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import DiscriminatorSlot, GeneratorSlot, NetworkNeed

Role = GeneratorSlot | DiscriminatorSlot

_TIME = "reads a time beside the image (a parameter `time` of forward(), (B,) in [0,1])"
WORDS: Mapping[tuple[str, NetworkNeed], str] = {
    ("generator", "time"): _TIME,
    ("generator", "features"): "hands out features (a method `features(image)`: a list of tensors)",
    ("discriminator", "time"): _TIME,
    ("discriminator", "features"): "hands out features (its forward() returns i2i.maps.Maps with some)",
}
"""What a network does that has an ability, to follow "a generator that"."""


def takes_time(network: Any) -> bool:
    """Whether a network, or its class, has a `forward` with a parameter `time`."""
    return _time_of(network) is not None


def wants_time(network: Any) -> bool:
    """Whether a network cannot be called without a `time`."""
    time = _time_of(network)
    return time is not None and time.default is time.empty


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
        if (slot.kind, need) != ("discriminator", "features") and not _can(slot.kind, need, network):
            raise lacking(recipe, slot, role, need)
    if "time" not in role.needs and wants_time(network):
        message = f"{slot.entry.ref} reads a time beside the image, and {method} gives it none"
        raise RecipeError(slot.problem(f"{message}; {that_fit(recipe, slot, role)}", key="use"))


def lacking(recipe: Recipe, slot: Slot, role: Role, need: NetworkNeed) -> RecipeError:
    """Return what is told of a network that lacks what the method needs, with those that would fit."""
    needs = f"{recipe.method.entry.ref} needs a {slot.kind} that {WORDS[slot.kind, need]}"
    message = f"{needs}, and {slot.entry.ref} does not; {that_fit(recipe, slot, role)}"
    return RecipeError(slot.problem(message, key="use"))


def that_fit(recipe: Recipe, slot: Slot, role: Role) -> str:
    """Name the components of the slot's kind with all that `role` needs, as far as their classes show it.

    Those of the plug-ins that the recipe names are looked at, as it imports no others, and none is built.
    """
    found = []
    for entry in recipe.components(slot.kind):
        made = _class_of(entry.load())
        wanting = "time" not in role.needs and wants_time(made)
        if made is not None and not wanting and all(_can(slot.kind, need, made) for need in role.needs):
            found.append(entry.ref.removeprefix("core/"))
    if not found:
        return f"no {slot.kind} of the plug-ins that this recipe names is known to"
    return f"{', '.join(found)} would fit"


def _can(kind: str, need: NetworkNeed, network: Any) -> bool:
    if need == "time":
        return takes_time(network)
    if kind == "generator":
        return callable(getattr(network, "features", None)) and not isinstance(network.features, nn.Module)
    return _returned(network.forward) is Maps


def _time_of(network: Any) -> inspect.Parameter | None:
    try:
        return inspect.signature(network.forward).parameters.get("time")
    except (AttributeError, TypeError, ValueError):
        return None


def _class_of(factory: Any) -> type | None:
    """Return the class of what a factory makes: the factory itself, or what it says that it returns."""
    made = factory if inspect.isclass(factory) else _returned(factory)
    return made if inspect.isclass(made) and hasattr(made, "forward") else None


def _returned(function: Any) -> Any:
    try:
        return get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):  # names that exist for a type checker alone
        return None
