"""Trying all that a run will need before its first step: shapes, then one batch through everything."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
from pathlib import Path

import torch

from i2i.building.earlier_training import start_from
from i2i.building.probe import NetworkFacts, probe
from i2i.data.opening import open_splits
from i2i.engine.observer import Observer, Silent
from i2i.engine.session import Session
from i2i.engine.surroundings import under
from i2i.kinds import Data
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint
from i2i.runs.folder import RunFolder
from i2i.system.atomic import check_room, temporary_folder
from i2i.system.device import Runtime, resolve


def rehearse(
    recipe: Recipe,
    *,
    device: str = "auto",
    observer: Observer | None = None,
    init_from: str | Path | None = None,
) -> list[NetworkFacts]:
    """Check all that a run of `recipe` will need, without leaving a trace, and return its networks' shapes.

    Checks shapes on the meta device, then puts one batch through train, evaluate, save and load. `init_from`
    is that of `run`.
    """
    runtime = resolve(device, recipe.train.precision)
    with under(runtime, recipe):
        note = (observer or Silent()).note
        data = open_splits(recipe, note)
        if init_from is not None:
            recipe, notes = start_from(recipe, data["train"].spec, Path(init_from))
            for text in notes:
                note(text)
        facts = probe(recipe, data["train"].spec)
        dry_pass(recipe, data, runtime)
    release_memory()
    return facts


def dry_pass(
    recipe: Recipe, data: Mapping[str, Data], runtime: Runtime, *, where: Path | None = None
) -> Session:
    """Take one batch through train, evaluate, save and load, and return what did so, one step on.

    It saves in the folder `where`, that of the run to come, for which there has to be room; without one,
    among the system's temporary files.
    """
    session = Session(recipe, data=data, runtime=runtime, provenance={})
    batches = session.batches(last=session.accumulate)
    session.advance([next(batches) for _ in range(session.accumulate)])
    session.run.check_finite()
    session.try_metrics()
    files, model = session.files(), session.model_file()
    if where is not None:
        saves = math.ceil(session.total_steps / recipe.train.save_every)
        state = sum(map(len, files.values()))
        needed = state * min(recipe.train.keep + 1, saves) + len(model)
        # A run that is started over gives back what stands there.
        check_room(where, needed - RunFolder(where).bytes_saved(), what="what the run saves")
    with temporary_folder(where) as folder:
        saved = checkpoint.save(folder, session.step, files)
        session.load(saved.folder)
    return session


def release_memory() -> None:
    """Give back the memory of a dry pass, which the training may want in other pieces.

    The first optimizer of a process makes torch import its compiler, and that import keeps the frames that
    led to it, with all that they hold, until they are collected.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
