"""Cells in processes of this machine: each takes job after job until none is left."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from i2i.bench import processes
from i2i.bench.jobs import Event, Job, Worker
from i2i.errors import EXIT_RESOURCES

SECONDS_BETWEEN_LOOKS = 0.2
TRIES = 2


class Local:
    """Processes that stay: torch is imported and data is decoded once in each, not once a cell.

    Args:
        jobs: how many cells are trained at the same time; each has its share of the cores.
    """

    def __init__(self, *, jobs: Annotated[int, Ge(1), Le(256)] = 1) -> None:
        self.at_once = jobs

    def run(
        self, jobs: Sequence[Job], *, report: Callable[[Event], None], stopped: Callable[[], bool]
    ) -> None:
        """Train all jobs; see `i2i.kinds.Executor`."""
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            shift = _Shift(jobs, report, log=Path(folder) / "log")
            try:
                shift.open(min(self.at_once, len(jobs)))
                while True:
                    if stopped():
                        shift.stop()
                    shift.hand_out()
                    if not shift.busy():
                        return
                    shift.listen()
            finally:
                shift.close()


class _Shift:
    """What one call of `run` keeps count of: the jobs that wait, the processes, and who has what."""

    def __init__(self, jobs: Sequence[Job], report: Callable[[Event], None], *, log: Path) -> None:
        self._waiting, self._report, self._log = deque(jobs), report, log
        self._tries = Counter[str]()
        self._seats: list[_Seat] = []
        self._stopping = False

    def open(self, count: int) -> None:
        """Start `count` processes."""
        for _ in range(count):
            self._seats.append(_Seat(processes.start(_serve, log=self._log)))

    def close(self) -> None:
        """End all processes."""
        processes.end(seat.child for seat in self._seats)

    def stop(self) -> None:
        """Tell the processes at work to save and end, once; whatever waits is left undone."""
        if self._stopping:
            return
        self._stopping = True
        for job in self._waiting:
            if self._tries[job.key]:
                self._interrupted(job, "its process died, and it was not tried again")
        self._waiting.clear()
        for seat in self._seats:
            seat.ask_to_stop()

    def hand_out(self) -> None:
        """Give every process without a job the next one."""
        for seat in self._seats:
            if seat.job is None and self._waiting:
                self._tries[self._waiting[0].key] += 1
                seat.take(self._waiting.popleft(), log=self._log)

    def busy(self) -> list[_Seat]:
        """Return the processes at work."""
        return [seat for seat in self._seats if seat.job is not None]

    def listen(self) -> None:
        """Wait a moment for the processes at work, pass on what they say, and find out which died."""
        ends = [end for seat in self.busy() for end in (seat.child.pipe, seat.child.process.sentinel)]
        wait(ends, SECONDS_BETWEEN_LOOKS)
        for seat in self.busy():
            for event in seat.heard():
                self._report(event)
            if seat.dead:
                self._lost(*seat.clear())

    def _lost(self, job: Job, died: str) -> None:
        """Try a job again whose process died, or give it up."""
        if self._stopping:
            self._interrupted(job, f"its process ended ({died})")
        elif self._tries[job.key] < TRIES:
            self._waiting.append(job)
        else:
            error = f"its process died {TRIES} times, last by {died}"
            self._report(Event(job.key, "failed", error=error, code=EXIT_RESOURCES))

    def _interrupted(self, job: Job, why: str) -> None:
        self._report(Event(job.key, "interrupted", error=why, code=EXIT_RESOURCES))


@dataclass
class _Seat:
    """One process and the job it is at; `dead` once it can say nothing more about it."""

    child: processes.Child
    job: Job | None = None
    dead: bool = False

    def take(self, job: Job, *, log: Path) -> None:
        """Hand the process a job, or a new process where it died since its last one."""
        if not self.child.process.is_alive():
            self.child.end()
            self.child = processes.start(_serve, log=log)
        self.job = job
        with contextlib.suppress(OSError):  # it died this moment, which will be heard
            self.child.pipe.send(job)

    def heard(self) -> Iterator[Event]:
        """Yield what the process has to say, up to its job's last event."""
        alive = self.child.process.is_alive()  # before listening, so that its last words are not missed
        while self.job is not None:
            try:
                if not self.child.pipe.poll():
                    self.dead = not alive
                    return
                event: Event = self.child.pipe.recv()
            except (EOFError, OSError):
                self.dead = True
                return
            if event.status != "running":
                self.job = None
            yield event

    def clear(self) -> tuple[Job, str]:
        """Return the job of a dead process, and what it died of."""
        assert self.job is not None
        job, self.job, self.dead = self.job, None, False
        self.child.end()
        code = self.child.process.exitcode or 0
        return job, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def ask_to_stop(self) -> None:
        """Tell a process at work to save and end."""
        if self.job is not None and self.child.process.is_alive():
            self.child.process.terminate()


def _serve(pipe: Connection) -> None:
    """Train what comes in until nothing can come any more."""
    worker = Worker()
    while True:
        job: Job = pipe.recv()
        pipe.send(worker.train(job, pipe.send))
