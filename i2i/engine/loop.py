"""Running a recipe: rehearse, train, save, validate, report; resumable to the bit.

The loop knows nothing of GANs: a method takes the step. What is written down at a step is a function
of the recipe and of that step alone, so a run that was killed and resumed ends where an undisturbed
one would. A step's state is saved before callbacks and validation, so that nothing that fails there
costs any training.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.building import components
from i2i.building.blame import components_blamed
from i2i.building.probe import NetworkFacts, probe
from i2i.data import stream
from i2i.data.opening import OpenData, open_splits
from i2i.engine.observer import Observer, Silent
from i2i.engine.recorder import Recorder
from i2i.engine.session import TRAINER, Duties, Session
from i2i.engine.throughput import Throughput
from i2i.errors import (
    DivergedError,
    I2IError,
    Interrupted,
    PluginError,
    RecipeError,
    ResourceError,
    ran_out_of_memory,
)
from i2i.kinds import Data
from i2i.recipe.recipe import Recipe
from i2i.records import Batch
from i2i.runs import checkpoint
from i2i.runs.folder import RunFolder, provenance
from i2i.system.atomic import write_bytes, write_text
from i2i.system.device import Runtime, resolve
from i2i.system.signals import Signals, watched


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
    open_data: OpenData | None = None,
    rehearsed: bool = False,
) -> Result:
    """Train what `recipe` describes in the folder `out` (a new one under runs/ without it).

    A folder that holds an unfinished run of the same recipe is resumed from its newest checkpoint;
    `fresh` starts over. `stop_at` ends early after that step, to be resumed later. `open_data` is for
    callers who have the data at hand; `rehearsed` says that a dry pass was made already.

    Raises RecipeError, DataError, ResourceError or PluginError for what can be mended, DivergedError
    when training left the finite numbers, Interrupted when a signal ended it after saving.
    """
    _refuse_several_processes()
    observer = observer or Silent()
    for note in recipe.notes:
        observer.note(note)
    with RunFolder.held(Path(out)) if out is not None else RunFolder.new(recipe.name) as folder:
        return _run_in(folder, recipe, device, fresh, stop_at, observer, open_data or open_splits, rehearsed)


def _run_in(
    folder: RunFolder,
    recipe: Recipe,
    device: str,
    fresh: bool,
    stop_at: int | None,
    observer: Observer,
    open_data: OpenData,
    rehearsed: bool,
) -> Result:
    resumed = folder.holds_run() and not fresh
    if resumed:
        folder.check_same(recipe)
        if folder.summary().get("status") == "done":
            observer.note(f"{folder.root} is finished already; --fresh starts it over.")
            observer.end(status="done", lines=folder.last_lines())
            return Result(folder.root, "done", folder.summary())
    runtime = _recorded(folder, device) if resumed else resolve(device, recipe.train.precision)
    with runtime.active(), _own_random_state(), in_words(recipe):
        data = open_data(recipe, observer.note)
        facts = probe(recipe, data["train"].spec, start=not resumed)
        if not resumed:
            if not rehearsed:
                dry_pass(recipe, data, runtime)
                _empty_cache()
            if fresh:
                folder.clear()
            folder.start(recipe, provenance(recipe, runtime))
        with watched() as signals:
            training = _Training(recipe, data, runtime, folder, observer, signals)
            training.begin(facts)
            return training.run(stop_at)


def rehearse(recipe: Recipe, *, device: str = "auto", observer: Observer | None = None) -> list[NetworkFacts]:
    """Check all that a run of `recipe` will need, without leaving a trace, and return its networks' shapes.

    Checks shapes on the meta device, then puts one batch through train, evaluate, save and load.
    """
    runtime = resolve(device, recipe.train.precision)
    with runtime.active(), _own_random_state(), in_words(recipe):
        data = open_splits(recipe, (observer or Silent()).note)
        facts = probe(recipe, data["train"].spec)
        dry_pass(recipe, data, runtime)
    _empty_cache()
    return facts


class _Training:
    """The loop, and what it holds on to from one step to the next."""

    def __init__(
        self,
        recipe: Recipe,
        data: Mapping[str, Data],
        runtime: Runtime,
        folder: RunFolder,
        observer: Observer,
        signals: Signals,
    ) -> None:
        self._recipe, self._folder, self._observer, self._signals = recipe, folder, observer, signals
        self._recorder = Recorder(recipe, folder, observer, data)
        about = folder.provenance()
        self._session = Session(
            recipe,
            data=data,
            runtime=runtime,
            provenance={key: about[key] for key in ("recipe", "seed", "i2i", "torch", "plugins")},
            folder=folder.root,
            start=checkpoint.newest(folder.checkpoints) is None,
            show=self._recorder.show,
        )
        self._duties = Duties()
        self._saved_at = 0  # no state is worth keeping before the first step
        self._steps_whole = True  # False while a step is being made

    def begin(self, facts: list[NetworkFacts]) -> None:
        """Go on from the newest checkpoint, if there is one, and say so."""
        session = self._session
        found = checkpoint.newest(self._folder.checkpoints)
        for damaged in checkpoint.drop_after(self._folder.checkpoints, found.step if found else -1):
            self._observer.note(f"{damaged} is damaged; going on from before it.")
        notes: list[str] = []
        if found:
            self._duties, notes = session.load(found.folder)
            self._saved_at = session.step
        notes += self._recorder.open(session, validated=not self._duties.validation)
        for note in notes:
            self._observer.note(note)
        self._folder.traceback.unlink(missing_ok=True)  # of a failure before this start
        self._throughput = Throughput(found.seconds if found else 0.0)
        self._recorder.begin(session, facts)

    def run(self, stop_at: int | None) -> Result:
        """Train to the end, or to `stop_at`, and close the books whatever happens."""
        session = self._session
        stop = min(stop_at or session.total_steps, session.total_steps)
        error: BaseException | None = None
        try:
            self._tell("run_start")
            if self._duties:
                self._settle()
                self._save()
            self._train(stop)
        except BaseException as caught:
            error = caught
            self._rescue(caught)
            self._keep_traceback(caught)
            raise
        finally:
            status = _status(error, finished=session.step >= session.total_steps)
            summary = self._close(status, error)
        return Result(self._folder.root, status, summary)

    def _train(self, stop: int) -> None:
        session, throughput = self._session, self._throughput
        images = self._recipe.data.settings.batch_size * session.accumulate
        batches = training_batches(session, last=stop * session.accumulate)
        throughput.restart()
        while session.step < stop:
            with throughput.waiting():
                chosen = [next(batches) for _ in range(session.accumulate)]
            self._steps_whole = False
            logs = session.advance(chosen)
            self._steps_whole = True
            throughput.add(images)
            self._recorder.progress(session, throughput)
            self._follow_up(logs, stop)

    def _follow_up(self, logs: Mapping[str, Tensor], stop: int) -> None:
        """Do what is due after a step: log it, save it, tell the callbacks, validate."""
        session, train = self._session, self._recipe.train
        step, last = session.step, session.step == session.total_steps
        callbacks = self._recipe.section("callbacks")
        self._duties = Duties(
            [slot.name for slot in callbacks if step % slot.settings.every == 0],
            validation=last or step % train.eval_every == 0,
            logs=logs,
        )
        logged = step == 1 or last or step % train.log_every == 0
        if logged or session.run.watches_for_free:
            session.run.check_finite()
        if logged:
            self._recorder.train(session, logs, self._throughput)
            self._throughput.close()
        signal = self._signals.received
        ends = step == stop or signal is not None
        if ends or self._duties.validation or step % train.save_every == 0:
            self._save(self._duties)
        if signal is not None and not last:
            raise Interrupted(
                signal,
                f"interrupted after step {step:,}; the state is saved. "
                f"To go on, run the same recipe with --out {self._folder.root}",
            )
        owed = bool(self._duties)
        self._settle()
        if ends and owed:
            self._save()  # with nothing left to do: whoever resumes here does none of it again

    def _settle(self) -> None:
        """Do what the step just made still asks for, in the order of `Duties`."""
        duties = self._duties
        while duties.callbacks:
            self._tell("step_end", duties.logs, only=duties.callbacks[0])
            del duties.callbacks[0]
        if duties.validation:
            with self._throughput.paused():
                self._validate()
            duties.validation = False

    def _validate(self) -> None:
        session = self._session
        session.run.check_finite(session.networks.modules())
        if session.scorer.metrics:
            metrics, copied = session.evaluate()
            session.observe(metrics)
            self._recorder.validation(session, metrics, copied, self._throughput)
            best = session.is_best()
            if best:
                write_bytes(self._folder.model, session.model_file(), durable=True)
            if best or self._recipe.train.save_best is None:
                write_text(self._folder.images, session.scores.csv())
        self._tell("eval_end", dict(session.figures))
        self._recorder.write_report()

    def _save(self, duties: Duties | None = None) -> None:
        """Save the step just made, before its `duties`."""
        session = self._session
        with self._throughput.paused():
            files = session.files(duties)
            # The model first: a run killed in between goes on from an older checkpoint, and writes it again.
            if not session.best:
                write_bytes(self._folder.model, session.model_file(), durable=True)
            self._recorder.sync()
            seconds = self._throughput.seconds
            checkpoint.save(self._folder.checkpoints, session.step, files, seconds=seconds)
            self._saved_at = session.step
            checkpoint.prune(self._folder.checkpoints, self._recipe.train.keep)
            self._recorder.write_report()

    def _rescue(self, error: BaseException) -> None:
        """Save the last whole step after an error outside of it, with what it still asks for.

        Someone who asks a second time for an end wants it at once.
        """
        step, owed = self._session.step, self._session.step > self._saved_at
        if not owed or not self._steps_whole or isinstance(error, KeyboardInterrupt):
            return
        try:
            if isinstance(error, DivergedError):
                self._keep_networks()
            else:
                self._save(self._duties)
                self._observer.note(f"The state after step {step:,} is saved.")
        except (I2IError, OSError) as later:
            self._observer.note(f"After that, step {step:,} could not be saved: {later}")

    def _keep_networks(self) -> None:
        """Keep the networks as they were before the update that was left out.

        They are no checkpoint: a step without one of its updates is none that a run goes on from.
        """
        for name, content in self._session.files().items():
            if name != TRAINER:
                write_bytes(self._folder.diverged / name, content, durable=True)
        last = (
            f"the last checkpoint is of step {self._saved_at:,}"
            if self._saved_at
            else "there is no checkpoint"
        )
        self._observer.note(
            f"The networks as they were before that are in {self._folder.diverged}, for init_from; {last}."
        )

    def _tell(self, event: str, *details: Any, only: str | None = None) -> None:
        """Call `event` on the callbacks that have it."""
        for name, callback in self._session.callbacks.items():
            if only in (None, name) and hasattr(callback, event):
                getattr(callback, event)(self._session.run, *details)

    def _close(self, status: str, error: BaseException | None) -> dict[str, Any]:
        """Write the summary and the report; what goes wrong here does not hide `error`."""
        try:
            try:
                self._tell("run_end", error)
            finally:
                summary = self._recorder.end(self._session, status, self._throughput, error=_sentence(error))
        except Exception as later:
            if error is None:
                self._keep_traceback(later)
                raise
            self._observer.note(f"After that, {type(later).__name__}: {later}")
            return {}
        return summary

    def _keep_traceback(self, error: BaseException) -> None:
        """Leave the whole story of what nobody foresaw in the folder, for whoever mends it."""
        foreseen = isinstance(error, I2IError) or not isinstance(error, Exception) or ran_out_of_memory(error)
        if foreseen:
            return
        with suppress(I2IError, OSError):  # a full disk must not hide `error`
            write_text(self._folder.traceback, "".join(traceback.format_exception(error)))
            self._observer.note(f"The whole traceback is in {self._folder.traceback}")


def dry_pass(recipe: Recipe, data: Mapping[str, Data], runtime: Runtime) -> Session:
    """Take one batch through train, evaluate, save and load, and return what did so, one step on."""
    session = Session(recipe, data=data, runtime=runtime, provenance={})
    batches = training_batches(session, last=session.accumulate)
    session.advance([next(batches) for _ in range(session.accumulate)])
    session.run.check_finite()
    session.try_metrics()
    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoint.save(Path(folder), session.step, session.files())
        session.load(saved.folder)
    session.model_file()
    return session


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


def _empty_cache() -> None:
    """Give back the memory that a dry pass took on a GPU, where the training may want it in other pieces."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def training_batches(session: Session, *, last: int) -> Iterator[Batch]:
    """Yield the batches of a session from its step on, up to the batch `last`, counted from the start."""
    recipe = session.recipe
    return stream.training_batches(
        session.data["train"],
        components.build_transforms(recipe, at="loading"),
        recipe.data.settings,
        seed=recipe.seed,
        first=session.step * session.accumulate,
        last=last,
        on_device=components.build_transforms(recipe, at="device"),
        place=lambda batch: batch.moved(session.runtime.place),
    )


def _recorded(folder: RunFolder, device: str) -> Runtime:
    """Return what the run began with; a device that is asked for by name must be the same."""
    recorded = Runtime(**folder.provenance()["runtime"])
    if device not in ("auto", recorded.device):
        raise RecipeError(
            f"{folder.root} was started on {recorded.device}, and --device asks for {device}: "
            "resume on the same device, or start over with --fresh."
        )
    resolve(recorded.device, recorded.precision)  # raises when that device is gone
    return recorded


@contextmanager
def in_words(recipe: Recipe) -> Iterator[None]:
    """Turn running out of memory, and what a component raises or ends the process with, into a sentence."""
    try:
        with components_blamed(recipe):
            yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise ResourceError(_too_large(recipe)) from error
    except SystemExit as error:
        raise PluginError(
            f"a component of this recipe called sys.exit({error.code!r}) while it was used."
        ) from error


def _too_large(recipe: Recipe) -> str:
    size = recipe.data.settings.batch_size
    advice = "lower it, and raise train.accumulate instead" if size > 1 else "take smaller images or networks"
    return f"memory ran out at data.batch_size = {size}: {advice}."


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Give torch's global generator back as it was: a run seeds it at every step."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _status(error: BaseException | None, *, finished: bool) -> str:
    if error is None:
        return "done" if finished else "stopped"
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return "interrupted"
    return "diverged" if isinstance(error, DivergedError) else "failed"


def _sentence(error: BaseException | None) -> str:
    if error is None or isinstance(error, Interrupted):
        return ""
    return str(error) or type(error).__name__
