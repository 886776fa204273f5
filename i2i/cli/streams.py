"""Standard output and error, written so that a reader who goes away costs nothing.

`i2i run … | head` closes the pipe after some lines; the training is not what was meant to end.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import IO, Any


class Unbreakable(io.RawIOBase):
    """A file that drops what is written once nobody reads it any more.

    With `drop_when_full` it does the same where there is no room for what is written: right for a training's
    progress, wrong for a command whose output is all there is to it.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream  # held on to, as it closes its file when it goes
        self._dropped = {errno.EPIPE, errno.EIO}  # EIO: the terminal is gone
        self._broken = False

    def drop_when_full(self) -> None:
        """From now on, drop also what there is no room for."""
        self._dropped |= {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

    def write(self, data: Any, /) -> int:
        """Write `data`, or drop it; returns how many bytes are dealt with."""
        if not self._broken:
            try:
                return os.write(self._stream.fileno(), data)
            except OSError as error:
                if error.errno not in self._dropped:
                    raise
                self._broken = True
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


def open_streams() -> None:
    """Let what the terminal's encoding lacks be written out, and what nobody reads be dropped."""
    if sys.stdout is None:  # closed by the shell
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
        raw = getattr(stream.buffer, "raw", stream.buffer)  # with python -u there is no buffer
        if isinstance(raw, io.FileIO):
            stream.flush()
            wrapper = io.TextIOWrapper(
                io.BufferedWriter(Unbreakable(stream)),
                encoding=stream.encoding,
                errors=stream.errors,
                # Unbuffered, as with PYTHONUNBUFFERED, there was no buffer below either; now there is.
                line_buffering=stream.line_buffering or stream.write_through,
                write_through=stream.write_through,
            )
            setattr(sys, name, wrapper)


def drop_output_when_full(*names: str) -> None:
    """Go on without these streams where there is no room for what they take, as a training does."""
    for name in names:
        raw = getattr(getattr(getattr(sys, name), "buffer", None), "raw", None)
        if isinstance(raw, Unbreakable):
            raw.drop_when_full()


def write_at_once(stream: IO[str], text: str) -> None:
    """Write `text` past the buffer of `stream`, as a signal handler has to: the buffer may be in use."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # no file: io.UnsupportedOperation is both
        stream.write(text)
        return
    with contextlib.suppress(OSError):  # nobody reads it any more
        os.write(
            descriptor, text.encode(getattr(stream, "encoding", None) or "utf-8", errors="backslashreplace")
        )
