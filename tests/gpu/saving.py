"""A checkpoint written beside the training: what it costs the steps, and that no later step is in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

import torch
from parts import METRICS, Settings
from rows import Row, holds, measured
from speed import engine
from torch import Tensor
from turns import seconds_a_step

from i2i.data.opening import open_splits
from i2i.engine import stored
from i2i.engine.saving import Saver
from i2i.engine.session import Session
from i2i.engine.stored import TRAINER
from i2i.runs import checkpoint, state, weights
from i2i.runs.earlier import network_file
from i2i.runs.folder import RunFolder
from i2i.system.device import resolve

PART = "checkpoint"
WARM, ALONE = 5, 30
"""Steps before anything is measured, and steps that are timed while nothing is saved."""

State = dict[str, Tensor]
"""Weights, buffers and what optimizers keep, by name."""


def of_saving(settings: Settings) -> Iterator[Row]:
    """The paper's networks, in the device's own precision; copies are taken and written as a run does it."""
    recipe = settings.recipe({"data.batch_size": 1}, unset=METRICS)
    runtime = resolve(settings.device, "auto")
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
    step = engine(session, list(session.batches(last=2)))
    for _ in range(WARM):
        step()
    alone = median(seconds_a_step(step, 1, device=settings.device) for _ in range(ALONE))

    folder = RunFolder(settings.folder / "run")
    saver = Saver(folder, keep=1, facts={}, note=print)
    step()  # not waited for: the device is at work when the copies are asked for
    wanted, at = _copied_there(session), session.step
    began = time.perf_counter()
    files = stored.files(session)
    copied = time.perf_counter()
    saver.start(at, files, {}, seconds=0.0)
    beside = [seconds_a_step(step, 1, device=settings.device)]
    while saver.saved_at != at:
        saver.look()
        beside.append(seconds_a_step(step, 1, device=settings.device))
    written = time.perf_counter()
    saver.wait()

    told = _compared(wanted, _on_the_disk(folder, session), now=_state(session))
    what = "what is on the disk, with copies that stayed on the device"
    yield holds(PART, what, told == "equal to the bit", value=told, wanted="equal to the bit")
    size = sum(file.size for file in files.values()) / 2**20
    told = f"{copied - began:.3f} s for copies of {size:,.0f} MB, then {written - copied:.3f} s of writing"
    yield measured(PART, "a save", told)
    usual, longest = median(beside), max(beside)
    told = f"{1e3 * usual:.2f} ms, {usual / alone:.2f} x alone; of {len(beside)}"
    yield measured(PART, "a step beside the writing, the median", told)
    told = f"{1e3 * longest:.2f} ms, {longest / alone:.2f} x the median alone"
    yield measured(PART, "a step beside the writing, the longest", told)


def _state(session: Session) -> State:
    """Return what a session keeps of networks and optimizers, as it is."""
    return _named(
        {path: module.state_dict() for path, module in session.networks.modules()},
        {path: optimizer.state_dict() for path, optimizer in session.optimizers.items()},
    )


def _copied_there(session: Session) -> State:
    """Return copies on the device, made after all that it was given before, and before all that follows."""
    return {name: tensor.detach().clone() for name, tensor in _state(session).items()}


def _on_the_disk(folder: RunFolder, session: Session) -> State:
    """Return the same of the checkpoint."""
    last = checkpoint.newest(folder.checkpoints)
    assert last is not None
    paths = [path for path, _ in session.networks.modules()]
    trainer = weights.read(last.folder / TRAINER)
    kept = state.unpack(trainer.tensors, trainer.header["trainer"])["parts"]
    return _named(
        {path: weights.read(last.folder / network_file(path)).tensors for path in paths},
        {path: kept[f"optimizers.{path}"] for path in session.optimizers},
    )


def _named(networks: Mapping[str, Mapping[str, Tensor]], optimizers: Mapping[str, Any]) -> State:
    named = {
        f"{path}, {name}": value for path, tensors in networks.items() for name, value in tensors.items()
    }
    for path, kept in optimizers.items():
        named |= {f"optimizers.{path}, {name}": value for name, value in state.pack(kept)[0].items()}
    return named


def _compared(wanted: State, found: State, *, now: State) -> str:
    """Say whether two states are the same; if nothing has changed until `now`, that would mean nothing."""
    if all(torch.equal(wanted[name], tensor) for name, tensor in now.items()):
        return "no step changed anything meanwhile"
    if wanted.keys() != found.keys():
        return f"other tensors: {', '.join(sorted(wanted.keys() ^ found.keys())[:3])}"
    unlike = [name for name, tensor in wanted.items() if not torch.equal(tensor.cpu(), found[name])]
    return f"{len(unlike)} of {len(wanted)} tensors differ" if unlike else "equal to the bit"
