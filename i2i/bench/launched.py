"""A cell that several processes train as one: torchrun starts them, and their records tell how far they are.

The process that starts them computes nothing itself. When it ends, however it ends, they save and end too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.errors import EXIT_DIVERGED, EXIT_RESOURCES, Problem
from i2i.records import CellStatus, Event, Job
from i2i.runs.metrics_log import METRICS
from i2i.system.atomic import write_text
from i2i.system.lock import in_use
from i2i.system.signals import WATCHED, watched

SECONDS_BETWEEN_LOOKS = 0.2
PATIENCE = 60.0  # seconds that the processes of an earlier start may take to let go of the folder
TRIES = 2
BY_SIGNAL = tuple(128 + signum for signum in WATCHED)
OF_LAUNCHERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

Launcher = Callable[[Job], list[str]]


def torchrun(job: Job) -> list[str]:
    """Return the command that trains a job in its processes, on this machine."""
    run = ["-m", "i2i", *job.run_arguments(), "--json"]
    return [sys.executable, "-m", "torch.distributed.run", *job.torchrun_options(), *run]


def train(job: Job, report: Callable[[Event], None], *, launcher: Launcher | None = None) -> Event:
    """Train a job in several processes, or go on with it, and return its last event.

    Processes that died are started again once, and go on from the newest checkpoint. What `report` raises
    ends them, after they have saved.
    """
    for _ in range(TRIES):
        begun = time.monotonic()
        while in_use(Path(job.out)) and time.monotonic() - begun < PATIENCE:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        event = _train_once(job, report, (launcher or torchrun)(job))
        if event.code != EXIT_RESOURCES:
            break
    return event


def _train_once(job: Job, report: Callable[[Event], None], command: list[str]) -> Event:
    with tempfile.TemporaryDirectory(prefix="i2i-cell-") as text, watched() as signals:
        said, told = Path(text) / "stdout", Path(text) / "stderr"
        with said.open("wb") as stdout, told.open("wb") as stderr:
            started = subprocess.Popen(  # noqa: S603 - this Python, with the paths of a job
                [sys.executable, "-m", "i2i.bench.tether", *command],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=job.folder,
                env=_environment(job),
            )
        progress = _Progress(Path(job.out) / METRICS)
        assert started.stdin is not None
        ended_by = None
        try:
            while started.poll() is None:
                if signals.received is not None and ended_by is None:
                    ended_by = signals.received
                    started.stdin.close()
                try:
                    report(Event(job.key, "running", progress.step()))
                except OSError:  # the other end of a pipe is gone: no fault of this cell
                    ended_by = signal.SIGTERM
                    break
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            started.stdin.close()
            code = started.wait()
        step = progress.step()
        if code == 0:
            return Event(job.key, "done", job.steps)
        if ended_by is not None:
            error = f"interrupted after step {step:,}: the processes of this cell were asked to save and end"
            return Event(job.key, "interrupted", step, error, 128 + ended_by)
        output = said.read_text(encoding="utf-8", errors="replace")
        story = told.read_text(encoding="utf-8", errors="replace")
        return _failed(job, step, code, output, story)


def _environment(job: Job) -> dict[str, str]:
    """Return the environment of a launcher, which is no process of another one."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_LAUNCHERS}
    return kept | {"OMP_NUM_THREADS": str(job.threads)}


def _failed(job: Job, step: int, code: int, output: str, story: str) -> Event:
    """Return the event of processes that have not trained the cell to its end, by what they said themselves.

    A process that only found another one gone is believed last.
    """
    found = sorted(_errors(output), key=lambda error: error["exit"] == EXIT_RESOURCES)
    if not found:
        path = Path(f"{job.out}.txt")
        write_text(path, story)
        error = f"its {job.processes} processes ended with exit code {code} (what they said is in {path})"
        return Event(job.key, "failed", step, error, EXIT_RESOURCES)
    first = found[0]
    error = "\n".join(Problem(**problem).render() for problem in first["error"])
    status: CellStatus = "failed"
    if first["exit"] in BY_SIGNAL:
        status = "interrupted"
    elif first["exit"] == EXIT_DIVERGED:
        status = "diverged"
    return Event(job.key, status, step, error, first["exit"])


def _errors(output: str) -> Iterator[Mapping[str, Any]]:
    """Yield what processes told with `--json` of what went wrong, one object each."""
    decoder, place = json.JSONDecoder(), output.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(output, place)
        except ValueError:
            end = place + 1
        else:
            if isinstance(found, dict) and found.keys() == {"error", "exit"}:
                yield found
        place = output.find("{", end)


@dataclass
class _Progress:
    """How far a run is, by the records that it writes; each look reads what is new."""

    path: Path
    _read: int = 0
    _step: int = 0

    def step(self) -> int:
        """Return the step of the newest record."""
        if not self.path.is_file():
            return self._step
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:  # records after the last checkpoint were taken back
                self._read = 0
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._read += len(line)
            try:
                self._step = int(json.loads(line)["step"])
            except (ValueError, TypeError, KeyError):
                continue  # a damaged line is told by whoever reads the run
        return self._step
