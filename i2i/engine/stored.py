"""A session as files: its whole state as a checkpoint, its exported generators as models; and back again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from i2i.building import components
from i2i.engine.exported_model import exported_networks
from i2i.engine.session import Duties, Session
from i2i.errors import DataError, PluginError, RecipeError, ResourceError, in_a_line
from i2i.recipe.recipe import Slot
from i2i.records import PairSpec, Side
from i2i.runs import checkpoint, state, weights
from i2i.runs.earlier import network_file
from i2i.runs.header import ModelHeader, made_of, reading, shareable
from i2i.runs.model_files import model_name

TRAINER = "trainer.safetensors"

Read = Callable[[Path], weights.WeightsFile]


def files(
    session: Session, duties: Duties | None = None, *, processes: int = 1
) -> dict[str, weights.Snapshot]:
    """Return the whole state as the files of a checkpoint, with the `duties` that its step still has.

    They are copies: training may go on before they are written. So many `processes` take part in the saving.

    Raises PluginError for what cannot be saved, DivergedError for networks that are not finite.
    """
    session.run.check_finite(session.networks.modules())
    networks = [module for _, module in session.networks.modules()]
    whole = {
        "step": session.step,
        "figures": session.figures,
        "best": session.best,
        "waited": session.waited,
        "scaler": session.run.scaler.state_dict(),
        "parts": {name: state.of(part, but=networks) for name, part in session.stateful().items()},
        "duties": asdict(duties) if duties else None,
    }
    if processes > 1:
        whole["processes"] = processes
    try:
        found = {network_file(path): _network(session, path, m) for path, m in session.networks.modules()}
        tensors, skeleton = state.pack(whole)
        found[TRAINER] = weights.Snapshot(tensors, {"trainer": skeleton})
    except TypeError as error:
        raise PluginError(f"a checkpoint cannot be written: {error}.") from error
    return found


def load(session: Session, folder: Path, *, read: Read = weights.read) -> tuple[Duties, list[str]]:
    """Take the whole state back from a checkpoint's folder; return its duties, and notes for the person.

    `read` gives a file of it, from the disk or from anywhere else.

    Raises DamagedError when its files are not the state of a run, RecipeError when a component's
    revision or parameters have changed since.
    """
    networks, trainer = _read(session, folder, read)
    notes: list[str] = []
    for path, module in session.networks.modules():
        file, slot = networks[path], session.recipe.slots[path]
        notes += ModelHeader.read(file.header, path=file.path).check(slot.entry, path=file.path)
        weights.load_into(module, file.tensors, source=str(file.path), target=slot.entry.ref)
    session.run.step = trainer["step"]
    session.run.stage = session.stages.enter(max(session.step - 1, 0))  # of the step that was made
    session.figures, session.best, session.waited = trainer["figures"], trainer["best"], trainer["waited"]
    session.saved_by = trainer.get("processes", 1)
    session.run.scaler.load_state_dict(trainer["scaler"])
    parts, saved = session.stateful(), trainer["parts"]
    # A callback may come and go between two starts of a run.
    if any(not name.startswith("callbacks.") for name in parts.keys() ^ saved.keys()):
        raise RecipeError(
            f"{folder / TRAINER} does not hold the state of this recipe's parts; start with --fresh."
        )
    for name in parts.keys() & saved.keys():
        state.restore(parts[name], saved[name])
    if session.step:
        session.pace_losses(session.step - 1)  # whoever looks back at that step finds its weights
    duties: Duties = trainer["duties"]
    duties.callbacks = [name for name in duties.callbacks if name in session.callbacks]
    return duties, notes


def model_names(session: Session) -> dict[str, str]:
    """Return the names of a run's model files, and the exported generator that each is for."""
    exports = components.method_slots(session.recipe).exports
    return {model_name(name, exports): name for name in exports}


def model_files(session: Session, files: Mapping[str, weights.Snapshot] = {}) -> dict[str, weights.Snapshot]:
    """Return each exported generator as a self-describing weights file, by the names of these files.

    Each holds all that translating takes (`MethodSlots.translates_with`): then tensors are under the paths of
    their networks. Else, of the `files` of this step they are those of the generators, unless weights are
    averaged.
    """
    found = {}
    whole = bool(components.method_slots(session.recipe).translates_with)
    with session.average.swapped() if session.average else nullcontext():
        for file, name in model_names(session).items():
            path = f"generators.{name}"
            if whole:
                found[file] = _translation(session, name)
            elif session.average is None and network_file(path) in files:
                found[file] = files[network_file(path)]
            else:
                found[file] = _network(session, path, session.networks.generators[name])
    return found


def describe(session: Session, slot: Slot) -> ModelHeader:
    """Return the header of a network's weights file: all that is needed to build and run it."""
    header = ModelHeader(
        **vars(made_of(slot, session.recipe)),
        provenance={**session.provenance, "step": session.step},
        name=slot.name,
    )
    if slot.kind != "generator":
        return header
    role = components.method_slots(session.recipe).generators[slot.name]
    return replace(
        header,
        reads=role.sides,
        writes=role.writes,
        method=made_of(session.recipe.method, session.recipe),
        pair_spec=session.spec.seen_by(role),
        test=session.method.test,
        scale=session.scale,
        pictures=session.pictures,
        reading=reading(session.recipe, getattr(session.data["train"], "unchanged_spec", None)),
        **shareable(session.recipe),
    )


def _translation(session: Session, name: str) -> weights.Snapshot:
    """Return the method's translation by the exported generator `name`, with all networks that it takes."""
    recipe, roles = session.recipe, components.method_slots(session.recipe)
    writes = roles.generators[name].writes
    reads: Side = "source" if writes == "target" else "target"
    networks = exported_networks(recipe, session.networks, name)
    slots = {path: recipe.slots[path] for path in networks}
    header = replace(
        describe(session, recipe.slots[f"generators.{name}"]),
        reads=(reads,),
        pair_spec=PairSpec(session.spec.side(reads), session.spec.side(writes), session.spec.aligned),
        networks={
            path: made_of(slot, recipe, components.network_channels(recipe, slot, session.spec))
            for path, slot in slots.items()
        },
    )
    tensors = {
        f"{path}.{key}": tensor
        for path, module in networks.items()
        for key, tensor in module.state_dict().items()
    }
    return weights.Snapshot(tensors, header.entries())


def _network(session: Session, path: str, module: nn.Module) -> weights.Snapshot:
    return weights.Snapshot(module.state_dict(), describe(session, session.recipe.slots[path]).entries())


def _read(
    session: Session, folder: Path, read: Read
) -> tuple[dict[str, weights.WeightsFile], dict[str, Any]]:
    """Return the files of the networks by path, and the state of all else, looked through."""
    try:
        networks = {path: read(folder / network_file(path)) for path, _ in session.networks.modules()}
        for file in networks.values():
            if not file.header.keys() >= {"component", "rev", "distribution", "version"}:
                raise ValueError(f"{file.path.name} does not say what it holds")
        file = read(folder / TRAINER)
        trainer = state.unpack(file.tensors, file.header["trainer"])
        if type(trainer["step"]) is not int or folder.name != f"{trainer['step']:06d}":
            raise ValueError(f"it holds the step {trainer['step']}")
        tables = [trainer[key] for key in ("figures", "best", "scaler", "parts")]
        optimizers = [s for name, s in trainer["parts"].items() if name.startswith("optimizers.")]
        if not all(isinstance(table, dict) for table in (*tables, *optimizers)):
            raise ValueError(f"{TRAINER} is not laid out as a state")
        if not all(optimizer.keys() >= {"state", "param_groups"} for optimizer in optimizers):
            raise ValueError(f"{TRAINER} lacks the state of an optimizer")
        # An older i2i saved when nothing was left to do, and had no patience.
        trainer["waited"] = int(trainer.get("waited", 0))
        trainer["duties"] = Duties(**(trainer.get("duties") or {}))
    except DataError as error:
        if isinstance(error.__cause__, OSError):
            raise ResourceError(*error.problems) from error
        raise checkpoint.DamagedError(f"{folder} is damaged: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise checkpoint.DamagedError(f"{folder} is damaged: {in_a_line(error)}.") from error
    return networks, trainer
