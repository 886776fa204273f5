"""Checking every shape of a recipe before a step is made: its networks built without memory, and run once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from i2i.building.blame import slot_at_fault
from i2i.building.components import (
    build_networks,
    feature_channels,
    image_of,
    is_conditional,
    judge_role,
    method_slots,
)
from i2i.building.data_needs import unmet_by_data
from i2i.building.needs import beside, check_needs, lacking
from i2i.building.own_terms import own_terms
from i2i.building.parts import part_problem, sides_with_part, written_sides
from i2i.errors import Problem, RecipeError
from i2i.maps import as_features, as_maps
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import ExtraSpec, MethodSlots, PairSpec, Side


@dataclass(frozen=True)
class NetworkFacts:
    """What the probe found out about one network; shapes are without the batch.

    A network that is neither generator nor discriminator promises no shapes: it has none here.
    """

    path: str
    ref: str
    inputs: tuple[int, ...]
    outputs: list[tuple[int, ...]]
    parameters: int
    receptive_field: int | None
    size_multiple: int | None
    conditional: bool | None

    @property
    def section(self) -> str:
        """The section of its slot: ``generators``, ``discriminators`` or ``networks``."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """The name of its slot within the section."""
        return self.path.partition(".")[2]


def probe(
    recipe: Recipe, spec: PairSpec, *, start: bool = True, extra: Mapping[str, ExtraSpec] = {}
) -> list[NetworkFacts]:
    """Build every network without memory (the meta device) and check each shape.

    `spec` is what the training split says of itself, `extra` the further fields that it has, `start` that of
    `build_networks`. Raises RecipeError with all problems, PluginError where the method cannot say what it
    adds to the objective.
    """
    own_terms(recipe.method)
    with torch.device("meta"):
        networks = build_networks(recipe, spec, start=start)
    facts, problems = _of_networks(recipe, networks, spec)
    parts = (part_problem(slot, spec, ("target",)) for slot in recipe.section("metrics"))
    problems += [problem for problem in parts if problem]
    problems += _of_losses(recipe, networks, spec, sound={fact.path for fact in facts})
    problems += unmet_by_data(recipe, spec, extra)
    if problems:
        raise RecipeError(*problems)
    return facts


def network_facts(recipe: Recipe, spec: PairSpec) -> list[NetworkFacts]:
    """Return what the probe finds of the networks alone, of a run that was made.

    Raises RecipeError where they cannot be built for data of `spec`.
    """
    with torch.device("meta"):
        networks = build_networks(recipe, spec, start=False)
    facts, problems = _of_networks(recipe, networks, spec)
    if problems:
        raise RecipeError(*problems)
    return facts


def _of_networks(
    recipe: Recipe, networks: Networks, spec: PairSpec
) -> tuple[list[NetworkFacts], list[Problem]]:
    """Return the facts of each network that is sound, and what is wrong with the others."""
    roles = method_slots(recipe)
    facts: list[NetworkFacts] = []
    problems: list[Problem] = []
    for slot in recipe.networks:
        try:
            if slot.kind == "generator":
                facts.append(_of_generator(slot, networks.generators[slot.name], roles, spec, recipe))
            elif slot.kind == "network":
                feature_channels(recipe, slot, spec)  # there are some where it works on them
                facts.append(_facts(slot, networks.others[slot.name], (), (), conditional=None))
            else:
                facts.append(_of_discriminator(slot, networks.judges[slot.name].module, roles, spec, recipe))
        except RecipeError as error:
            problems.extend(error.problems)
    return facts, problems


def _of_losses(
    recipe: Recipe, networks: Networks, spec: PairSpec, *, sound: Collection[str]
) -> Iterator[Problem]:
    """Yield what losses need and lack: parts, label maps, features of networks that are `sound`."""
    roles = method_slots(recipe)
    discriminators = {slot.name: slot for slot in recipe.section("discriminators")}
    sides = written_sides(roles)
    for slot in recipe.section("losses"):
        needs = getattr(slot.factory, "requires", {})
        part = slot.settings.part if slot.kind == "paired-loss" else None
        compared = [spec.side(side) for side in sides]
        if part:
            if problem := part_problem(slot, spec, sides):
                yield problem
                continue
            compared = [spec.side(side).part(part) for side in sides_with_part(slot, spec, sides)]
        if "labels" in needs and not all(side.one_hot for side in compared):
            yield slot.problem(needs["labels"], _label_parts(spec, sides))
        sentence = needs.get("features", "")
        on = [discriminators[name] for name in slot.settings.on or discriminators] if sentence else []
        looked_at = [judge for judge in on if judge.path in sound]  # others are told already
        if not all(_hands_out_features(judge, networks, roles, spec) for judge in looked_at):
            yield slot.problem(sentence)


def _of_generator(
    slot: Slot, module: nn.Module, roles: MethodSlots, spec: PairSpec, recipe: Recipe
) -> NetworkFacts:
    role = roles.generators[slot.name]
    check_needs(recipe, slot, role, module)
    seen = spec.seen_by(role)
    source, target = seen.source, seen.target
    multiple = getattr(module, "size_multiple", 1)
    if source.height % multiple or source.width % multiple:
        message = (
            f"{slot.entry.ref} needs a height and width that are multiples of {multiple}, "
            f"and the data is {source.height} x {source.width}"
        )
        raise RecipeError(recipe.data.problem(message, key="size"))
    inputs = (source.channels, source.height, source.width)
    stack = " and ".join(role.sides) if role.sides[1:] else ""
    output = _run_on_meta(slot, module, inputs, timed="time" in role.needs, stack=stack)
    if not isinstance(output, Tensor):
        returned = type(output).__name__
        raise RecipeError(slot.problem(f"{slot.entry.ref} returned a {returned}, and an image is a tensor"))
    wanted = (target.channels, source.height, source.width)
    if tuple(output.shape[1:]) != wanted:
        turns = f"{slot.entry.ref} turns {_shown(inputs, stack)} into {_size(output.shape[1:])}"
        raise RecipeError(slot.problem(f"{turns}; the target is {_size(wanted)}"))
    return _facts(slot, module, inputs, [output], conditional=None)


def _of_discriminator(
    slot: Slot, module: nn.Module, roles: MethodSlots, spec: PairSpec, recipe: Recipe
) -> NetworkFacts:
    role = judge_role(roles, slot)
    check_needs(recipe, slot, role, module)
    inputs = image_of(roles, slot, spec)
    output = _run_on_meta(slot, module, inputs, timed="time" in role.needs)
    try:
        maps = as_maps(output)
    except TypeError as error:
        raise RecipeError(slot.problem(f"{slot.entry.ref}: {error}")) from error
    if "features" in role.needs and not as_features(output):
        raise lacking(recipe, slot, role, "features")
    return _facts(slot, module, inputs, maps, conditional=is_conditional(roles, slot))


def _hands_out_features(slot: Slot, networks: Networks, roles: MethodSlots, spec: PairSpec) -> bool:
    module, timed = networks.judges[slot.name].module, "time" in judge_role(roles, slot).needs
    return bool(as_features(_run_on_meta(slot, module, image_of(roles, slot, spec), timed=timed)))


def _label_parts(spec: PairSpec, sides: Sequence[Side]) -> str:
    """Say which parts of the sides that are written are label maps, if any."""
    maps = dict.fromkeys(part.name for side in sides for part in spec.side(side).parts if part.one_hot)
    return f"of the parts {' and '.join(maps)} would fit: name it by `part`" if maps else ""


def _facts(
    slot: Slot,
    module: nn.Module,
    inputs: tuple[int, ...],
    outputs: Sequence[Tensor],
    *,
    conditional: bool | None,
) -> NetworkFacts:
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


def _run_on_meta(
    slot: Slot, module: nn.Module, inputs: tuple[int, int, int], *, timed: bool, stack: str = ""
) -> Any:
    """Call a network without memory, with a time beside the image where the method gives one (`timed`).

    `stack` names the sides of a pair that are stacked to its input, if they are several.
    """
    image = torch.empty((2, *inputs), device="meta")
    try:
        with torch.no_grad():
            return module(image, **beside(module, image, given=timed))
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{slot.entry.ref} cannot take {_shown(inputs, stack)}: {reason}"
        raise RecipeError(slot.problem(message)) from error
    except (Exception, SystemExit) as error:
        raise slot_at_fault(slot, error) from error


def _shown(inputs: tuple[int, int, int], stack: str) -> str:
    return f"{_size(inputs)}, {stack} as one stack" if stack else _size(inputs)


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
