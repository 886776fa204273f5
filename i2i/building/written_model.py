"""A model file as the module that it describes: one network, or a method with all that it translates with."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from i2i import testtime
from i2i.augmentation import Augmentation
from i2i.building.test_keys import METHOD, SHORT, TestKeys, settings_changes
from i2i.building.unfilled import without_initial_weights
from i2i.errors import DataError, PluginError, Problem, RecipeError
from i2i.kinds import Method, kinds_of
from i2i.networks import Losses, Networks
from i2i.plugins.schema import Bound, bind
from i2i.plugins.versions import both_versions
from i2i.registry import Entry
from i2i.runs import weights
from i2i.runs.header import Made, ModelHeader
from i2i.seeds import seeded

Find = Callable[[str, Made], Entry]
"""Finds the component of a kind that something was made of; raises where it is not to be had."""


@dataclass(frozen=True)
class WrittenModel:
    """The module of a model file, in test mode, what its header says, and notes for the person."""

    module: nn.Module
    header: ModelHeader
    notes: tuple[str, ...]


class Translation(nn.Module):
    """A method's translation of images (B,C,H,W), and the networks that it takes, under their paths.

    What the method translates by is its own affair: it puts the networks into test mode and back.
    """

    def __init__(self, method: Method, networks: Mapping[str, nn.Module], generator: str) -> None:
        super().__init__()
        for path, network in networks.items():
            section, _, name = path.partition(".")
            # Set as torch keeps them, for a network may be called as one of a module's own attributes.
            part = self._modules.setdefault(section, nn.Module())
            assert part is not None
            part._modules[name] = network
        # Within a tuple, as a method that is a module would be taken for another network.
        self._by = (method, {"generator": generator} if takes_generator(method) else {})
        if (multiple := size_multiple(networks)) > 1:
            self.size_multiple = multiple

    def forward(self, source: Tensor) -> Tensor:
        """Return the translation of `source`."""
        method, which = self._by
        answer: Tensor = method.translate(source, **which)
        return answer


def takes_generator(method: Method) -> bool:
    """Whether the method's `translate` asks for the name of the generator to translate with."""
    return "generator" in inspect.signature(method.translate).parameters


def size_multiple(networks: Mapping[str, nn.Module]) -> int:
    """Return what height and width have to be multiples of, for all of the networks."""
    return math.lcm(*(getattr(network, "size_multiple", 1) for network in networks.values()))


def module_of(
    file: weights.WeightsFile,
    *,
    find: Find,
    device: str = "cpu",
    test: Mapping[str, Any] = {},
    short: Mapping[str, Any] = {},
) -> WrittenModel:
    """Return what a model file describes as a module on `device`, in test mode.

    `test` has values for test keys, `short` those of `dropout` and `norm`, in place of the file's. Raises
    DataError for a file that is no model, RecipeError for test keys that it does not have and for components
    that are others by now, PluginError for batch norms that cannot take each image's own statistics.
    """
    path = file.path
    header = ModelHeader.read(file.header, path=path)
    header.generator(path=path)  # refused where it holds none
    own = f"generators.{header.name}"
    made: dict[str, Made] = dict(header.networks) or {own: header}
    if header.networks and header.method is not None:
        made[METHOD] = header.method
    entries = {slot: find(_kind(slot), each) for slot, each in made.items()}
    notes = dict.fromkeys(
        note for slot, each in made.items() for note in each.check(entries[slot], path=path)
    )
    bounds = {slot: _bound(each, file, entries[slot]) for slot, each in made.items()}
    keys = TestKeys.of(header, {slot: bound.schema for slot, bound in bounds.items()}, path=path)
    for word in short:
        keys.refuse_short(word)
    chosen = keys.chosen({**{SHORT[word]: value for word, value in short.items()}, **test})
    for slot, values in chosen.items():
        if slot in bounds:
            bounds[slot] = bind(entries[slot], {**made[slot].slot, **values})
    networks = {
        slot: _network(header, slot, bounds[slot], file, entries[slot].ref, device)
        for slot in made
        if slot != METHOD
    }
    if METHOD not in made:
        module = networks[own]
        assert header.test is not None
        settings = replace(header.test, **settings_changes(chosen))
        try:
            testtime.apply(module, settings)
        except PluginError as error:
            problems = (replace(p, where=entries[own].ref, file=str(path)) for p in error.problems)
            raise PluginError(*problems) from error
        return WrittenModel(module, replace(header, test=settings), tuple(notes))
    method = _method(header, bounds[METHOD], networks, file, entries[METHOD].ref)
    module = Translation(method, networks, header.name).eval()
    return WrittenModel(module, replace(header, test=method.test), tuple(notes))


def _kind(slot: str) -> str:
    return kinds_of(slot.partition(".")[0])[0]


def _bound(made: Made, file: weights.WeightsFile, entry: Entry) -> Bound:
    """Read a component's table; RecipeError where the installed one has other parameters."""
    bound = bind(entry, made.slot)
    faults = [f"the installed {entry.ref} has no parameter '{name}'" for name in sorted(bound.unknown)]
    faults += bound.errors.values()
    if not faults:
        return bound
    then, now = made.written_with, f"{entry.distribution} {entry.version}"
    skew = both_versions(then, now) if then != now else ""
    raise RecipeError(*(Problem(fault, file=str(file.path), hint=skew) for fault in faults))


def _network(
    header: ModelHeader, slot: str, bound: Bound, file: weights.WeightsFile, ref: str, device: str
) -> nn.Module:
    own, tensors = header.network(slot, file.tensors)
    spec, _ = header.generator(path=file.path)
    channels = {"in_channels": spec.source.channels, "out_channels": spec.target.channels}
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in own.given.items()} or channels
    try:
        # Without memory first: a header may ask for more than its own tensors ever filled.
        with torch.device("meta"):
            shapes = bound.call(**given, spec=spec, fetch=False)
            weights.load_into(shapes, tensors, source=str(file.path), target=ref)
        with seeded(0, "load"), without_initial_weights():
            module: nn.Module = bound.call(**given, spec=spec, fetch=False)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{file.path} is not a model that {ref} can make: {error}") from error
    weights.load_into(module, tensors, source=str(file.path), target=ref)
    return module.to(device)


def _method(
    header: ModelHeader, bound: Bound, networks: Mapping[str, nn.Module], file: weights.WeightsFile, ref: str
) -> Method:
    """Build the method around the networks of its model file, and nothing else."""
    spec, _ = header.generator(path=file.path)
    try:
        with seeded(0, "load"):
            method: Method = bound.call(
                networks=Networks.of(networks),
                losses=Losses(()),
                augmentation=Augmentation({}, spec),
                spec=spec,
            )
    except (KeyError, IndexError) as error:
        raise PluginError(
            f"{file.path}: {ref} cannot be built of the networks that its `translates_with` names alone: "
            f"{type(error).__name__}: {error}."
        ) from error
    except ValueError as error:
        raise RecipeError(f"{file.path}: {ref}: {error}") from error
    return method
