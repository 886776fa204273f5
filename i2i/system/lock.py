"""One process at a time in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from i2i.errors import InUseError, RecipeError, ResourceError

LOCK_FILE = ".lock"
"""Name of the empty file in a folder that is locked while a process holds the folder."""

_handles: set[int] = set()
"""Folders that this process has open because it holds them."""


def _close_in_forked_process() -> None:
    """Leave the folders to the parent: a lock lives until the last process that has it open is gone."""
    while _handles:
        os.close(_handles.pop())


if hasattr(os, "register_at_fork"):  # filelock does the same for its files, since version 3.30
    os.register_at_fork(after_in_child=_close_in_forked_process)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; it is made if need be, and removed if it stays empty.

    The system lets go of it however this process ends, and whatever processes it has started. Raises
    InUseError when another process holds it, RecipeError when it has a file `.lock` of somebody else,
    ResourceError when it cannot be used.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be used as a folder: {error.strerror}.") from error
    try:
        # The folder first: while an older i2i holds it, nothing may be written there.
        with _folder_locked(folder), _file_locked(folder):
            yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


def in_use(folder: Path) -> bool:
    """Whether another process holds `folder` at this moment."""
    if not folder.is_dir():
        return False
    try:
        with held(folder):
            return False
    except InUseError:
        return True


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Lock the folder itself, which is the only lock that i2i had before it locked a file."""
    try:
        import fcntl
    except ImportError:  # Windows locks no folders
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be read: {error.strerror}.") from error
    _handles.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(folder) from None
        except OSError:  # network file systems lock files only, for an older i2i too
            pass
        yield
    finally:
        if handle in _handles:  # not in a forked process
            _handles.remove(handle)
            os.close(handle)


@contextmanager
def _file_locked(folder: Path) -> Iterator[None]:
    """Lock the file for it in `folder`; if it was not there before, it is removed in the end."""
    path = folder / LOCK_FILE
    lock = FileLock(path, fallback_to_soft=False)
    try:
        there = _is_lock_file(path)
        lock.acquire(blocking=False)
    except Timeout:
        raise _in_use(folder) from None
    except OSError as error:
        message = f"{folder} cannot be locked for a run: {error.strerror}; choose another --out."
        raise ResourceError(message) from error
    try:
        yield
    finally:
        if not there and lock.is_locked:  # it is not in a forked process
            with suppress(OSError):  # Windows removes no open file; filelock removes it there
                path.unlink()
        lock.release()


def _is_lock_file(path: Path) -> bool:
    """Return whether there is a lock file; raise RecipeError for something else of that name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size > 0:
        raise RecipeError(f"{path} is not a lock file of i2i; move it away, or choose another --out.")
    return True


def _in_use(folder: Path) -> InUseError:
    return InUseError(f"{folder} is in use by another run; choose another --out.")
