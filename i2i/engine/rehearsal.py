"""Trying all that a run will need before its first step, with one batch, and what it will cost."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from i2i.building.earlier_training import start_from
from i2i.building.probe import NetworkFacts, probe
from i2i.data.extra import extra_of
from i2i.data.opening import open_splits
from i2i.engine import stored
from i2i.engine.agreement import require_agreement
from i2i.engine.arithmetic import Tried, in_full, settle
from i2i.engine.cost import SECONDS, SHARE, Cost, disk_bytes, measure
from i2i.engine.observer import Observer, Silent
from i2i.engine.session import Session
from i2i.engine.surroundings import under
from i2i.engine.threads import Threads
from i2i.errors import ResourceError
from i2i.kinds import Data
from i2i.processes.group import ALONE, Group
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint, weights
from i2i.runs.folder import RunFolder
from i2i.runs.weights import Snapshot
from i2i.system.atomic import check_room, temporary_folder
from i2i.system.device import Runtime, resolve

SAMPLE = 16 * 2**20
"""Bytes of a state that a rehearsal writes, of which there may be hundreds of megabytes."""

PROVISIONAL = 1000
"""Steps that a rehearsal plans with, where only minutes are given: its steps say how many these are."""


@dataclass(frozen=True)
class Rehearsal:
    """What was found out before a run's first step.

    `recipe` has its length in steps where it had minutes, and `steps` are these; `runtime` has the threads
    that were chosen, and `notes` say why.
    """

    recipe: Recipe
    steps: int
    runtime: Runtime
    cost: Cost
    notes: tuple[str, ...]
    networks: tuple[NetworkFacts, ...] = ()


def rehearse(
    recipe: Recipe,
    *,
    device: str = "auto",
    observer: Observer | None = None,
    init_from: str | Path | None = None,
    where: Path | None = None,
) -> Rehearsal:
    """Check all that a run of `recipe` will need, without leaving a trace, and return what it would cost.

    Checks shapes on the meta device, then puts one batch through train, evaluate, save and load, and times
    it. `init_from` is that of `run`; there has to be room for what the run saves in the folder `where`, if
    that is given.
    """
    observer = observer or Silent()
    runtime = resolve(device, recipe.train.precision, recipe.train.threads)
    with under(runtime, recipe):
        observer.stage(f"opening the data: {recipe.data.entry.ref}")
        data = open_splits(recipe, observer.note)
        observer.stage("building the networks")
        if init_from is not None:
            recipe, notes = start_from(recipe, data["train"].spec, Path(init_from))
            for text in notes:
                observer.note(text)
        facts = probe(recipe, data["train"].spec, extra=extra_of(data["train"]))
        observer.stage("trying one batch: train, evaluate, save and load")
        found = try_out(recipe, data, runtime)
    if where is not None:
        _check_disk(where, found.cost.disk_bytes(found.recipe.train, steps=found.steps))
    release_memory()
    return replace(found, networks=tuple(facts))


def try_out(
    recipe: Recipe,
    data: Mapping[str, Data],
    runtime: Runtime,
    *,
    where: Path | None = None,
    group: Group = ALONE,
) -> Rehearsal:
    """Make a dry pass, which tries to save in the folder `where`, and measure what the run will cost.

    The first of several processes rehearses by itself, with its share of a batch: as `group` says.

    Raises RecipeError for minutes that are too few for a step.
    """
    planned = recipe.lasting(PROVISIONAL) if recipe.train.minutes is not None else recipe
    passed = dry_pass(planned, data, runtime, where=where, group=group)
    cost, threads = _measured(passed, recipe)
    runtime = replace(runtime, threads=threads.count)
    notes = [threads.note]
    steps = passed.session.total_steps
    usual = Tried(runtime, passed.losses, cost.step)
    # What trying another arithmetic takes: a session, its first step, and some to time.
    takes = passed.build_seconds + 4 * cost.step + SECONDS
    del passed
    if _is_open(recipe, runtime) and takes < SHARE * cost.seconds(planned.train, steps=steps):
        cost, runtime, note = _settled(planned, data, usual, cost, recipe.train.minutes, group)
        notes.append(note)
    if recipe.train.minutes is not None:
        steps = cost.steps_within(recipe.train)
        recipe = recipe.lasting(steps)
        if where is not None:
            _check_disk(where, cost.disk_bytes(recipe.train, steps=steps))
    return Rehearsal(recipe, steps, runtime, cost, tuple(filter(None, notes)))


def _is_open(recipe: Recipe, runtime: Runtime) -> bool:
    """Whether another arithmetic than the hardware's usual one may be taken."""
    return recipe.train.precision == "auto" and runtime.precision != "fp32"


def _settled(
    recipe: Recipe,
    data: Mapping[str, Data],
    usual: Tried,
    cost: Cost,
    minutes: float | None,
    group: Group,
) -> tuple[Cost, Runtime, str]:
    """Try float32 beside the `usual` arithmetic; return cost and runtime of what is taken, and why."""
    release_memory()
    with in_full(usual.runtime).active():
        recipe = recipe.computing_with(usual.runtime.threads)  # their number is settled
        session = Session(recipe, data=data, runtime=in_full(usual.runtime), provenance={}, group=group)
        losses = _first_step(session)
        full_cost, _ = measure(
            session,
            minutes=minutes,
            save=cost.save,
            state_bytes=cost.state_bytes,
            model_bytes=cost.model_bytes,
        )
    taken, note = settle(usual, Tried(session.runtime, losses, full_cost.step))
    return (cost if taken is usual else full_cost), taken.runtime, note


def _measured(passed: DryPass, recipe: Recipe) -> tuple[Cost, Threads]:
    return measure(
        passed.session,
        minutes=recipe.train.minutes,
        save=passed.save_seconds,
        state_bytes=passed.state_bytes,
        model_bytes=passed.model_bytes,
    )


@dataclass(frozen=True)
class DryPass:
    """The session that took one batch through everything, one step on, and what was seen on the way.

    `losses` are those of its first step; `build_seconds` it took to build it, `save_seconds` to save it.
    """

    session: Session
    losses: Mapping[str, float]
    build_seconds: float
    save_seconds: float
    state_bytes: int
    model_bytes: int


def dry_pass(
    recipe: Recipe,
    data: Mapping[str, Data],
    runtime: Runtime,
    *,
    where: Path | None = None,
    group: Group = ALONE,
) -> DryPass:
    """Take one batch through train, evaluate, save and load.

    The whole state is copied as for a checkpoint, and taken back from the copies. A part of it is written in
    the folder `where`, that of the run to come, for which there has to be room; without one, among the
    system's temporary files.
    """
    begun = time.perf_counter()
    session = Session(recipe, data=data, runtime=runtime, provenance={}, group=group)
    built = time.perf_counter() - begun
    losses = _first_step(session)
    session.run.check_finite()
    session.try_metrics()
    begun = time.perf_counter()
    files = stored.files(session)
    models = stored.model_files(session, files)
    model_bytes = sum(model.size for model in models.values())
    seconds = time.perf_counter() - begun
    state_bytes = sum(file.size for file in files.values())
    if where is not None:
        needed = disk_bytes(recipe.train, session.total_steps, state=state_bytes, model=model_bytes)
        _check_disk(where, needed)
    stored.load(session, Path(f"{session.step:06d}"), read=lambda path: files[path.name].read(path))
    require_agreement(session, {name: model.read(Path(name)) for name, model in models.items()})
    seconds += _try_to_save(files, where) * (state_bytes + model_bytes)
    return DryPass(session, losses, built, seconds, state_bytes, model_bytes)


def _try_to_save(files: Mapping[str, Snapshot], where: Path | None) -> float:
    """Save as much of the tensors as a `SAMPLE` holds, and return the seconds that a byte takes.

    Raises ResourceError where the disk takes no checkpoint, or does not give back what it took.
    """
    left, sample = SAMPLE, dict[str, Snapshot]()
    for name, file in files.items():
        chosen = {}
        for key, tensor in file.tensors.items():
            chosen[key] = tensor.flatten()[: left // tensor.itemsize]
            left -= chosen[key].nbytes
        sample[name] = Snapshot(chosen, file.header)
    with temporary_folder(where) as folder:
        begun = time.perf_counter()
        saved = checkpoint.save(folder, 1, sample)
        seconds = time.perf_counter() - begun
        if checkpoint.verified(saved.folder) is None:
            raise ResourceError(f"{folder.parent} does not give back what is written: try another disk.")
        for name in sample:
            weights.read(saved.folder / name)
    return seconds / sum(file.size for file in sample.values())


def _first_step(session: Session) -> dict[str, float]:
    """Let a session make its first step, and try the first of each further stage; return its losses."""
    batches = session.batches(last=session.accumulate)
    chosen = [next(batches) for _ in range(session.accumulate)]
    logs = session.advance(chosen)
    losses = {name: float(value) for name, value in logs.items()}
    session.try_stages(chosen)
    return losses


def _check_disk(where: Path, needed: int) -> None:
    """Raise ResourceError where the disk of the folder `where` has no room for what the run will save."""
    # A run that is started over gives back what stands there.
    check_room(where, needed - RunFolder(where).bytes_saved(), what="what the run saves")


def release_memory() -> None:
    """Give back the memory of a dry pass, which the training may want in other pieces.

    The first optimizer of a process makes torch import its compiler, and that import keeps the frames that
    led to it, with all that they hold, until they are collected.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
