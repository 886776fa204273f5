"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from i2i.errors import InUseError, ResourceError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; it is made if need be, and removed if it stays empty.

    The system lets go of it however this process ends. Raises InUseError when another process holds it,
    ResourceError when it cannot be used.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be used as a folder: {error.strerror}.") from error
    try:
        with _locked(folder):
            yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows locks no folders
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be read: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{folder} is in use by another run; choose another --out.") from None
        yield
    finally:
        os.close(handle)
