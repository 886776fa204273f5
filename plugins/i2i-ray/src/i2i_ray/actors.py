"""What runs on the cluster: trainers, and the board between them and the benchmark.

Both are plain classes that Ray makes actors of.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from typing import Any

from i2i.bench.jobs import Event, Job, Worker
from i2i.errors import EXIT_RESOURCES

SECONDS_FOR_AN_ANSWER = 0.05


class Board:
    """Where trainers leave how far they are, and learn that they shall stop.

    It keeps only the newest event of each attempt at a job, however slowly they are fetched.
    """

    def __init__(self) -> None:
        self._events: dict[int, Event] = {}
        self._stopped = False

    def post(self, attempt: int, event: Event) -> bool:
        """Leave an event; return whether to stop."""
        self._events[attempt] = event
        return self._stopped

    def exchange(self, stopped: bool) -> dict[int, Event]:
        """Say whether all shall stop; return what was left since the last time."""
        self._stopped = stopped
        events, self._events = self._events, {}
        return events


class Trainer:
    """Trains one job after another in a process of the cluster, which keeps the data it decoded."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self._worker = Worker()

    def place(self) -> str:
        """Return the name of the machine."""
        return platform.node()

    def train(self, attempt: int, job: Job) -> Event:
        """Train a job, or go on with it, and return its last event."""
        for path in (job.folder, job.recipe, os.path.dirname(job.out), job.plugin):
            if path and not os.path.exists(path):
                error = (
                    f"{platform.node()} has no {path}: all nodes of the cluster must see the folders of "
                    "the benchmark under the same names."
                )
                return Event(job.key, "failed", error=error, code=EXIT_RESOURCES)
        return self._worker.train(job, _Line(self._board, attempt))


class _Line:
    """Passes events on to the board, and takes its word for a signal to save and end.

    Training waits a moment for each answer, but never for a board that is gone.
    """

    def __init__(self, board: Any, attempt: int) -> None:
        self._board, self._attempt = board, attempt
        self._asked: Any = None
        self._told = False

    def __call__(self, event: Event) -> None:
        import ray

        patience = 0.0  # with a board that did not answer the last time
        if self._asked is None:
            self._asked, patience = self._board.post.remote(self._attempt, event), SECONDS_FOR_AN_ANSWER
        answered, _ = ray.wait([self._asked], timeout=patience)
        if not answered:
            return
        (asked,), self._asked = answered, None
        stop = False
        with contextlib.suppress(ray.exceptions.RayError):  # the board has moved, and will be asked again
            stop = ray.get(asked)
        if stop and not self._told:
            self._told = True
            signal.raise_signal(signal.SIGTERM)  # watched by the engine while it trains, in this thread
