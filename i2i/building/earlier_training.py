"""Starting a recipe from an earlier training as a whole: each network that fits gets its `init_from`.

The exported generator has to fit. All other networks, discriminators above all, start from those of the
same name where these are the same and fit; the others start anew, and a note says which and why.
"""

from __future__ import annotations

from pathlib import Path

import torch

from i2i.building.components import build_network, method_slots
from i2i.errors import DataError, I2IError
from i2i.recipe.layers import COMMAND_LINE
from i2i.recipe.recipe import Recipe, Slot
from i2i.records import PairSpec
from i2i.runs import weights
from i2i.runs.earlier import EarlierNetworks, earlier_networks
from i2i.runs.folder import RunFolder
from i2i.runs.header import ModelHeader


def start_from(recipe: Recipe, spec: PairSpec, place: Path) -> tuple[Recipe, list[str]]:
    """Return `recipe`, for data of `spec`, with its networks started from `place`, and notes for the person.

    `place` is a model file, a run's folder or a checkpoint's. A network whose `init_from` the command line
    sets by itself keeps that.

    Raises DataError where `place` has no generator, RecipeError where that does not fit the recipe's.
    """
    earlier = earlier_networks(place.expanduser())
    by = f"--init-from {place}"
    name = f"generators.{method_slots(recipe).exports[0]}"
    free = [slot for slot in recipe.networks if not _set_by_itself(slot)]
    files: dict[str, Path] = {}
    notes: list[str] = []
    for slot in free:
        if slot.path == name:
            files[name] = _generator(earlier, name)
            _build(recipe.started_from({name: str(files[name])}, by=by), slot.path, spec)
            continue
        file = earlier.networks.get(slot.path)
        reason = _why_not(recipe, slot, spec, file, by) if file else _absent(earlier)
        if file and not reason:
            files[slot.path] = file
        else:
            notes.append(f"{slot.path} starts anew: {reason}")
    told = ", ".join(f"{path} from {file}" for path, file in files.items())
    started = [f"Started from an earlier training: {told}."] if told else []
    return recipe.started_from({path: str(file) for path, file in files.items()}, by=by), [*started, *notes]


def _set_by_itself(slot: Slot) -> bool:
    return slot.settings.init_from is not None and slot.origin("init_from").rank >= COMMAND_LINE


def _generator(earlier: EarlierNetworks, path: str) -> Path:
    """Return the file of the exported generator, which describes one."""
    file = earlier.model or earlier.networks.get(path)
    if file is None:
        others = ", ".join(earlier.networks) or "none"
        raise DataError(f"{earlier.place} holds no network {path} to start from (its networks: {others}).")
    ModelHeader.read(weights.read(file).header, path=file).generator(path=file)
    return file


def _build(recipe: Recipe, path: str, spec: PairSpec) -> None:
    """Build one network without memory, its start included: what does not fit raises."""
    with torch.device("meta"):
        build_network(recipe, recipe.slots[path], spec, start=True)


def _why_not(recipe: Recipe, slot: Slot, spec: PairSpec, file: Path, by: str) -> str:
    """Say why a network cannot start from `file`; nothing where it can."""
    header, _ = ModelHeader.read(weights.read(file).header, path=file).network(slot.path, {})
    if header.component != slot.entry.ref:
        return f"it is {slot.entry.ref}, and {file} holds {header.component}."
    _build(recipe, slot.path, spec)  # what is wrong with the network itself is no matter of its start
    try:
        _build(recipe.started_from({slot.path: str(file)}, by=by), slot.path, spec)
    except I2IError as error:
        return error.problems[0].message
    return ""


def _absent(earlier: EarlierNetworks) -> str:
    """Say why an earlier training has no file for a network other than the exported one."""
    if earlier.networks:
        return f"{earlier.place} has no network of that name (it has {', '.join(earlier.networks)})."
    run = RunFolder(earlier.place.parent)
    hint = f"; {run.root}, the run's folder, has the others too" if run.holds_run() else ""
    if earlier.place.is_dir():
        return f"{earlier.place} has no checkpoint, and its model is the generator alone."
    return f"{earlier.place} holds the generator alone{hint}."
