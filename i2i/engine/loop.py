"""How a run starts: in a new folder or where one is gone on with, rehearsed first, refused where it must be.

The training itself is in `engine/training`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2i.building.earlier_training import start_from
from i2i.building.probe import probe
from i2i.data.extra import extra_of
from i2i.data.fingerprint import fingerprints
from i2i.data.opening import OpenData, open_splits
from i2i.engine import resuming
from i2i.engine.cost import COST
from i2i.engine.observer import Observer, Silent
from i2i.engine.rehearsal import release_memory, try_out
from i2i.engine.resuming import PLANNED, Resumption
from i2i.engine.surroundings import under
from i2i.engine.training import Training
from i2i.errors import RecipeError
from i2i.kinds import Data
from i2i.recipe.recipe import Recipe
from i2i.runs.folder import RunFolder, provenance
from i2i.system.device import Runtime, resolve
from i2i.system.signals import watched


@dataclass(frozen=True)
class Result:
    """How a run ended: "done", or "stopped" before its last step; with the content of summary.json."""

    folder: Path
    status: str
    summary: Mapping[str, Any]


def run(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    fresh: bool = False,
    stop_at: int | None = None,
    observer: Observer | None = None,
    extend: int | None = None,
    init_from: str | Path | None = None,
    open_data: OpenData | None = None,
    rehearsed: bool = False,
    command: Sequence[str] | None = None,
) -> Result:
    """Train what `recipe` describes in the folder `out` (a new one under runs/ without it).

    A folder that holds an unfinished run of the same recipe is resumed from its newest checkpoint;
    `fresh` starts over. `stop_at` ends early after that step, to be resumed later; `extend` makes the run in
    `out` so many steps longer than it was planned. `init_from`, a model file or the folder of a run or of a
    checkpoint, starts the networks from those of an earlier training, as far as they fit. `open_data` is for
    callers who have the data at hand; `rehearsed` says that a dry pass was made already; `command` is what a
    person typed, for the records.

    Raises RecipeError, DataError, ResourceError or PluginError for what can be mended, DivergedError
    when training left the finite numbers, Interrupted when a signal ended it after saving.
    """
    _refuse_several_processes()
    observer = observer or Silent()
    for note in recipe.notes:
        observer.note(note)
    with RunFolder.held(Path(out)) if out is not None else RunFolder.new(recipe.name) as folder:
        place = None if init_from is None else Path(init_from)
        opening = open_data or open_splits
        return _run_in(
            folder, recipe, device, fresh, stop_at, extend, place, observer, opening, rehearsed, command
        )


def _run_in(
    folder: RunFolder,
    recipe: Recipe,
    device: str,
    fresh: bool,
    stop_at: int | None,
    extend: int | None,
    init_from: Path | None,
    observer: Observer,
    open_data: OpenData,
    rehearsed: bool,
    command: Sequence[str] | None,
) -> Result:
    begun: Resumption | None = None
    if folder.holds_run() and not fresh:
        begun = resuming.take_up(folder, recipe, device=device, extend=extend, init_from=init_from)
        recipe = begun.recipe
        if begun.finished:
            _tell_all(observer, begun.notes)
            observer.end(status="done", lines=folder.last_lines())
            return Result(folder.root, "done", folder.summary())
    elif extend is not None:
        raise RecipeError(f"--extend makes a run longer, and {folder.root} holds none to go on with.")
    train = recipe.train
    runtime = _recorded(folder, recipe, device) if begun else resolve(device, train.precision, train.threads)
    with under(runtime, recipe):
        observer.stage(f"opening the data: {recipe.data.entry.ref}")
        data = open_data(recipe, observer.note)
        marks = fingerprints(data, contents=recipe.data.settings.fingerprint == "contents")
        if begun:
            begun = resuming.lengthened(begun, folder, pairs=len(data["train"]), extend=extend)
            recipe = begun.recipe
        elif init_from is not None:
            recipe, notes = start_from(recipe, data["train"].spec, init_from)
            _tell_all(observer, notes)
        observer.stage("building the networks")
        facts = probe(recipe, data["train"].spec, start=not begun, extra=extra_of(data["train"]))
        if begun:
            _tell_all(observer, [*begun.notes, *resuming.write_down(begun, folder, marks)])
        else:
            if fresh:
                resuming.check_start_is_kept(folder, recipe)
            if not rehearsed:
                observer.stage("trying one batch: train, evaluate, save and load")
            recipe, runtime, about = _prepared(folder, recipe, data, runtime, observer, rehearsed)
            over = fresh and folder.holds_run()
            if over:
                folder.clear()
            folder.start(
                recipe, provenance(recipe, runtime, command=command) | about | {"data": marks}, over=over
            )
    with under(runtime, recipe), watched() as signals:
        training = Training(recipe, data, runtime, folder, observer, signals, begun, marks)
        training.begin(facts)
        return Result(folder.root, *training.run(stop_at))


def _prepared(
    folder: RunFolder,
    recipe: Recipe,
    data: Mapping[str, Data],
    runtime: Runtime,
    observer: Observer,
    rehearsed: bool,
) -> tuple[Recipe, Runtime, dict[str, Any]]:
    """Rehearse what is about to start; return the recipe and the runtime that it settled, and its records.

    What was `rehearsed` already is settled, unless its length is in minutes.
    """
    if rehearsed and recipe.train.minutes is None:
        return recipe, runtime, {}
    found = try_out(recipe, data, runtime, where=folder.root)
    release_memory()
    _tell_all(observer, found.notes)
    planned = {PLANNED: recipe.train.length} if found.recipe is not recipe else {}
    return found.recipe, found.runtime, planned | {COST: found.cost.record()}


def _tell_all(observer: Observer, notes: Iterable[str]) -> None:
    for note in notes:
        observer.note(note)


def _refuse_several_processes() -> None:
    """Each process of a launcher would train the same run again, side by side.

    Raises RecipeError, which every one of them ends with before it has written anything.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes.isdecimal() and int(processes) > 1:
        raise RecipeError(
            f"this is one of {processes} processes that a launcher such as torchrun has started, and i2i "
            "trains in one process: call `i2i run` by itself, or unset WORLD_SIZE."
        )


def _recorded(folder: RunFolder, recipe: Recipe, device: str) -> Runtime:
    """Return what the run began with, with the threads that its `recipe` asks for now.

    A device that is asked for by name must be the same.
    """
    recorded = Runtime(**folder.provenance()["runtime"])
    if device not in ("auto", recorded.device):
        raise RecipeError(
            f"{folder.root} was started on {recorded.device}, and --device asks for {device}: "
            "resume on the same device, or start over with --fresh."
        )
    resolve(recorded.device, recorded.precision)  # raises when that device is gone
    return replace(recorded, threads=recipe.train.threads or recorded.threads)
