"""What is said while a command works: dated lines off a terminal, one line that is written over on one.

All of it goes to standard error; what a command found goes to standard output.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from i2i.cli.streams import write_at_once
from i2i.errors import EndedTogether, Interrupted, printable
from i2i.system import signals

if TYPE_CHECKING:
    from rich.console import Console

AGAIN = "Ctrl-C again ends at once"
_OVER = "\r\x1b[2K"
"""To the start of the line, and what stands there away."""


def stamp() -> str:
    """Return the time with its zone, as ISO 8601 writes it, to begin a line with."""
    return f"{datetime.now().astimezone().isoformat(timespec='seconds')}  "


def print_progress(text: str) -> None:
    """Print a remark of a command that works for long on stderr, dated where that is no terminal."""
    told = printable(text)
    print(told if sys.stderr.isatty() else f"{stamp()}{told}", file=sys.stderr)


def silence(text: str) -> None:
    """Take a remark that `--quiet` leaves out."""


def remarks(quiet: bool) -> Callable[[str], None]:
    """Return what takes the remarks of a command that works for long."""
    return silence if quiet else print_progress


def error_console(*, quiet: bool = False) -> Console:
    """Return standard error as rich writes it; off a terminal, and if `quiet`, it takes no bar."""
    from rich.console import Console

    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    console.quiet = quiet or not console.is_terminal
    return console


def fitting(text: str, width: int) -> str:
    """Return `text`, on a narrow terminal its first clause or what fits of that."""
    short = text if len(text) < width else text.partition(";")[0]
    return short[: max(0, width - 1)]


class StatusLine:
    """One line on a terminal, written over by the next one; nothing is drawn in between, no thread runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""

    def show(self, text: str) -> None:
        """Write `text` over what stands there."""
        self._text = printable(text)
        self._write(f"{_OVER}{fitting(self._text, self._console.width)}")

    def clear(self) -> None:
        """Take the line away."""
        if self._text:
            self._text = ""
            self._write(_OVER)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something is printed above it."""
        text = self._text
        self.clear()
        yield
        if text:
            self.show(text)

    def show_at_once(self, text: str) -> None:
        """Write `text` over the line, as a signal handler may: past all buffers, without a lock."""
        write_at_once(self._console.file, f"{_OVER}{fitting(text, self._console.width)}")
        self._text = text

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


@contextmanager
def interruptible(
    told: Callable[[], str], *, waits_for: str = "", quietly: bool = False
) -> Iterator[Callable[[], None]]:
    """Let Ctrl-C, SIGTERM or SIGHUP end at once what is within, which has nothing to save.

    What was begun is tidied up, for which the person may have to wait: `waits_for` says so. Raises
    Interrupted with the sentence that `told` returns. Where another process tells of it, all that is done
    `quietly`: it raises EndedTogether. Yields what is to be called after heavy imports: some pass over an
    interruption and leave half a module.
    """
    text = f"stopping: {waits_for}; {AGAIN}" if waits_for else "stopping"

    def tell() -> None:
        over = sys.stderr.isatty()
        write_at_once(sys.stderr, f"{_OVER}{text}" if over else f"{stamp()}{text}\n")

    with signals.ending_at_once() as watched:
        watched.tell = (lambda: None) if quietly else tell

        def check() -> None:
            if watched.received is not None:
                raise KeyboardInterrupt

        try:
            yield check
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, Exception) and watched.received is None:
                raise  # it is no consequence of a signal
            signal = watched.received or signals.WATCHED[0]
            if quietly:
                raise EndedTogether(128 + signal) from None
            if sys.stderr.isatty():
                write_at_once(sys.stderr, _OVER)
            raise Interrupted(signal, told()) from None


class _Passed(logging.Handler):
    """Hands on what is logged."""

    def __init__(self, info: Callable[[str], None], warning: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._info, self._warning = info, warning

    def emit(self, record: logging.LogRecord) -> None:
        take = self._warning if record.levelno >= logging.WARNING else self._info
        take(record.getMessage())


@contextmanager
def log_passed_to(info: Callable[[str], None], warning: Callable[[str], None]) -> Iterator[None]:
    """Hand on what i2i and its plug-ins log (to the logger ``i2i``), such as how far a rendering has come."""
    log = logging.getLogger("i2i")
    handler, level, passes_on = _Passed(info, warning), log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = passes_on
