"""Processes that compute beside this one and answer over a pipe.

On Linux they are forked from a server that has imported torch once; elsewhere each imports it. A
terminal's Ctrl-C does not reach them: whoever started them tells them to end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = ("i2i.engine.loop", "torch._dynamo")
"""What takes seconds to import; torch imports the second when the first optimizer is made."""


@dataclass(frozen=True)
class Child:
    """A process at work and this end of the pipe to it."""

    process: BaseProcess
    pipe: Connection

    def end(self, *, patience: float = 5.0) -> None:
        """Close the pipe, which ends the process, and kill it if it takes longer than `patience` seconds."""
        self.pipe.close()
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def end(children: Iterable[Child]) -> None:
    """End several at the same time, so that waiting for one is waiting for all."""
    each = tuple(children)
    for child in each:
        child.pipe.close()
    for child in each:
        child.end()


def start(work: Callable[..., None], *given: Any, log: Path) -> Child:
    """Run ``work(pipe, *given)`` in a process of its own; what it prints is added to `log`.

    `work` is a function of a module. It ends when its pipe does: reading raises EOFError, writing OSError.
    """
    here, there = multiprocessing.get_context(_method()).Pipe()
    context: Any = multiprocessing.get_context(_method())
    if _method() == "forkserver":
        context.set_forkserver_preload(list(PRELOADED))
        _start_server()
    # No daemon, since that could not have the processes of its own that load data.
    process = context.Process(
        target=_begin, args=(work, there, given, dict(os.environ), os.getcwd(), str(log))
    )
    process.start()
    there.close()
    return Child(process, here)


def _start_server() -> None:
    """Start the server that processes are forked from, so that a terminal's Ctrl-C does not reach it.

    While it imports torch, it would answer with a traceback.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # it lets Ctrl-C through again, where it has to be started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _method() -> str:
    return "forkserver" if sys.platform == "linux" else "spawn"


def _begin(
    work: Callable[..., None],
    pipe: Connection,
    given: tuple[Any, ...],
    environ: Mapping[str, str],
    folder: str,
    log: str,
) -> None:
    """Take on the environment of whoever started this process, and work."""
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    multiprocessing.set_start_method(None, force=True)  # processes that load data are forked, as in any run
    if not Path(log).parent.is_dir():
        return  # whoever started this process has ended meanwhile
    with open(log, "a", encoding="utf-8", buffering=1) as file:
        for descriptor in (1, 2):  # libraries print past Python
            os.dup2(file.fileno(), descriptor)
        with (
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
            contextlib.suppress(EOFError, OSError),  # the other end is gone, and nobody waits
        ):
            work(pipe, *given)
