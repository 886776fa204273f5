"""The loop: step, log, save, tell the callbacks, validate.

It knows nothing of GANs: a method takes the step. What is written down at a step is a function of the
recipe and of that step alone, so a run that was killed and resumed ends where an undisturbed one would.
A step's state is saved before callbacks and validation, so that nothing that fails there costs any
training.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i.building.probe import NetworkFacts
from i2i.engine import resuming
from i2i.engine.by_rank import begin_alike, own_states
from i2i.engine.bystander import NoRecorder, NoSaver
from i2i.engine.cost import COST, cost_from
from i2i.engine.next_commands import going_on
from i2i.engine.observer import Observer
from i2i.engine.recorder import Recorder
from i2i.engine.resuming import EXTENDED, Resumption
from i2i.engine.saving import Saver
from i2i.engine.session import Duties, Session
from i2i.engine.settled import Settled
from i2i.engine.slowdown import Slowdown
from i2i.engine.throughput import Throughput
from i2i.errors import DivergedError, I2IError, Interrupted, PluginError, ran_out_of_memory
from i2i.kinds import Data
from i2i.processes.group import ALONE, Group, LostError
from i2i.records import Batch
from i2i.system.signals import Signals


class Training:
    """The loop, and what it holds on to from one step to the next."""

    def __init__(
        self,
        settled: Settled,
        data: Mapping[str, Data],
        observer: Observer,
        signals: Signals,
        *,
        recorder: Recorder | NoRecorder,
        saver: Saver | NoSaver,
        group: Group = ALONE,
    ) -> None:
        recipe, runtime, about = settled.recipe, settled.runtime, settled.about
        self._recipe, self._folder, self._observer, self._signals = recipe, settled.folder, observer, signals
        self._about, self._group, self._stop_at = about, group, settled.stop_at
        self._recorder, self._saver = recorder, saver
        self._doing = "this step"  # what a signal has to wait for
        signals.tell = lambda: observer.stopping(self._doing)
        self._slowdown = Slowdown(
            settled.folder.root, threads=runtime.threads, on_cpu=runtime.device == "cpu"
        )
        self._session = Session(
            recipe,
            data=data,
            runtime=runtime,
            provenance={
                **{key: about[key] for key in ("recipe", "seed", "i2i", "torch", "plugins")},
                "data": settled.marks,
            },
            folder=None if group.rank else settled.folder.root,
            start=not settled.resumes and group.rank == 0,
            show=recorder.show,
            keep=recorder.keep,
            tell=recorder.tell,
            group=group,
        )
        self._duties = Duties()
        self._steps_whole = True  # False while a step is being made

    def begin(self, facts: Sequence[NetworkFacts], begun: Resumption | None) -> None:
        """Go on from the newest checkpoint, if there is one, and say so."""
        session, seconds, notes = self._session, 0.0, list[str]()
        checkpoint: Path | None = None
        if begun and (found := resuming.load(session, self._folder, begun, notes)):
            seconds, self._duties = found
            checkpoint = self._folder.checkpoints / f"{session.step:06d}"
            extended = self._about.get(EXTENDED, [])
            if extended and session.step <= extended[-1]["at"]:
                session.waited = 0  # who extends a run is patient again
        self._duties = begin_alike(session, self._duties, checkpoint, notes)
        self._saver.saved_at = session.step
        notes += self._recorder.open(session, validated=not self._duties.validation)
        for note in notes:
            self._observer.note(note)
        self._throughput = Throughput(seconds)
        cost = cost_from(self._about.get(COST))
        self._recorder.begin(session, facts, cost, self._throughput)

    def run(self) -> tuple[str, dict[str, Any]]:
        """Train to the end, or to where it shall stop, and close the books whatever happens.

        Returns how it ended, "done" or "stopped", and the summary.
        """
        session = self._session
        stop = min(self._stop_at or session.total_steps, session.total_steps)
        error: BaseException | None = None
        try:
            self._tell("run_start")
            if self._duties:
                self._settle()
                self._save(model=False)  # the one that is there is of this step, or newer
            self._train(stop)
            self._saver.wait()
            self._tell_of_patience()
            self._compare_model()
        except BaseException as caught:
            error = self._lost(caught) if isinstance(caught, LostError) else caught
            self._rescue(error)
            if not _was_foreseen(error):
                self._recorder.keep_traceback(error)
            raise error from error.__cause__
        finally:
            status = _status(error, finished=session.is_over)
            summary = self._close(status, error)
        return status, summary

    def _train(self, stop: int) -> None:
        session, throughput = self._session, self._throughput
        images = self._recipe.data.settings.batch_size * session.accumulate
        batches = session.batches(last=stop * session.accumulate)
        self._saver.wait()  # the first batch forks the workers, which is to be where no thread writes
        throughput.restart()
        while session.step < stop and not session.is_over:
            self._saver.look()
            begun = time.perf_counter()
            with throughput.waiting():
                chosen = self._next(batches)
            loaded = time.perf_counter()
            self._steps_whole = False
            logs = session.advance(chosen)
            # Before anything that can fail: what is saved of this step holds what it still asks for.
            self._duties = self._due(logs)
            self._steps_whole = True
            throughput.add(images)
            if told := self._slowdown.add(time.perf_counter() - begun, waited=loaded - begun):
                self._observer.note(told)
            self._follow_up(logs, stop)

    def _tell_of_patience(self) -> None:
        """Say why training ended before its last step, if it did."""
        session, train = self._session, self._recipe.train
        if session.out_of_patience and session.step < session.total_steps:
            figure = str(train.save_best).partition(":")[0]
            count = "validation has" if train.patience == 1 else f"{train.patience} validations have"
            self._observer.note(
                f"Ended early, as {count} found no better {figure} than {session.best[figure]:.4g}: "
                "that model is the one that is kept."
            )

    def _compare_model(self) -> None:
        """Say where the model that was written does not answer as the method does; a better one is older."""
        session = self._session
        if not session.is_over or session.best:
            return
        try:
            told = self._recorder.disagreement(session)
        except I2IError as error:
            told = str(error)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            told = "there was no memory to compare them in."
        if told:
            self._observer.note(f"The model that was written is not known to be what was validated: {told}")

    def _next(self, batches: Iterator[Batch]) -> list[Batch]:
        """Return the batches of the next step; where a signal has ended the workers too, end as it asks."""
        session = self._session
        try:
            return [next(batches) for _ in range(session.accumulate)]
        except RuntimeError:
            if self._signals.received is None:
                raise
            if self._group.size == 1:
                raise self._interrupted(self._signals.received) from None
            # The others are about to make this step, after which all end together.
            return list(session.batches(last=(session.step + 1) * session.accumulate, workers=0))

    def _asked_to_end(self) -> int | None:
        """Return the signal that has come, in any process; all of them ask at the same point of a step."""
        return self._group.most(self._signals.received or 0) or None

    def _interrupted(self, signal: int) -> Interrupted:
        """Return what ends the run as the signal asks, once what is being saved is on the disk."""
        self._saver.wait()
        return Interrupted(
            signal,
            f"interrupted after step {self._session.step:,}; the state is saved. "
            f"To go on: {going_on(self._folder, self._about.get('command') or ())}",
        )

    def _lost(self, error: LostError) -> LostError:
        """Return in words that another process has ended, and how to go on."""
        step, saved_at = self._session.step, self._saver.saved_at
        kept = f"goes on from step {saved_at:,}" if saved_at else "starts over, as nothing was saved yet"
        told = LostError(
            f"training ended after step {step:,}: of its {self._group.size} processes {error} See what that "
            f"one said; the same command {kept}."
        )
        told.__cause__ = error
        return told

    def _due(self, logs: Mapping[str, Tensor]) -> Duties:
        """Return what the step just made asks for: the callbacks whose turn it is, a validation."""
        step, last = self._session.step, self._session.step == self._session.total_steps
        return Duties(
            [s.name for s in self._recipe.section("callbacks") if step % s.settings.every == 0],
            validation=last or step % self._recipe.train.eval_every == 0,
            logs=logs,
        )

    def _follow_up(self, logs: Mapping[str, Tensor], stop: int) -> None:
        """Do what is due after a step: log it, save it, tell the callbacks, validate."""
        session, train = self._session, self._recipe.train
        step, last = session.step, session.step == session.total_steps
        logged = session.run.logged
        if logged or session.run.watches_for_free:
            session.run.check_finite()
        if logged:
            logs = self._duties.logs = self._group.mean(logs)
            self._recorder.train(session, logs, self._throughput)
        self._recorder.progress(session, self._throughput)
        if logged:
            self._throughput.close()
        signal = self._asked_to_end()
        ends = step == stop or signal is not None
        if ends or self._duties.validation or step % train.save_every == 0:
            self._save(self._duties)
        if signal is not None and not last:
            raise self._interrupted(signal)
        owed = bool(self._duties)
        self._settle()
        if owed:
            signal = self._asked_to_end()  # one may have come meanwhile
        if owed and (ends or signal is not None or session.is_over):
            self._save()  # with nothing left to do: whoever resumes here does none of it again
        if owed and signal is not None and not session.is_over:
            raise self._interrupted(signal)

    def _settle(self) -> None:
        """Do what the step just made still asks for, in the order of `Duties`."""
        duties = self._duties
        while duties.callbacks:
            self._tell("step_end", duties.logs, only=duties.callbacks[0])
            del duties.callbacks[0]
        if duties.validation:
            self._doing = "this validation"
            with self._throughput.paused():
                self._validate()
            duties.validation, self._doing = False, "this step"

    def _validate(self) -> None:
        session = self._session  # which is finite: it was saved before this
        if session.scorer.metrics:
            self._observer.stage("validating")
            metrics, copied = session.evaluate()
            session.observe(metrics)
            self._recorder.validation(session, metrics, copied, self._throughput)
            best = session.is_best()
            if best:
                self._saver.take_best(session)
            if best or self._recipe.train.save_best is None:
                self._recorder.keep_scores(session)
        self._tell("eval_end", dict(session.figures))
        self._recorder.write_report(session, self._throughput)

    def _save(self, duties: Duties | None = None, *, model: bool = True, together: bool = True) -> None:
        """Begin to save the step just made, before its `duties`, and the `model` unless a better one is kept.

        Training pauses for the save before this one, if that is still being written, and for the copies. What
        other processes have of their own is saved too, if all of them save `together`.
        """
        session = self._session
        with self._throughput.paused():
            self._saver.wait()
            if together:
                session.share_buffers()
            others = own_states(session) if together else {}
            self._saver.take(
                session,
                duties,
                others=others,
                model=model,
                seconds=self._throughput.seconds,
                processes=self._group.size if together else 1,
            )
            self._recorder.write_report(session, self._throughput)

    def _rescue(self, error: BaseException) -> None:
        """Save the last whole step after an error outside of it, with what it still asks for.

        Someone who asks a second time for an end wants it at once.
        """
        at_once, step = isinstance(error, KeyboardInterrupt), self._session.step
        try:
            if at_once:
                self._saver.give_up()
            else:
                self._saver.wait()
        except (I2IError, OSError) as other:
            self._observer.note(f"Beside that, what was being saved could not be written: {other}")
        saved_at = self._saver.saved_at
        if step > saved_at and at_once:
            self._observer.note(f"Ended at once: what came after step {saved_at:,} is not saved.")
        if step <= saved_at or not self._steps_whole or at_once:
            return
        try:
            if isinstance(error, DivergedError):
                self._observer.note(self._saver.keep_networks(self._session))
            else:
                self._save(self._duties, together=False)
                self._saver.wait()
                self._observer.note(f"The state after step {step:,} is saved.")
        except (I2IError, OSError) as later:
            self._observer.note(f"After that, step {step:,} could not be saved: {later}")

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
                if not _was_foreseen(later):
                    self._recorder.keep_traceback(later)
                raise
            self._observer.note(f"After that, {type(later).__name__}: {later}")
            return {}
        return summary


def _was_foreseen(error: BaseException) -> bool:
    """Whether an error has words of its own, and needs no traceback."""
    told = isinstance(error, I2IError) and not _raised_by_a_component(error)
    return told or not isinstance(error, Exception) or ran_out_of_memory(error)


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
