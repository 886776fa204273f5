"""From a resolved recipe to its parts: every slot under its own seed, every shape checked beforehand.

Because a slot's seed depends on the recipe's seed and the slot's path alone, swapping one component
leaves the initial weights of all others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from torch import nn

from i2i.abilities import ChangesSpec
from i2i.building.blame import Named, Suspect, slot_at_fault
from i2i.building.compiled import eager
from i2i.building.data_needs import fields_told
from i2i.building.feature_channels import channels_of_features
from i2i.building.groups import check_groups, frozen_parts, trained_parts
from i2i.building.initial_weights import load_start
from i2i.building.initialise import initialise
from i2i.building.needs import check_needs
from i2i.building.parts import part_of, written_sides
from i2i.errors import I2IError, PluginError, RecipeError, ran_out_of_memory
from i2i.kind_table import changes_spec
from i2i.kinds import (
    CALLBACK_EVENTS,
    Callback,
    DiscriminatorSlot,
    ExtraSpec,
    MethodSlots,
    Metric,
    PairSpec,
    Schedule,
    Transform,
)
from i2i.networks import CALLS, GIVEN, Judge, Losses, LossTerm, Networks, asked_of
from i2i.recipe.recipe import Recipe, Slot
from i2i.seeds import seeded
from i2i.slot_keys import Place


def make(recipe: Recipe, slot: Slot, **given: Any) -> Any:
    """Call a slot's factory with its parameters and the injected names that it takes, under its seed.

    Data is built under seed 0 whatever the recipe's seed, so that runs of other seeds can be compared.

    Raises RecipeError, placed in the recipe, when the factory refuses its parameters, PluginError when it
    fails in any other way.
    """
    injected = {name: value for name, value in given.items() if name in slot.injected}
    seed = 0 if slot.kind == "data" else recipe.seed
    with seeded(seed, slot.path), _errors_placed(slot):
        return slot.factory(**slot.params, **injected)


@contextmanager
def _errors_placed(slot: Slot) -> Iterator[None]:
    """Place in the recipe what goes wrong in the component of `slot`.

    A ValueError is how factories refuse their parameters, so the recipe is at fault; anything else is the
    plug-in's.
    """
    try:
        yield
    except I2IError:
        raise
    except ValueError as error:
        said = str(error) if str(error).startswith(f"{slot.entry.ref} ") else f"{slot.entry.ref}: {error}"
        raise RecipeError(slot.problem(said)) from error
    except (Exception, SystemExit) as error:
        if ran_out_of_memory(error):
            raise
        raise slot_at_fault(slot, error) from error


def method_slots(recipe: Recipe) -> MethodSlots:
    """Return what the recipe's method declares."""
    slots: MethodSlots = recipe.method.factory.slots  # type: ignore[attr-defined]
    return slots


def build_networks(recipe: Recipe, spec: PairSpec, *, start: bool = True) -> Networks:
    """Build and initialise every network of the recipe for data of `spec`.

    Without `start` no `init_from` is read and no published weights are fetched: a checkpoint is about to
    replace the weights.
    """
    roles = method_slots(recipe)
    generators, judges = {}, {}
    for slot in recipe.section("generators"):
        generators[slot.name] = build_network(recipe, slot, spec, start=start)
    for slot in recipe.section("discriminators"):
        module = build_network(recipe, slot, spec, start=start)
        judges[slot.name] = Judge(slot.name, module, is_conditional(roles, slot), partial(eager, recipe))
    others = {
        slot.name: build_network(recipe, slot, spec, start=start) for slot in recipe.section("networks")
    }
    networks = Networks(generators, judges, others)
    check_groups(recipe, networks)
    return networks


def build_network(recipe: Recipe, slot: Slot, spec: PairSpec, *, start: bool) -> nn.Module:
    """Build and initialise one network; `start` is that of `build_networks`."""
    channels = network_channels(recipe, slot, spec)
    roles = method_slots(recipe)
    seen = spec.seen_by(roles.generators[slot.name]) if slot.kind == "generator" else spec
    replaced = isinstance(slot.settings.init_from, Path)
    begins = start and not replaced and torch.get_default_device().type != "meta"
    module = make(recipe, slot, fetch=begins, spec=seen, **channels)
    if not isinstance(module, nn.Module):
        raise RecipeError(slot.problem(f"{slot.entry.ref} did not return an nn.Module"))
    if getattr(module, "keep_init", False) and slot.settings.init not in ("normal", "none"):
        # "normal" is the default, which a resolved recipe says of every network
        message = f"{slot.entry.ref} keeps the weights that it starts with (`keep_init`): leave `init` out"
        raise RecipeError(slot.problem(message, key="init"))
    with seeded(recipe.seed, slot.path, "init"), _errors_placed(slot):
        initialise(module, slot.settings.init)
    if slot.settings.init_from is not None and start:
        load_start(module, recipe, slot, channels)
    for part in frozen_parts(slot, module):
        part.requires_grad_(False)
    return module


def network_channels(recipe: Recipe, slot: Slot, spec: PairSpec) -> dict[str, Any]:
    """Return the channels that a network's factory may ask for, on data of `spec`."""
    roles = method_slots(recipe)
    if slot.kind == "generator":
        seen = spec.seen_by(roles.generators[slot.name])
        return {"in_channels": seen.source.channels, "out_channels": seen.target.channels}
    if slot.kind == "discriminator":
        return dict(judge_channels(roles, slot, spec))
    role, given = roles.networks[slot.name], dict[str, Any]()
    if role.reads is not None:
        given["in_channels"] = spec.side(role.reads).channels
    if role.writes is not None:
        given["out_channels"] = spec.side(role.writes).channels
    if role.on is not None and "feature_channels" in slot.injected:
        given["feature_channels"] = feature_channels(recipe, slot, spec)
    return given


def feature_channels(recipe: Recipe, slot: Slot, spec: PairSpec) -> tuple[int, ...]:
    """Return the channels of the features that the network of `slot` works on; none if it works on none.

    The network that hands them out is built without memory for it. Raises RecipeError where it has none.
    """
    roles = method_slots(recipe)
    path = roles.networks[slot.name].on
    if path is None:
        return ()
    on = recipe.slots[path]
    with torch.device("meta"):
        module = build_network(recipe, on, spec, start=False)
    if on.kind == "generator":
        check_needs(recipe, on, roles.generators[on.name], module)
    return channels_of_features(on, module, image_of(roles, on, spec), wanted_by=slot)


def image_of(roles: MethodSlots, slot: Slot, spec: PairSpec) -> tuple[int, int, int]:
    """Return the shape, without the batch, of the images that a network is given.

    Raises PluginError for a network that the method gives no image.
    """
    if slot.kind == "generator":
        seen = spec.seen_by(roles.generators[slot.name]).source
        return seen.channels, seen.height, seen.width
    if slot.kind == "discriminator":
        judged = spec.side(judge_role(roles, slot).judges)
        return judge_channels(roles, slot, spec)["in_channels"], judged.height, judged.width
    reads = roles.networks[slot.name].reads
    if reads is None:
        message = f"the method's slot for {slot.path} does not say what it `reads`, so it has no features"
        raise PluginError(slot.problem(message))
    side = spec.side(reads)
    return side.channels, side.height, side.width


def judge_role(roles: MethodSlots, slot: Slot) -> DiscriminatorSlot:
    """Return what the method, which declares `roles`, says of a discriminator."""
    judges = roles.discriminators
    return judges if isinstance(judges, DiscriminatorSlot) else judges[slot.name]


def is_conditional(roles: MethodSlots, slot: Slot) -> bool:
    """Whether a discriminator sees something beside the image: where there is such, unless told otherwise."""
    return judge_role(roles, slot).condition is not None and slot.settings.conditional is not False


def judge_channels(roles: MethodSlots, slot: Slot, spec: PairSpec) -> dict[str, int]:
    """Return the channels that a discriminator's factory may ask for, on data of `spec`."""
    role = judge_role(roles, slot)
    beside = role.condition if is_conditional(roles, slot) else None
    extra = spec.side(beside).channels if beside else 0
    return {"in_channels": spec.side(role.judges).channels + extra, "condition_channels": extra}


def build_losses(
    recipe: Recipe,
    device: str,
    spec: PairSpec,
    *,
    extra: Mapping[str, ExtraSpec] = {},
    fetch: bool = True,
) -> Losses:
    """Build the losses for data of `spec` and `extra` fields; modules go to `device`, never trained.

    Their weights are in no checkpoint, so they `fetch` them each time, unless only shapes are asked for.
    """
    roles = method_slots(recipe)
    sides = written_sides(roles)
    names = frozenset(slot.name for slot in recipe.section("discriminators"))
    terms = []
    factors: dict[str, float] = {}
    for slot in recipe.section("losses"):
        loss = build_loss(recipe, slot, spec, fetch=fetch, extra=extra)
        if isinstance(loss, nn.Module):
            loss = loss.to(device).eval().requires_grad_(False)
        on = frozenset(getattr(slot.settings, "on", ())) or names
        every = getattr(slot.settings, "every", 1)
        weight = slot.settings.weight
        part = part_of(slot, spec, sides) if slot.kind == "paired-loss" else None
        terms.append(LossTerm(slot.name, slot.kind, loss, weight, on, every, part, factors))
    return Losses(tuple(terms), factors, frozenset(roles.losses))


def build_loss(
    recipe: Recipe, slot: Slot, spec: PairSpec, *, fetch: bool, extra: Mapping[str, ExtraSpec] = {}
) -> Any:
    """Build one loss; RecipeError where its calls need what losses are not given, nor the `extra` fields."""
    loss = make(recipe, slot, fetch=fetch, spec=spec)
    for call, count in CALLS[slot.kind].items():
        if not callable(getattr(loss, call, None) if call else loss):
            what = f"has no {call}()" if call else "cannot be called"
            message = f"{slot.entry.ref} is no {slot.kind}: what its factory returned {what}"
            raise PluginError(slot.problem(message))
        with _errors_placed(slot):
            asked = asked_of(loss, call, count)
        for name, needed in asked.items():
            if needed and name not in GIVEN and name not in extra:
                where = f"its {call}()" if call else "its call"
                message = f"{slot.entry.ref}: {where} asks for '{name}', and losses are given"
                raise RecipeError(slot.problem(f"{message} {', '.join(GIVEN)}, and {fields_told(extra)}"))
    return loss


def build_optimizers(recipe: Recipe, networks: Networks) -> dict[str, torch.optim.Optimizer]:
    """Build one optimizer for each network, by its path, and one for each group that has its own."""
    optimizers = {}
    for path, trainable in trained_parts(recipe, networks).items():
        slot = recipe.slot_for("optimizers", path)
        assert slot is not None  # a recipe whose networks lack one is refused
        made = make(recipe, slot, params=trainable)
        if not isinstance(made, torch.optim.Optimizer):
            message = f"{slot.entry.ref} returned a {type(made).__name__}, and not a torch.optim.Optimizer"
            raise PluginError(slot.problem(message))
        optimizers[path] = made
    return optimizers


def build_schedules(
    recipe: Recipe, optimizers: Iterable[str], *, total_steps: int, steps_per_epoch: int
) -> dict[str, Schedule]:
    """Build a schedule for each of the `optimizers`, and each loss, that has one, by the path of these."""
    given = {"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    paths = [*optimizers, *(loss.path for loss in recipe.section("losses"))]
    slots = {path: recipe.slot_for("schedules", path) for path in paths}
    schedules = {path: make(recipe, slot, **given) for path, slot in slots.items() if slot is not None}
    for path, schedule in schedules.items():
        slot, factor = slots[path], schedule(0)
        sound = isinstance(factor, SupportsFloat) and 0 <= float(factor) < math.inf
        if slot is not None and not sound:
            message = f"{slot.entry.ref} gives {factor!r} for step 0, and a factor is a number from 0 up"
            raise PluginError(slot.problem(message))
    return schedules


def build_transforms(recipe: Recipe, *, at: Place, spec: PairSpec) -> dict[str, Transform]:
    """Build the transforms that are applied at one place to pairs of `spec`, in the recipe's order.

    Those that change what pairs are act where pairs are read, and are left out.
    """
    chosen = (slot for slot in recipe.section("transforms") if slot.settings.at == at)
    augmenting = (slot for slot in chosen if not changes_spec(slot.factory))
    return {slot.name: Named(make(recipe, slot, spec=spec), Suspect.of(slot)) for slot in augmenting}


def spec_after(slot: Slot, transform: ChangesSpec, spec: PairSpec) -> PairSpec:
    """Return what a transform makes of the spec of pairs; RecipeError where it takes none such."""
    with _errors_placed(slot):
        return transform.spec(spec)


def build_metrics(recipe: Recipe, spec: PairSpec) -> dict[str, Metric]:
    """Build the metrics of data of `spec`, by name, in the recipe's order; each is told of its part alone."""
    return {slot.name: build_metric(recipe, slot, spec) for slot in recipe.section("metrics")}


def build_metric(recipe: Recipe, slot: Slot, spec: PairSpec) -> Metric:
    """Build one metric of data of `spec`, which is told of its part alone."""
    metric: Metric = make(recipe, slot, spec=spec.about(slot.settings.part))
    return metric


def build_callbacks(recipe: Recipe, spec: PairSpec) -> dict[str, Callback]:
    """Build the callbacks of a run on data of `spec`, by name, in the recipe's order.

    Raises PluginError for one with none of the events: nobody would ever call it.
    """
    built = {slot.name: make(recipe, slot, spec=spec) for slot in recipe.section("callbacks")}
    for slot in recipe.section("callbacks"):
        if not any(hasattr(built[slot.name], event) for event in CALLBACK_EVENTS):
            events = ", ".join(CALLBACK_EVENTS)
            message = f"{slot.entry.ref} has none of the events that the engine calls: {events}"
            raise PluginError(slot.problem(message))
    return built
