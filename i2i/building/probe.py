"""Checking every shape of a recipe before a step is made: its networks built without memory, and run once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from i2i.building.blame import slot_at_fault
from i2i.building.components import (
    build_networks,
    is_conditional,
    judge_channels,
    judge_role,
    make,
    method_slots,
)
from i2i.errors import Problem, RecipeError
from i2i.maps import as_features, as_maps
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import ImageSpec, PairSpec


@dataclass(frozen=True)
class NetworkFacts:
    """What the probe found out about one network; shapes are without the batch."""

    path: str
    ref: str
    inputs: tuple[int, ...]
    outputs: list[tuple[int, ...]]
    parameters: int
    receptive_field: int | None
    size_multiple: int | None
    conditional: bool | None


def probe(recipe: Recipe, spec: PairSpec | None = None, *, start: bool = True) -> list[NetworkFacts]:
    """Build every network without memory (the meta device) and check each shape.

    Without `spec` the training split is opened to ask for it; `start` is that of `build_networks`. Raises
    RecipeError with all problems.
    """
    spec = spec or make(recipe, recipe.data, split="train").spec
    with torch.device("meta"):
        networks = build_networks(recipe, spec, start=start)
    facts: list[NetworkFacts] = []
    problems: list[Problem] = []
    for slot in (*recipe.section("generators"), *recipe.section("discriminators")):
        try:
            facts.append(_facts(recipe, slot, networks, spec))
        except RecipeError as error:
            problems.extend(error.problems)
    for slot in recipe.section("losses"):
        sentence = getattr(slot.factory, "requires", {}).get("features")
        if sentence and not _hand_out_features(recipe, slot, networks, spec):
            problems.append(recipe.problem(slot.path, sentence))
    if problems:
        raise RecipeError(*problems)
    return facts


def _facts(recipe: Recipe, slot: Slot, networks: Networks, spec: PairSpec) -> NetworkFacts:
    if slot.kind == "generator":
        role = method_slots(recipe).generators[slot.name]
        module, source = networks.generators[slot.name], spec.side(role.reads)
        inputs = (source.channels, source.height, source.width)
        _check_multiple(recipe, slot, module, source)
        wanted = (spec.side(role.writes).channels, source.height, source.width)
        outputs = [_run_on_meta(recipe, slot, module, inputs)]
        if not isinstance(outputs[0], Tensor):
            returned = type(outputs[0]).__name__
            raise RecipeError(
                recipe.problem(slot.path, f"{slot.entry.ref} returned a {returned}, and an image is a tensor")
            )
        if tuple(outputs[0].shape[1:]) != wanted:
            raise RecipeError(
                recipe.problem(
                    slot.path,
                    f"{slot.entry.ref} turns {_size(inputs)} into {_size(outputs[0].shape[1:])}; "
                    f"the target is {_size(wanted)}",
                )
            )
        conditional = None
    else:
        side = spec.side(judge_role(recipe, slot).judges)
        module = networks.judges[slot.name].module
        inputs = (judge_channels(recipe, slot, spec)["in_channels"], side.height, side.width)
        try:
            outputs = as_maps(_run_on_meta(recipe, slot, module, inputs))
        except TypeError as error:
            raise RecipeError(recipe.problem(slot.path, f"{slot.entry.ref}: {error}")) from error
        conditional = is_conditional(recipe, slot)
    return NetworkFacts(
        path=slot.path,
        ref=slot.entry.ref,
        inputs=inputs,
        outputs=[tuple(output.shape[1:]) for output in outputs],
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        receptive_field=getattr(module, "receptive_field", None),
        size_multiple=getattr(module, "size_multiple", None),
        conditional=conditional,
    )


def _check_multiple(recipe: Recipe, slot: Slot, module: nn.Module, image: ImageSpec) -> None:
    multiple = getattr(module, "size_multiple", 1)
    if image.height % multiple or image.width % multiple:
        raise RecipeError(
            recipe.problem(
                "data.size",
                f"{slot.entry.ref} needs a height and width that are multiples of {multiple}, "
                f"and the data is {image.height} x {image.width}",
            )
        )


def _run_on_meta(recipe: Recipe, slot: Slot, module: nn.Module, inputs: tuple[int, ...]) -> Any:
    try:
        with torch.no_grad():
            return module(torch.empty((2, *inputs), device="meta"))
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecipeError(
            recipe.problem(slot.path, f"{slot.entry.ref} cannot take {_size(inputs)}: {reason}")
        ) from error
    except (Exception, SystemExit) as error:
        raise slot_at_fault(recipe, slot, error) from error


def _hand_out_features(recipe: Recipe, loss: Slot, networks: Networks, spec: PairSpec) -> bool:
    slots = {slot.name: slot for slot in recipe.section("discriminators")}
    for name in loss.settings.on or slots:
        side = spec.side(judge_role(recipe, slots[name]).judges)
        inputs = (judge_channels(recipe, slots[name], spec)["in_channels"], side.height, side.width)
        if not as_features(_run_on_meta(recipe, slots[name], networks.judges[name].module, inputs)):
            return False
    return True


def _size(shape: Any) -> str:
    return " x ".join(map(str, shape))
