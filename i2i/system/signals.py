"""Ctrl-C, SIGTERM and SIGHUP: a run ends after the step in hand, with its state saved; all else at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


TOGETHER = 3.0
"""Seconds in which the same wish comes more than once to several processes: Ctrl-C reaches each of them and
their launcher, which passes it on."""


class Signals:
    """The first signal that came in, if any.

    `tell` is called as it comes in, in the midst of whatever runs: it may note that and write to a file
    descriptor, and takes no lock and writes through no buffer, which the code below it may be using.
    """

    def __init__(self, grace: float = 0.0) -> None:
        """For `grace` seconds after the first signal the next ones are taken for the same."""
        self.received: int | None = None
        self._grace, self._at = grace, 0.0
        self.tell: Callable[[], None] = lambda: None

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal; the next one acts at once, so that nobody has to wait."""
        if self.received is None:
            self.received, self._at = signum, time.monotonic()
            if not self._grace:
                self._act_at_once()
            self.tell()
        elif time.monotonic() - self._at > self._grace:
            self._act_at_once()
            signal.raise_signal(signum)

    def _act_at_once(self) -> None:
        """Let the next signal do what it does to a process that watches none."""
        for watched in WATCHED:
            signal.signal(watched, signal.SIG_DFL if watched != signal.SIGINT else signal.default_int_handler)

    def end_at_once(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal, and end what runs by a KeyboardInterrupt, whichever signal it is."""
        self.receive(signum, frame)
        raise KeyboardInterrupt


@contextmanager
def watched(*, grace: float = 0.0) -> Iterator[Signals]:
    """Catch signals for a while, to be asked after; in any thread but the main one, nothing is caught.

    The second one acts at once, unless it comes within so many seconds of `grace`.
    """
    signals = Signals(grace)
    with _handled(signals.receive):
        yield signals


@contextmanager
def ending_at_once() -> Iterator[Signals]:
    """Let every signal raise KeyboardInterrupt for a while, so that what was begun is tidied up."""
    signals = Signals()
    with _handled(signals.end_at_once):
        yield signals


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in WATCHED}
    try:
        yield
    finally:
        for signum, former in before.items():
            signal.signal(signum, former)


def leave_to_parent(_worker: int = 0) -> None:
    """In a worker process: a terminal's Ctrl-C is the parent's to answer, SIGTERM ends the worker, as done.

    Whoever stops a service sends SIGTERM to the workers too. torch takes a worker that a signal killed for a
    failure, and raises that wherever the parent happens to be, in the midst of a save too.
    """
    for signum in WATCHED:
        ends = signum == getattr(signal, "SIGTERM", None)
        signal.signal(signum, _ended if ends else signal.SIG_IGN)


def _ended(*_: Any) -> None:
    os._exit(0)
