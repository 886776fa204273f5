"""Ctrl-C, SIGTERM and SIGHUP end what is within at once, and what was begun is tidied up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from i2i.errors import Interrupted

WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

TOLD = "interrupted; nothing was written"


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let every signal end what is within by a KeyboardInterrupt, which no decoder takes for its own error.

    Raises Interrupted then, so that the exit code says which signal it was.
    """
    received: list[int] = []

    def end(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)
        for watched in WATCHED:
            signal.signal(watched, signal.SIG_IGN)  # what was begun is tidied up first
        raise KeyboardInterrupt

    before = {signum: signal.signal(signum, end) for signum in WATCHED}
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, Exception) and not received:
            raise  # it is no consequence of a signal
        raise Interrupted(received[0] if received else signal.SIGINT, TOLD) from None
    finally:
        for signum, former in before.items():
            signal.signal(signum, former)
