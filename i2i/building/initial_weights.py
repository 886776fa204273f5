"""Starting a network from the weights of an earlier training, which `init_from` names (fine-tuning)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from i2i.building.groups import known_group
from i2i.errors import I2IError, Problem, RecipeError
from i2i.images.values import CONVERTIBLE
from i2i.recipe.recipe import Recipe, Slot
from i2i.runs import weights
from i2i.runs.header import ModelHeader
from i2i.runs.model_choice import model_in

_CHANNELS = {"in_channels": "data.source_channels", "out_channels": "data.target_channels"}
"""Keys that a data set may have for the channels that a generator of source to target is given."""

Unlike = Mapping[str, tuple[Any, Any]]
"""What two networks are made of where they differ: key -> (that of the file, that of the recipe)."""


def load_start(module: nn.Module, recipe: Recipe, slot: Slot, channels: Mapping[str, Any]) -> None:
    """Copy into `module`, the network of `slot`, the weights that its `init_from` names.

    That is a file for all of it, or one for each of some groups of its parts. On the meta device only check
    that they would fit. Raises, placed at the key, DataError for a file that is no weights file, RecipeError
    for weights that do not fit: what both are made of, and what would fit.
    """
    start = slot.settings.init_from
    if isinstance(start, Mapping):
        for group, place in start.items():
            _load_group(module, slot, group, place)
        return
    try:
        path, header, tensors = _network_in(slot, start)
        if header.component == slot.entry.ref:
            header.check(slot.entry, path=path)
        unlike = header.unlike(slot, recipe.table[slot.section][slot.name], channels)
        source = _described(path, {key: there for key, (there, _) in unlike.items()})
        target = _described(slot.entry.ref, {key: here for key, (_, here) in unlike.items()})
        try:
            weights.load_into(module, tensors, source=source, target=target)
        except RecipeError as error:
            fitting = "; ".join(_what_fits(recipe, slot, unlike))
            raise RecipeError(replace(error.problems[0], hint=fitting)) from error
    except I2IError as error:
        first: Problem = error.problems[0]
        raise type(error)(slot.problem(first.message, first.hint, key="init_from")) from error


def _load_group(module: nn.Module, slot: Slot, group: str, place: Path) -> None:
    """Copy into a group of a network's parts their weights out of a file.

    The file is of a network that has parts of the same names, or, for a group of one part, is that part.
    """
    key = f"init_from.{group}"
    names = known_group(slot, module, group, key=key)
    try:
        path, header, tensors = _network_in(slot, place)
        if header.component == slot.entry.ref:
            header.check(slot.entry, path=path)
        for name in names:
            own = {k.removeprefix(f"{name}."): t for k, t in tensors.items() if k.startswith(f"{name}.")}
            if not own and len(names) == 1:
                own = dict(tensors)
            target = f"the part '{name}' of {slot.entry.ref}"
            weights.load_into(module.get_submodule(name), own, source=str(path), target=target)
    except I2IError as error:
        first: Problem = error.problems[0]
        raise type(error)(slot.problem(first.message, first.hint, key=key)) from error


def _network_in(slot: Slot, place: Path) -> tuple[Path, ModelHeader, Mapping[str, Tensor]]:
    """Return the file that `place` stands for, and what it says and holds of the network of `slot`."""
    path = model_in(place.expanduser())
    file = weights.read(path)
    return path, *ModelHeader.read(file.header, path=path).network(slot.path, file.tensors)


def _described(what: object, made_of: Mapping[str, Any]) -> str:
    told = ", ".join(f"{key} = {value}" for key, value in made_of.items() if value is not None)
    return f"{what} ({told})" if told else str(what)


def _what_fits(recipe: Recipe, slot: Slot, unlike: Unlike) -> list[str]:
    """Return how the recipe would have to be changed for weights that do not fit."""
    ways = []
    table = slot.origin().where
    own = {key: there for key, (there, _) in unlike.items() if key not in _CHANNELS and there is not None}
    if own:
        settings = " ".join(f"--set {_setting(f'{table}.{key}', value)}" for key, value in own.items())
        ways.append(f"a network that fits: {settings}")
    if channels := _CHANNELS.keys() & unlike.keys():
        told = " and ".join(
            f"{unlike[key][1]} {side} where the model has {unlike[key][0]}"
            for key, side in (("in_channels", "in"), ("out_channels", "out"))
            if key in channels
        )
        ways.append(f"channels are those of the data, {told}{_converted(recipe, unlike)}")
    return ways


def _converted(recipe: Recipe, unlike: Unlike) -> str:
    """Say how the data's channels become those of a model, where the data set has keys for that."""
    known = recipe.data.params.keys()
    wanted = {where: unlike[key][0] for key, where in _CHANNELS.items() if key in unlike}
    settings = [
        f"--set {where}={count}"
        for where, count in wanted.items()
        if where.removeprefix("data.") in known and count in CONVERTIBLE
    ]
    return f": {' '.join(settings)} where nothing is lost by that" if settings else ""


def _setting(key: str, value: Any) -> str:
    """Return ``KEY=VALUE`` as `--set` and a shell take it."""
    return shlex.quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
