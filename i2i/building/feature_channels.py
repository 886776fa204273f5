"""The channels of what a network hands out by `features(image)`, told by running it without memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from i2i.abilities import HandsOutFeatures
from i2i.building.blame import slot_at_fault
from i2i.errors import PluginError, RecipeError, described
from i2i.maps import as_features
from i2i.recipe.recipe import Slot


def channels_of_features(
    slot: Slot, module: nn.Module, inputs: tuple[int, int, int], *, wanted_by: Slot
) -> tuple[int, ...]:
    """Return the channels of each feature of `module`, the network of `slot`, built on the meta device.

    `inputs` is the shape of an image that it takes, without the batch. A discriminator may hand out features
    beside its logits instead, as `Maps`. Raises RecipeError, placed at `wanted_by`, where it has none, and
    PluginError for features that are no list of tensors (B,c,...).
    """
    image = torch.empty((2, *inputs), device="meta")
    try:
        with torch.no_grad():
            found = _features(slot, module, image)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        size = " x ".join(map(str, inputs))
        raise RecipeError(slot.problem(f"{slot.entry.ref} has no features of {size}: {reason}")) from error
    except Exception as error:
        raise slot_at_fault(slot, error) from error
    if found is None or (isinstance(found, list) and not found):
        message = (
            f"{wanted_by.entry.ref} works on the features of {slot.path}, and {slot.entry.ref} hands out "
            "none: take a network that has a method `features(image)`"
        )
        raise RecipeError(wanted_by.problem(message, key="use"))
    if not isinstance(found, list) or not all(isinstance(one, Tensor) and one.dim() > 1 for one in found):
        told = ", ".join(map(described, found)) if isinstance(found, list) else described(found)
        returned = f"{slot.entry.ref}: features(image) returned {told}"
        raise PluginError(slot.problem(f"{returned}, and has to return a list of tensors (B,c,...)"))
    return tuple(one.shape[1] for one in found)


def hands_out_features(network: nn.Module) -> bool:
    """Whether a network has a method `features`, and no part of that name."""
    return isinstance(network, HandsOutFeatures) and not isinstance(network.features, nn.Module)


def _features(slot: Slot, module: Any, image: Tensor) -> Any:
    """Return what a network hands out of an image; None where it hands out nothing."""
    if hands_out_features(module):
        return module.features(image)
    if slot.kind == "discriminator":
        return [feature for scale in as_features(module(image)) for feature in scale]
    return None
