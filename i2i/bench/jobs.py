"""One cell of a benchmark as work that any process can do, and the worker that does it.

An executor makes a `Worker` in each of its processes and hands it one job after another, so that
torch is imported and data is decoded once for all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i.bench import launched
from i2i.errors import EXIT_BUG, DivergedError, I2IError, Interrupted, InUseError, PluginError, exit_code_of
from i2i.records import CellStatus, Event, Job
from i2i.system.atomic import write_text
from i2i.system.memory import keep_freed_memory

if TYPE_CHECKING:
    from i2i.data.opening import Note
    from i2i.engine.observer import Record, RunStart, Status
    from i2i.recipe.recipe import Recipe

__all__ = ["CellStatus", "Event", "Job", "Report", "Worker"]

SECONDS_BETWEEN_EVENTS = 0.2
PATIENCE = 20.0  # seconds that a killed worker may take to let go of its folder

Report = Callable[[Event], None]


class Worker:
    """Trains jobs in this process, one after another, and keeps what they share: their decoded data.

    The process is for nothing else: it keeps the memory that it frees.
    """

    def __init__(self) -> None:
        keep_freed_memory()
        self._opened: dict[str, Mapping[str, Any]] = {}

    def train(self, job: Job, report: Report) -> Event:
        """Train one cell, or go on with it, and return its last event; every error becomes a sentence in it.

        `report` is called now and then with an event; what it raises ends the training at once. A cell that
        several processes train as one is trained by processes that this one starts.
        """
        if job.processes > 1:
            return launched.train(job, report)
        from i2i.engine import loop
        from i2i.plugins.catalog import Catalog
        from i2i.recipe.recipe import load_recipe
        from i2i.system.device import computing_with

        progress = _EventReporter(job.key, report)
        try:
            with contextlib.chdir(job.folder), computing_with(job.threads):
                local = Path(job.plugin) if job.plugin else None
                recipe = load_recipe(Path(job.recipe), catalog=Catalog.installed(local=local))
                _wait_for(
                    lambda: loop.run(
                        recipe,
                        job.out,
                        device=job.device,
                        observer=progress,
                        open_data=self._open,
                        rehearsed=True,
                    )
                )
        except Interrupted as error:
            return Event(job.key, "interrupted", progress.step, str(error), exit_code_of(error))
        except DivergedError as error:
            return Event(job.key, "diverged", progress.step, str(error), error.exit_code)
        except I2IError as error:
            # A component that failed has its own exception behind the sentence: its author wants both.
            story = _story(job) if isinstance(error, PluginError) and error.__cause__ else ""
            return Event(job.key, "failed", progress.step, f"{error}{story}", error.exit_code)
        except Exception as error:
            told = f"{type(error).__name__}: {error}{_story(job)}"
            return Event(job.key, "failed", progress.step, told, EXIT_BUG)
        return Event(job.key, "done", job.steps)

    def _open(self, recipe: Recipe, note: Note) -> Mapping[str, Any]:
        """Open the data of a recipe, or hand out what an earlier job opened."""
        from i2i.data.opening import open_splits, splits_of

        # Paths in the table are seen from the working folder, which a job chooses.
        wanted = json.dumps([os.getcwd(), recipe.table["data"], splits_of(recipe)], default=str)
        if wanted not in self._opened:
            self._opened[wanted] = open_splits(recipe, note)
        return self._opened[wanted]


def _story(job: Job) -> str:
    """Write the traceback of what is being handled beside the cell's folder, and say where."""
    path = Path(f"{job.out}.txt")
    write_text(path, traceback.format_exc())
    return f" (all of it is in {path})"


def _wait_for(train: Callable[[], Any]) -> None:
    """Call `train`, again while another process still holds its folder."""
    begun = time.monotonic()
    while True:
        try:
            train()
            return
        except InUseError:
            if time.monotonic() - begun > PATIENCE:
                raise
            time.sleep(0.5)


class _EventReporter:
    """Passes a run's progress on as events."""

    def __init__(self, key: str, report: Report) -> None:
        self.step = 0
        self._key, self._report, self._last = key, report, 0.0

    def start(self, run: RunStart) -> None:
        self.step = run.first_step
        self._tell()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def stage(self, text: str) -> None: ...

    def stopping(self, waits_for: str) -> None: ...

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self.step = step
        if time.monotonic() - self._last >= SECONDS_BETWEEN_EVENTS:
            self._last = time.monotonic()
            self._tell()

    def train(self, record: Record) -> None: ...

    def validation(self, record: Record) -> None: ...

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None: ...

    def _tell(self) -> None:
        try:
            self._report(Event(self._key, "running", self.step))
        except OSError as error:  # the other end of a pipe is gone: no fault of this cell
            raise Interrupted(signal.SIGTERM, "whoever started this training is gone") from error
