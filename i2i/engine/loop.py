"""Running a recipe: rehearse, train, validate, save, report; resumable to the bit.

The loop knows nothing of GANs: a method takes the step. What is written down at a step is a function
of the recipe and of that step alone, so a run that was killed and resumed ends where an undisturbed
one would.
"""

from __future__ import annotations

import gc
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from i2i.building import components
from i2i.building.blame import components_blamed
from i2i.building.probe import NetworkFacts, probe
from i2i.data import stream
from i2i.data.opening import OpenData, open_splits
from i2i.engine.observer import Observer, Silent
from i2i.engine.recorder import Recorder
from i2i.engine.session import Session
from i2i.engine.throughput import Pace
from i2i.errors import (
    DivergedError,
    I2IError,
    Interrupted,
    PluginError,
    RecipeError,
    ResourceError,
    ran_out_of_memory,
)
from i2i.kinds import Batch
from i2i.recipe.recipe import Recipe
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
                _release()
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
        _release()
    return facts


class _Training:
    """The loop, and what it holds on to from one step to the next."""

    def __init__(
        self,
        recipe: Recipe,
        data: Mapping[str, Any],
        runtime: Runtime,
        folder: RunFolder,
        observer: Observer,
        signals: Signals,
    ) -> None:
        self._recipe, self._folder, self._observer, self._signals = recipe, folder, observer, signals
        about = folder.provenance()
        self._session = Session(
            recipe,
            data=data,
            runtime=runtime,
            provenance={key: about[key] for key in ("recipe", "seed", "i2i", "torch", "plugins")},
            folder=folder.root,
            start=checkpoint.newest(folder.checkpoints) is None,
            show=lambda batch, fake: self._recorder.show(batch, fake),
        )
        self._recorder = Recorder(
            recipe,
            folder,
            observer,
            credit=getattr(data["train"], "credit", ""),
            session=self._session,
        )

    def begin(self, facts: list[NetworkFacts]) -> None:
        """Go on from the newest checkpoint, if there is one, and say so."""
        found = checkpoint.newest(self._folder.checkpoints)
        for damaged in checkpoint.drop_after(self._folder.checkpoints, found.step if found else -1):
            self._observer.note(f"{damaged} is damaged; going on from before it.")
        if found:
            for note in self._session.load(found.folder):
                self._observer.note(note)
        for note in self._recorder.replay(self._session.step):
            self._observer.note(note)
        self._folder.traceback.unlink(missing_ok=True)  # of a failure before this start
        self._pace = Pace(found.seconds if found else 0.0)
        self._recorder.begin(facts)

    def run(self, stop_at: int | None) -> Result:
        """Train to the end, or to `stop_at`, and close the books whatever happens."""
        session = self._session
        stop = min(stop_at or session.total_steps, session.total_steps)
        error: BaseException | None = None
        try:
            self._tell("run_start")
            self._train(stop)
        except BaseException as caught:
            error = caught
            self._keep_traceback(caught)
            raise
        finally:
            status = _status(error, finished=session.step >= session.total_steps)
            summary = self._close(status, error)
        return Result(self._folder.root, status, summary)

    def _keep_traceback(self, error: BaseException) -> None:
        """Leave the whole story of what nobody foresaw in the folder, for whoever mends it."""
        told = isinstance(error, I2IError) and not _raised_by_a_component(error)
        foreseen = told or not isinstance(error, Exception) or ran_out_of_memory(error)
        if foreseen:
            return
        with suppress(I2IError, OSError):  # a full disk must not hide `error`
            write_text(self._folder.traceback, "".join(traceback.format_exception(error)))
            self._observer.note(f"The whole traceback is in {self._folder.traceback}")

    def _close(self, status: str, error: BaseException | None) -> dict[str, Any]:
        """Write the summary and the report; what goes wrong here does not hide `error`."""
        try:
            try:
                self._tell("run_end", error)
            finally:
                summary = self._recorder.end(status, self._pace, error=_sentence(error))
        except Exception as later:
            if error is None:
                self._keep_traceback(later)
                raise
            self._observer.note(f"After that, {type(later).__name__}: {later}")
            return {}
        return summary

    def _train(self, stop: int) -> None:
        session, train, pace = self._session, self._recipe.train, self._pace
        images = self._recipe.data.settings.batch_size * session.accumulate
        batches = training_batches(session, last=stop * session.accumulate)
        pace.restart()
        while session.step < stop:
            with pace.waiting():
                chosen = [next(batches) for _ in range(session.accumulate)]
            logs = session.advance(chosen)
            pace.add(images)
            step, last = session.step, session.step == session.total_steps
            self._recorder.progress(pace)

            if step == 1 or last or step % train.log_every == 0:
                session.run.check_finite()
                self._recorder.train(logs, pace)
                pace.close()
            for slot in self._recipe.section("callbacks"):
                if step % slot.settings.every == 0:
                    self._tell("step_end", logs, only=slot.name)
            if last or step % train.eval_every == 0:
                pace.close()
                self._validate()
                pace.restart()
            signal = self._signals.received
            if step == stop or signal is not None or step % train.save_every == 0:
                pace.close()
                self._save()
                pace.restart()
            if signal is not None and not last:
                raise Interrupted(
                    signal,
                    f"interrupted after step {step:,}; the state is saved. "
                    f"To go on, run the same recipe with --out {self._folder.root}",
                )

    def _validate(self) -> None:
        session = self._session
        session.run.check_finite(session.networks.modules())
        if session.metrics:
            metrics, copied = session.evaluate()
            session.observe(metrics)
            self._recorder.validation(metrics, copied, self._pace)
            best = session.is_best()
            if best:
                write_bytes(self._folder.model, session.model_file(), durable=True)
            if best or self._recipe.train.save_best is None:
                write_text(self._folder.images, session.scores.csv())
        self._tell("eval_end", dict(session.figures))
        self._recorder.write_report()

    def _save(self) -> None:
        session = self._session
        files = session.files()
        # The model first: a run that is killed in between takes up an older checkpoint and writes it again.
        if not session.best:
            write_bytes(self._folder.model, session.model_file(), durable=True)
        self._recorder.sync()
        checkpoint.save(self._folder.checkpoints, session.step, files, seconds=self._pace.seconds)
        checkpoint.prune(self._folder.checkpoints, self._recipe.train.keep)
        self._recorder.write_report()

    def _tell(self, event: str, *details: Any, only: str | None = None) -> None:
        """Call `event` on the callbacks that have it."""
        for name, callback in self._session.callbacks.items():
            if only in (None, name) and hasattr(callback, event):
                getattr(callback, event)(self._session.run, *details)


def dry_pass(recipe: Recipe, data: Mapping[str, Any], runtime: Runtime) -> Session:
    """Take one batch through train, evaluate, save and load, and return what did so, one step on."""
    session = Session(recipe, data=data, runtime=runtime, provenance={})
    batches = training_batches(session, last=session.accumulate)
    session.advance([next(batches) for _ in range(session.accumulate)])
    session.run.check_finite()
    if session.metrics:
        session.evaluate(limit=recipe.data.settings.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoint.save(Path(folder), session.step, session.files())
        session.load(saved.folder)
    session.model_file()
    return session


def _release() -> None:
    """Free what a dry pass leaves: a session and its context refer to each other until collected."""
    gc.collect()
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
        place=session.placed,
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


def _raised_by_a_component(error: I2IError) -> bool:
    """Whether there is another exception behind `error`, which its component's author wants to see."""
    return isinstance(error, PluginError) and error.__cause__ is not None


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
