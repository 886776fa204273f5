"""Groups of a network's parts: what the network says they are, and what a recipe says of each.

A network may have an attribute `groups`, a mapping of a group's name to the names of its parts, as in
`named_modules`. A recipe names a group by the network's path and its name, ``generators.main.encoder``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from i2i.errors import PluginError, Problem, RecipeError, did_you_mean
from i2i.networks import Networks
from i2i.recipe.recipe import Recipe, Slot

Groups = Mapping[str, tuple[str, ...]]
"""The names of a network's parts by the name of their group."""


def groups_of(slot: Slot, module: nn.Module) -> Groups:
    """Return the groups of `module`, the network of `slot`; none where it says nothing.

    Raises PluginError for what is no mapping to names of its parts, and for groups that share a parameter.
    """
    said = getattr(module, "groups", None)
    if said is None or isinstance(said, int):  # torch's convolutions count their groups of channels so
        return {}
    fault = "" if isinstance(said, Mapping) else f"a {type(said).__name__}, and no mapping of names to names"
    found: dict[str, tuple[str, ...]] = {}
    owners: dict[int, str] = {}
    parts = dict(module.named_modules())
    for group, names in said.items() if not fault else ():
        found[group] = (names,) if isinstance(names, str) else tuple(names)
        unknown = [name for name in found[group] if name not in parts or not name]
        if unknown:
            fault = f"wrong: '{unknown[0]}' of '{group}' is no part of it{did_you_mean(unknown[0], parts)}"
            break
        for parameter in _parameters(module, found[group]):
            if owners.setdefault(id(parameter), group) != group:
                fault = f"wrong: '{owners[id(parameter)]}' and '{group}' share a parameter"
    if fault:
        raise PluginError(slot.problem(f"{slot.entry.ref}: its `groups` are {fault}"))
    return found


def parts_at(recipe: Recipe, networks: Networks, path: str) -> list[nn.Module]:
    """Return the module at a network's path, or the parts at that of one of its groups.

    Raises KeyError for a group that there is not: `check_groups` has told of those.
    """
    section, name, *group = path.split(".", 2)
    slot = recipe.slots[f"{section}.{name}"]
    module = dict(networks.modules())[slot.path]
    return [module] if not group else parts_of(module, groups_of(slot, module)[group[0]])


def parts_of(module: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Return the parts of a module by their names."""
    return [module.get_submodule(name) for name in names]


def frozen_parts(slot: Slot, module: nn.Module) -> list[nn.Module]:
    """Return what the key `frozen` of a network keeps as it is: the network, or parts of it, or nothing.

    Raises RecipeError for a group that the network has not.
    """
    frozen = slot.settings.frozen
    if frozen is True:
        return [module]
    groups = groups_of(slot, module) if frozen else {}
    for name in frozen or ():
        _check_known(slot, groups, name, slot.problem("", key="frozen"))
    return [part for name in frozen or () for part in parts_of(module, groups[name])]


def known_group(slot: Slot, module: nn.Module, name: str, *, key: str) -> Sequence[str]:
    """Return the names of the parts of a group that `key` of the network's table names; else RecipeError."""
    groups = groups_of(slot, module)
    _check_known(slot, groups, name, slot.problem("", key=key))
    return groups[name]


def trained_parts(recipe: Recipe, networks: Networks) -> dict[str, list[nn.Parameter]]:
    """Return what each optimizer trains, by the path of a network, or of a group with one of its own.

    A group has an optimizer of its own where a recipe has an optimizer or a schedule for it; what is left of
    its network is under the network's path. What is frozen is in none.
    """
    trained: dict[str, list[nn.Parameter]] = {}
    for path, module in networks.modules():
        left = {id(parameter): parameter for parameter in module.parameters() if parameter.requires_grad}
        own: dict[str, list[nn.Parameter]] = {}
        for name, names in groups_of(recipe.slots[path], module).items():
            group = f"{path}.{name}"
            if any(f"{section}.{group}" in recipe.slots for section in ("optimizers", "schedules")):
                taken = [left.pop(id(p)) for p in _parameters(module, names) if id(p) in left]
                own |= {group: taken} if taken else {}
        trained |= {path: list(left.values())} if left else {}
        trained |= own
    return trained


def check_groups(recipe: Recipe, networks: Networks) -> None:
    """Raise RecipeError where a recipe names groups that there are not, or leaves a part without optimizer.

    What can be told without the networks was told when the recipe was read.
    """
    modules = dict(networks.modules())
    groups = {path: groups_of(recipe.slots[path], module) for path, module in modules.items()}
    trained = trained_parts(recipe, networks)
    problems = list(_unknown(recipe, groups))
    if not problems:
        problems += _untrained(recipe, modules, trained)
        problems += _idle(recipe, trained)
    if problems:
        raise RecipeError(*problems)


def _unknown(recipe: Recipe, groups: Mapping[str, Groups]) -> Iterator[Problem]:
    """Yield a problem for each group that an optimizer, a schedule or a stage names in vain."""
    named = [
        (slot.name, slot.problem("", key="use"))
        for section in ("optimizers", "schedules")
        for slot in recipe.section(section)
    ]
    named += [
        (path, recipe.problem(f"stages.{name}.frozen", ""))
        for name, stage in recipe.stages.items()
        for path in stage.frozen
    ]
    for path, place in named:
        section, _, rest = path.partition(".")
        name, _, group = rest.partition(".")
        if group:
            slot = recipe.slots[f"{section}.{name}"]
            try:
                _check_known(slot, groups[slot.path], group, place)
            except RecipeError as error:
                yield from error.problems


def _untrained(
    recipe: Recipe, modules: Mapping[str, nn.Module], trained: Mapping[str, Sequence[nn.Parameter]]
) -> Iterator[Problem]:
    for path, module in modules.items():
        slot = recipe.slots[path]
        if slot.settings.frozen is True:
            continue
        if not any(parameter.requires_grad for parameter in module.parameters()):
            yield slot.problem(f"{slot.entry.ref} has nothing to train here: set frozen = true", key="use")
    for path in trained:
        if recipe.slot_for("optimizers", path) is None:
            network = recipe.slots[".".join(path.split(".")[:2])]
            group = path[len(network.path) + 1 :]
            what = f"its group '{group}'" if group else "the rest of this network"
            message = f"no optimizer trains {what}: add [optimizers.{network.section}]"
            yield network.problem(message, key="use")


def _idle(recipe: Recipe, trained: Mapping[str, Sequence[nn.Parameter]]) -> Iterator[Problem]:
    """Yield a problem for each optimizer and schedule that is in charge of nothing.

    Schedules of losses are told of when the recipe is read.
    """
    for section in ("optimizers", "schedules"):
        in_charge = {slot.path for path in trained if (slot := recipe.slot_for(section, path)) is not None}
        for slot in recipe.section(section):
            if slot.path not in in_charge and not slot.name.startswith("losses."):
                why = "all that it could train is frozen, or has one of its own"
                yield slot.problem(f"this {slot.kind} has nothing to do: {why}", key="use")


def _check_known(slot: Slot, groups: Groups, name: str, place: Problem) -> None:
    if name not in groups:
        there = f"its groups: {', '.join(groups)}" if groups else "it has none"
        close = did_you_mean(name, groups) or f"; {there}"
        message = f"{slot.path} ({slot.entry.ref}) has no group '{name}'{close}"
        raise RecipeError(replace(place, message=message))


def _parameters(module: nn.Module, names: Sequence[str]) -> list[nn.Parameter]:
    """Return each parameter of some parts once."""
    return list({id(p): p for part in parts_of(module, names) for p in part.parameters()}.values())
