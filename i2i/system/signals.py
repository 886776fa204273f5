"""Ctrl-C, SIGTERM and SIGHUP end a run after the step in hand, with its state saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Signals:
    """The first signal that came in, if any."""

    def __init__(self) -> None:
        self.received: int | None = None

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal; the next one acts at once, so that nobody has to wait."""
        self.received = signum
        for watched in WATCHED:
            signal.signal(watched, signal.SIG_DFL if watched != signal.SIGINT else signal.default_int_handler)


@contextmanager
def watched() -> Iterator[Signals]:
    """Catch signals for a while; in any thread but the main one, nothing is caught."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {signum: signal.signal(signum, signals.receive) for signum in WATCHED}
    try:
        yield signals
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


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
