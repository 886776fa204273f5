"""What an executor promises: every job is trained, its end told once, where it was asked; and it stops."""

from __future__ import annotations

import inspect
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from i2i.bench.jobs import Event, Job
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import Subject
from i2i.testing.tiny_run import TINY

PATIENCE = 120.0
"""Seconds after which an executor is told to stop."""

CELL = {
    **{name: table for name, table in TINY.items() if name != "metrics"},
    "name": "cell",
    "data": {"use": "shapes", "size": 16, "count": 2, "batch_size": 2},
    "train": {"steps": 1, "precision": "fp32"},
}
"""A recipe that any process can train in a moment."""


@check("executor", "executor", needs=["builds"])
def executor(subject: Subject) -> None:
    """It says how many jobs it does at once, and its run takes jobs, report and stopped."""
    built = subject.build()
    count = getattr(built, "at_once", None)
    require(
        isinstance(count, int) and not isinstance(count, bool) and count >= 1,
        f"its `at_once` is {count!r}: make it the number of jobs that it does at the same time, from 1 up",
    )
    run = getattr(built, "run", None)
    if not callable(run):
        fail("it has no run(jobs, *, report, stopped): define it")
    try:
        inspect.signature(run).bind([], report=print, stopped=bool)
    except TypeError as error:
        fail(f"run() cannot be called as run(jobs, report=..., stopped=...): {error}")


@check("ends-every-job", "executor", needs=["executor"])
def ends_every_job(subject: Subject) -> None:
    """It trains each job and tells once how it ended, before run returns, in the thread that called it."""
    with _jobs("good", "missing") as jobs:
        told = _told(subject, jobs)
        for job, wanted in zip(jobs, ("done", "failed"), strict=True):
            ends = [event for _, event in told if event.key == job.key and event.status != "running"]
            require(
                len(ends) == 1,
                f"of a job that has {'a' if wanted == 'done' else 'no'} recipe it tells {len(ends)} times "
                "how it ended: pass what Worker.train returns to report, once for each job, before run "
                "returns",
            )
            require(
                ends[0].status == wanted,
                f"a job that has {'a' if wanted == 'done' else 'no'} recipe ends as '{ends[0].status}' "
                f"({ends[0].error or 'no error'}): pass on what Worker.train returns",
            )
        require(
            _trained(jobs[0]),
            "it says of a job that it is done, and nothing was trained: let a Worker train it in its `out`",
        )
    require(
        {thread for thread, _ in told} == {threading.get_ident()},
        "it calls report in another thread: pass events on in the thread that called run, over a queue",
    )


@check("stops", "executor", needs=["ends-every-job"])
def stops(subject: Subject) -> None:
    """Once `stopped` is true it starts nothing new, and returns."""
    with _jobs("good", "better") as jobs:
        _told(subject, jobs, stopped=lambda: True)
        require(
            not any(map(_trained, jobs)),
            "it trains jobs to their end although `stopped` is true: ask it before each job, and now and "
            "then in between",
        )


def _told(
    subject: Subject, jobs: Sequence[Job], *, stopped: Callable[[], bool] | None = None
) -> list[tuple[int, Event]]:
    """Let an executor do `jobs` and return what it told, with the thread that each event was told in."""
    told: list[tuple[int, Event]] = []
    end = time.monotonic() + PATIENCE
    built: Any = subject.build()
    built.run(
        jobs,
        report=lambda event: told.append((threading.get_ident(), event)),
        stopped=stopped or (lambda: time.monotonic() > end),
    )
    return told


@contextmanager
def _jobs(*names: str) -> Iterator[list[Job]]:
    """Yield jobs for a while, each of a step; the one called "missing" has no recipe."""
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as text:
        folder = Path(text)
        folder.joinpath("cell.toml").write_text(tomli_w.dumps(CELL), encoding="utf-8")
        yield [
            Job(
                key=name,
                recipe=str(folder / ("missing.toml" if name == "missing" else "cell.toml")),
                out=str(folder / name),
                folder=str(folder),
                device="cpu",
                threads=1,
                steps=1,
            )
            for name in names
        ]


def _trained(job: Job) -> bool:
    return Path(job.out, "model.safetensors").is_file()


CHECKS = (executor, ends_every_job, stops)
