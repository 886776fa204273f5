"""What a method needs of a network beside its kind's contract, as far as classes show it.

"time" is a parameter of that name of the network's `forward`; "features" is a method `features(image)` of a
generator, and features in what a discriminator returns. Nothing is built here: `building.needs` looks again
at the networks themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from i2i.errors import Problem
from i2i.recipe.slots import Slot
from i2i.records import DiscriminatorSlot, GeneratorSlot, MethodSlots, NetworkNeed
from i2i.registry import Entry

Role = GeneratorSlot | DiscriminatorSlot

Components = Callable[[str], Iterable[Entry]]
"""Gives the components of a kind in the plug-ins that the recipe names, as it imports no others."""

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


def is_able(kind: str, need: NetworkNeed, network: Any) -> bool:
    """Whether a network, or its class, does what is needed; of a discriminator's features, if it says so."""
    if need == "time":
        return takes_time(network)
    from torch import nn  # whoever asks has networks, and so has torch

    from i2i.maps import Maps

    if kind == "generator":
        return callable(getattr(network, "features", None)) and not isinstance(network.features, nn.Module)
    return _returned(network.forward) is Maps


def lacking(method: Slot, slot: Slot, role: Role, need: NetworkNeed, components: Components) -> Problem:
    """Return what is told of a network that lacks what the method needs, with those that would fit."""
    needs = f"{method.entry.ref} needs a {slot.kind} that {WORDS[slot.kind, need]}"
    message = f"{needs}, and {slot.entry.ref} does not; {that_fit(slot.kind, role, components)}"
    return slot.problem(message, key="use")


def that_fit(kind: str, role: Role, components: Components) -> str:
    """Name the components of a kind with all that `role` needs, as far as their classes show it."""
    found = []
    for entry in components(kind):
        made = _class_of(entry.load())
        wanting = "time" not in role.needs and wants_time(made)
        if made is not None and not wanting and all(is_able(kind, need, made) for need in role.needs):
            found.append(entry.ref.removeprefix("core/"))
    if not found:
        return f"no {kind} of the plug-ins that this recipe names is known to fit"
    return f"{', '.join(found)} would fit"


def unmet(slots: Iterable[Slot], method: Slot, components: Components) -> list[Problem]:
    """Return a problem for each network whose own class shows that it has no time where the method needs one.

    What a function makes is seen once it is built, and so are features.
    """
    wanted = getattr(method.factory, "slots", None)
    if not isinstance(wanted, MethodSlots):
        return []
    found = []
    for slot in slots:
        role = _role_of(slot, wanted)
        if role is None or "time" not in role.needs or not inspect.isclass(slot.factory):
            continue
        if hasattr(slot.factory, "forward") and not takes_time(slot.factory):
            found.append(lacking(method, slot, role, "time", components))
    return found


def _role_of(slot: Slot, wanted: MethodSlots) -> Role | None:
    if slot.kind == "generator":
        return wanted.generators.get(slot.name)
    if slot.kind != "discriminator":
        return None
    judges = wanted.discriminators
    return judges if isinstance(judges, DiscriminatorSlot) else judges.get(slot.name)


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
