"""A run that has become much slower says so once, with the cause if there is one to be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.engine import slowdown
from i2i.engine.slowdown import Slowdown


class Others:
    """A machine on which other programs keep some cores busy."""

    def __init__(self, busy: float | None) -> None:
        self._busy = busy

    def others(self) -> float | None:
        return self._busy


@pytest.fixture
def watch(monkeypatch):
    def make(busy: float | None, *, threads: int = 2) -> Slowdown:
        monkeypatch.setattr(slowdown, "Load", lambda: Others(busy))
        return Slowdown(Path("runs/mine"), threads=threads, on_cpu=True)

    return make


def steps(watched: Slowdown, seconds: float, *, over: float, waited: float = 0.0) -> list[str]:
    told = [watched.add(seconds, waited=waited) for _ in range(round(over / seconds))]
    return [text for text in told if text]


def test_half_a_minute_of_slow_steps_is_told_once_with_cause_and_command(watch):
    watched = watch(1.0)
    assert steps(watched, 0.1, over=20) == []
    assert steps(watched, 0.5, over=25) == []
    assert steps(watched, 0.5, over=60) == [
        "For half a minute a step has taken 5 times as long as it did: other programs keep a core busy. "
        "Threads wait for each other, so fewer are faster then: Ctrl-C, and then "
        "i2i run runs/mine/resolved.toml --out runs/mine --threads 1"
    ]


def test_a_pause_and_three_times_as_slow_are_not_told(watch):
    watched = watch(1.0)
    steps(watched, 0.1, over=20)
    assert steps(watched, 0.3, over=60) == []
    assert steps(watched, 1.0, over=20) == []
    assert steps(watched, 0.1, over=10) == []
    assert steps(watched, 1.0, over=20) == []


def test_waiting_for_data_is_told_as_that(watch):
    watched = watch(1.0)
    steps(watched, 0.1, over=20)
    (told,) = steps(watched, 1.0, over=40, waited=0.9)
    assert told.endswith("90% of the time goes by waiting for data.")


@pytest.mark.parametrize(
    ("busy", "threads", "ends"),
    [
        (3.2, 1, "other programs keep 3 cores busy."),
        (0.1, 2, "no other program computes much, so why is not known."),
        (None, 1, "another program may keep this machine busy."),
    ],
)
def test_no_more_is_told_than_is_known(watch, busy, threads, ends):
    watched = watch(busy, threads=threads)
    steps(watched, 0.1, over=20)
    (told,) = steps(watched, 1.0, over=40)
    assert told.endswith(ends)
