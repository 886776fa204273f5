"""Writing files so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from i2i.errors import ResourceError

TEMPORARY = ".i2i-"
"""How the names of unfinished files begin."""


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace `path` with `data` in one step; `durable` waits until it is on the disk.

    Raises ResourceError when the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error.strerror}.") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ResourceError(f"{path} cannot be written: {error.strerror}.") from error


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace `path` with `text` as UTF-8 in one step."""
    write_bytes(path, text.encode(), durable=durable)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
