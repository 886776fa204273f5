"""How a run starts: in a new folder or where one is gone on with, rehearsed first, refused where it must be.

The training itself is in `engine/training`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2i.building.earlier_training import start_from
from i2i.building.probe import NetworkFacts, probe
from i2i.data.extra import extra_of
from i2i.data.fingerprint import fingerprints
from i2i.data.opening import OpenData, open_splits
from i2i.engine import resuming
from i2i.engine.bystander import NoRecorder, NoSaver
from i2i.engine.cost import COST
from i2i.engine.observer import Observer, Silent
from i2i.engine.offers import check_shares, require_alike, take_device, threads_for
from i2i.engine.offers import facts as facts_of
from i2i.engine.recorder import Recorder
from i2i.engine.rehearsal import release_memory, try_out
from i2i.engine.resuming import PLANNED, Resumption
from i2i.engine.saving import Saver
from i2i.engine.settled import Settled
from i2i.engine.surroundings import under
from i2i.engine.training import Training
from i2i.errors import RecipeError
from i2i.kinds import Data
from i2i.processes.group import Alone, Group
from i2i.processes.launch import launched
from i2i.processes.meeting import Meeting, met
from i2i.recipe.recipe import Recipe
from i2i.runs.folder import RunFolder, provenance
from i2i.system.device import Runtime, resolve
from i2i.system.signals import TOGETHER, watched


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

    Where a launcher such as torchrun has started several processes, each of them calls this with the same
    recipe and options, and all train as one: the first of them holds the folder, and is the one to tell.

    Raises RecipeError, DataError, ResourceError or PluginError for what can be mended, DivergedError
    when training left the finite numbers, Interrupted when a signal ended it after saving.
    """
    observer = observer or Silent()
    launch = launched()
    asked = Asked(
        recipe=recipe,
        device=device,
        fresh=fresh,
        stop_at=stop_at,
        extend=extend,
        init_from=None if init_from is None else Path(init_from),
        open_data=open_data or open_splits,
        rehearsed=rehearsed,
        command=command,
    )
    with met(launch) as meeting, ExitStack() as stack:
        if launch.rank:
            stack.enter_context(meeting.naming())
            return _follow(asked, meeting)
        with meeting.deciding():
            _tell_all(observer, recipe.notes)
            held = RunFolder.held(Path(out)) if out is not None else RunFolder.new(recipe.name)
            folder = stack.enter_context(held)
        return _lead(asked, folder, meeting, observer)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What `run` was asked for; see there."""

    recipe: Recipe
    device: str
    fresh: bool
    stop_at: int | None
    extend: int | None
    init_from: Path | None
    open_data: OpenData
    rehearsed: bool
    command: Sequence[str] | None


def _lead(asked: Asked, folder: RunFolder, meeting: Meeting, observer: Observer) -> Result:
    """Settle how the run goes, alone, and train: with the other processes that were launched, if any."""
    with meeting.deciding():
        found = _settled(asked, folder, meeting, observer)
        if found is None:
            meeting.decide({"finished": str(folder.root)})
            return Result(folder.root, "done", folder.summary())
        settled, data, facts, begun = found
        meeting.decide({"settled": settled.as_json()})
    recorder = Recorder(settled.recipe, folder, observer, data)
    saver = Saver(folder, keep=settled.recipe.train.keep, facts={"data": settled.marks}, note=observer.note)
    return _train(settled, data, meeting, observer, recorder, saver, facts, begun)


def _follow(asked: Asked, meeting: Meeting) -> Result:
    """Train beside the process that holds the folder, as that one has settled it."""
    data: Mapping[str, Data] = {}

    def offer() -> Mapping[str, Any]:
        nonlocal data
        take_device(asked.device, meeting.launch)
        data = asked.open_data(asked.recipe, lambda note: None)
        return facts_of(asked.recipe, fingerprints(data, contents=_by_contents(asked.recipe)))

    meeting.offer(offer)
    decision = meeting.decided()
    if "finished" in decision:
        return Result(Path(decision["finished"]), "done", {})
    settled = Settled.from_json(decision["settled"], asked.recipe)
    return _train(settled, data, meeting, Silent(), NoRecorder(), NoSaver(), [], None)


def _train(
    settled: Settled,
    data: Mapping[str, Data],
    meeting: Meeting,
    observer: Observer,
    recorder: Recorder | NoRecorder,
    saver: Saver | NoSaver,
    facts: Sequence[NetworkFacts],
    begun: Resumption | None,
) -> Result:
    grace = TOGETHER if meeting.launch.size > 1 else 0.0
    with (
        under(settled.runtime, settled.recipe),
        # A signal ends at once who waits inside torch to join or to leave: there is no step to be saved.
        meeting.grouped(settled.runtime.device) as group,
        watched(grace=grace) as signals,
    ):
        training = Training(settled, data, observer, signals, recorder=recorder, saver=saver, group=group)
        training.begin(facts, begun)
        status, summary = training.run()
        return Result(settled.folder.root, status, group.share(summary))


def _settled(
    asked: Asked, folder: RunFolder, meeting: Meeting, observer: Observer
) -> tuple[Settled, Mapping[str, Data], list[NetworkFacts], Resumption | None] | None:
    """Return what the run begins with, its data, what is told of its networks, and what it goes on from.

    None where the run in `folder` is finished already.
    """
    recipe, launch = asked.recipe, meeting.launch
    begun: Resumption | None = None
    check_shares(recipe, launch)
    device = take_device(asked.device, launch)
    if folder.holds_run() and not asked.fresh:
        begun = resuming.take_up(
            folder, recipe, device=device, extend=asked.extend, init_from=asked.init_from
        )
        recipe = begun.recipe
        if begun.finished:
            _tell_all(observer, begun.notes)
            observer.end(status="done", lines=folder.last_lines())
            return None
    elif asked.extend is not None:
        raise RecipeError(f"--extend makes a run longer, and {folder.root} holds none to go on with.")
    runtime = (
        _recorded(folder, recipe, asked.device)
        if begun
        else resolve(device, recipe.train.precision, threads_for(recipe, launch))
    )
    with under(runtime, recipe):
        observer.stage(f"opening the data: {recipe.data.entry.ref}")
        data = asked.open_data(recipe, observer.note)
        marks = fingerprints(data, contents=_by_contents(recipe))
        if launch.size > 1:
            observer.stage(f"waiting for {launch.size - 1} more processes")
        require_alike(meeting, asked.recipe, marks, runtime)
        if begun:
            begun = resuming.lengthened(begun, folder, pairs=len(data["train"]), extend=asked.extend)
            recipe = begun.recipe
        elif asked.init_from is not None:
            recipe, notes = start_from(recipe, data["train"].spec, asked.init_from)
            _tell_all(observer, notes)
        observer.stage("building the networks")
        facts = probe(recipe, data["train"].spec, start=not begun, extra=extra_of(data["train"]))
        if begun:
            _tell_all(observer, [*begun.notes, *resuming.write_down(begun, folder, marks)])
        else:
            if asked.fresh:
                resuming.check_start_is_kept(folder, recipe)
            if not asked.rehearsed:
                observer.stage("trying one batch: train, evaluate, save and load")
            recipe, runtime, about = _prepared(
                folder, recipe, data, runtime, observer, asked.rehearsed, Alone(launch.size)
            )
            over = asked.fresh and folder.holds_run()
            if over:
                folder.clear()
            known = provenance(recipe, runtime, command=asked.command)
            if launch.size > 1:  # a benchmark tells by it which cell this is
                known["processes"] = launch.size
            folder.start(recipe, known | about | {"data": marks}, over=over)
    resumes = begun is not None and begun.found.sound is not None
    about = folder.provenance()
    settled = Settled(recipe, runtime, folder, about, marks, resumes, asked.stop_at)
    return settled, data, facts, begun


def _by_contents(recipe: Recipe) -> bool:
    return bool(recipe.data.settings.fingerprint == "contents")


def _prepared(
    folder: RunFolder,
    recipe: Recipe,
    data: Mapping[str, Data],
    runtime: Runtime,
    observer: Observer,
    rehearsed: bool,
    group: Group,
) -> tuple[Recipe, Runtime, dict[str, Any]]:
    """Rehearse what is about to start; return the recipe and the runtime that it settled, and its records.

    What was `rehearsed` already is settled, unless its length is in minutes.
    """
    if rehearsed and recipe.train.minutes is None:
        return recipe, runtime, {}
    found = try_out(recipe, data, runtime, where=folder.root, group=group)
    release_memory()
    _tell_all(observer, found.notes)
    planned = {PLANNED: recipe.train.length} if found.recipe is not recipe else {}
    return found.recipe, found.runtime, planned | {COST: found.cost.record()}


def _tell_all(observer: Observer, notes: Iterable[str]) -> None:
    for note in notes:
        observer.note(note)


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
