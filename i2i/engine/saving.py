"""Saving while training goes on: copies are taken between two steps, and written in a thread beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from i2i.engine import stored
from i2i.engine.session import Duties, Session
from i2i.engine.stored import TRAINER
from i2i.runs import checkpoint
from i2i.runs.checkpoint import Unwritten
from i2i.runs.folder import RunFolder
from i2i.runs.weights import Snapshot

Notes = list[str]
"""What a save has to tell the person."""


class Saver:
    """Writes what is saved of a run, one after another and each in its order, in a thread of its own.

    Its methods are for the thread that trains. Only one save is in hand at a time: whoever is about to take
    the copies for another `wait`s, so that there are never two states in memory beside the one that trains.
    What goes wrong is raised by `look` and `wait`, once.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        keep: int,
        facts: Mapping[str, Any],
        note: Callable[[str], None],
    ) -> None:
        """`keep` are the checkpoints that stay, `facts` stand in each; `note` takes what a person is told."""
        self._folder, self._keep, self._facts, self._note = folder, keep, facts, note
        self._in_hand: tuple[Thread, Future[Notes]] | None = None
        self._owed: Mapping[str, Snapshot] = {}  # the files of the best model, until they are written
        self._given_up = Event()
        self.saved_at = 0
        """The step of the newest checkpoint that is on the disk; 0 before there is one."""

    def take(
        self,
        session: Session,
        duties: Duties | None,
        *,
        others: Mapping[str, Snapshot],
        model: bool,
        seconds: float,
        processes: int,
    ) -> None:
        """Copy the state of `session` with its `duties`, and begin to save it, made in so many `seconds`.

        `others` are files of other processes' states, of so many `processes` in all. The `model` is written
        too, unless a better one is kept.
        """
        files = stored.files(session, duties, processes=processes)
        models = stored.model_files(session, files) if model and not session.best else {}
        self.start(session.step, {**files, **others}, models, seconds=seconds)

    def take_best(self, session: Session) -> None:
        """Copy the models of `session`, which are the best so far, and begin to write them."""
        self.wait()
        self.start_models(stored.model_files(session))

    def keep_networks(self, session: Session) -> str:
        """Write the networks as they are, which are no checkpoint, and return a sentence on where.

        A step without one of its updates is none that a run goes on from.
        """
        for name, content in stored.files(session).items():
            if name != TRAINER:
                content.replace(self._folder.diverged / name)
        last = (
            f"the last checkpoint is of step {self.saved_at:,}" if self.saved_at else "there is no checkpoint"
        )
        return f"The networks as they were before that are in {self._folder.diverged}, for init_from; {last}."

    def start(
        self, step: int, files: Mapping[str, Unwritten], models: Mapping[str, Snapshot], *, seconds: float
    ) -> None:
        """Begin to save `step`, made in so many `seconds`: its `files` as a checkpoint, then the `models`.

        Both are by the names of their files. In this order, as a model that stands alone could not be told
        from one whose run was lost; where the run is killed in between, the next start writes the models.
        What metrics.jsonl holds so far is on the disk before.
        """

        def save() -> Notes:
            self._folder.sync()
            self._write_owed()  # a checkpoint after it would say that it is there
            checkpoint.save(
                self._folder.checkpoints,
                step,
                files,
                seconds=seconds,
                facts=self._facts,
                going_on=self._going_on,
            )
            self.saved_at = step
            self._write(models)
            return checkpoint.prune(self._folder.checkpoints, self._keep)

        self._start(save)

    def start_models(self, models: Mapping[str, Snapshot]) -> None:
        """Begin to write the `models` alone, of the step whose checkpoint was saved last.

        Where that fails, they are written before the next checkpoint.
        """
        self.wait()
        self._owed = models

        def save() -> Notes:
            self._write_owed()
            return []

        self._start(save)

    def _write_owed(self) -> None:
        self._write(self._owed)
        self._owed = {}

    def _write(self, models: Mapping[str, Snapshot]) -> None:
        for name, model in models.items():
            model.replace(self._folder.root / name, self._going_on)

    def look(self) -> None:
        """Raise what went wrong with a save that has ended meanwhile; wait for nothing."""
        if self._in_hand is not None and self._in_hand[1].done():
            self.wait()

    def wait(self) -> None:
        """Wait for the save in hand, if there is one, and raise what went wrong with it."""
        if self._in_hand is None:
            return
        thread, result = self._in_hand
        thread.join()  # a second Ctrl-C may end this, and then it is in hand still
        self._in_hand = None
        for text in result.result():
            self._note(text)

    def give_up(self) -> None:
        """End the save in hand where it is: what it had not committed is not there."""
        self._given_up.set()
        with suppress(GivenUpError):
            self.wait()

    def _start(self, save: Callable[[], Notes]) -> None:
        self.wait()
        result = Future[Notes]()

        def work() -> None:
            try:
                result.set_result(save())
            except BaseException as error:
                result.set_exception(error)  # raised again by whoever waits

        # A daemon, for a process that is told a second time to end does not wait for the disk.
        thread = Thread(target=work, name="saving", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there is no thread to be had: then training waits
            for text in save():
                self._note(text)
            return
        self._in_hand = thread, result

    def _going_on(self) -> None:
        if self._given_up.is_set():
            raise GivenUpError


class GivenUpError(Exception):
    """Ends a save that nobody waits for any more."""
