"""Writing files so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from i2i.errors import ResourceError

TEMPORARY = ".i2i-"
"""How the names of unfinished files begin."""

_Returned = TypeVar("_Returned")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
"""How a file is made that is not there yet; `tempfile` would make one that nobody else may read."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace `path` with `data` in one step; `durable` waits until it is on the disk under its name.

    Raises ResourceError when the folder cannot be written or the disk is full.
    """
    write_with(path, lambda file: file.write(data), needed=len(data), durable=durable)


def write_with(path: Path, fill: Callable[[BinaryIO], object], *, needed: int, durable: bool = False) -> None:
    """Replace `path` in one step with what `fill` writes, which are so many bytes; as `write_bytes`.

    Where that ends by anything else, an interruption too, what was begun is removed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        handle = os.open(temporary, _NEW, 0o666)
    except OSError as error:
        raise cannot_write(path, error, needed=needed) from error
    try:
        with open(temporary, "wb", opener=lambda *_: handle) as file:  # it knows its name
            fill(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error, needed=needed) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace `path` with `text` as UTF-8 in one step."""
    write_bytes(path, text.encode(), durable=durable)


def write_new(path: Path, fill: Callable[[BinaryIO], _Returned]) -> _Returned:
    """Let `fill` write a file that nobody reads yet, and wait until it is on the disk; raises OSError."""
    with path.open("xb") as file:
        returned = fill(file)
        file.flush()
        os.fsync(file.fileno())
    return returned


def cannot_write(path: Path, error: OSError, *, needed: int, what: str = "") -> ResourceError:
    """Return the error for `needed` bytes that cannot be written to `path`, in a sentence."""
    room = f" ({needed:,} bytes are needed, {_free(path):,} are free)" if error.errno in _FULL else ""
    return ResourceError(f"{what}{path} cannot be written: {error.strerror or error}{room}.")


@contextmanager
def temporary_folder(where: Path | None = None) -> Iterator[Path]:
    """Make a folder in `where`, or among the system's temporary files, and remove it with all that is in it.

    Raises ResourceError when it cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(dir=where, prefix=TEMPORARY, ignore_cleanup_errors=True)
    except OSError as error:
        place = where or "the folder for temporary files (TMPDIR)"
        raise ResourceError(f"{place} cannot be written: {error.strerror or error}.") from error
    with folder as name:
        yield Path(name)


def check_room(folder: Path, needed: int, *, what: str) -> None:
    """Raise ResourceError when the disk of `folder` has less than `needed` bytes left for `what`."""
    free = _free(folder)
    if free < needed:
        raise ResourceError(
            f"{what} will take {needed:,} bytes in {folder}, and {free:,} are free: make room, or choose a "
            "folder on another disk."
        )


def _free(path: Path) -> int:
    """Return the bytes that are free where `path` is, or will be."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def sync_folder(folder: Path) -> None:
    """Wait until names created or renamed in `folder` are on the disk (where the system can)."""
    if os.name != "nt":  # Windows has no handle on folders to flush
        sync(folder)


def sync(path: Path) -> None:
    """Wait until what was written to `path` is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
