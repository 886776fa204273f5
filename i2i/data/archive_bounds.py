"""What an archive from elsewhere may ask for, whatever its format: how many members, how deep, how much.

Members are plain files and folders of its own. What could reach outside is refused rather than mended: no
data set needs any of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PureWindowsPath

from i2i.errors import DataError, Problem, ResourceError

MOST_MEMBERS = 2_000_000
DEEPEST = 32  # folders inside each other
LONGEST_PATH = 1024  # characters
LARGEST_RATIO = 100  # bytes unpacked for each of the archive; images hardly shrink
ALWAYS_ALLOWED = 64 << 20  # bytes unpacked, whatever the ratio


def refused(archive: Path, message: str) -> DataError:
    """Return the error that names the archive beside what is wrong with it."""
    return DataError(Problem(message, file=str(archive)))


def refused_path(name: str, *, plain: bool) -> str:
    """Say what is wrong with a member of this name, or nothing; `plain`: it is a file or a folder."""
    path = PureWindowsPath(name)  # the strictest: both slashes separate, drives are seen
    outside = bool(path.anchor) or ".." in path.parts or "\0" in name
    if outside or not plain:
        what = "a path outside of it" if outside else "a link or a device"
        return f"the archive holds {what}, {name!r}: nothing of it was unpacked."
    if len(path.parts) > DEEPEST or len(name) > LONGEST_PATH:
        return (
            f"the archive holds a path of {len(path.parts):,} parts and {len(name):,} characters, "
            f"{name[:40]!r}…: {DEEPEST} and {LONGEST_PATH:,} are the most."
        )
    return ""


def most_bytes(archive: Path) -> int:
    """Return how many bytes an archive may unpack to, for its size."""
    return max(archive.stat().st_size * LARGEST_RATIO, ALWAYS_ALLOWED)


def check_total(total: int, archive: Path) -> None:
    """Refuse an archive of which `total` bytes are more than it may unpack to."""
    if total > (most := most_bytes(archive)):
        size = archive.stat().st_size
        raise refused(archive, f"the archive unpacks to more than {most:,} bytes, and has {size:,} itself.")


def check_room(total: int, folder: Path, archive: Path) -> None:
    """Raise ResourceError where the disk of `folder` has no room for `total` bytes."""
    if total > (free := shutil.disk_usage(folder).free):
        raise ResourceError(f"{archive} unpacks to more than the {free:,} bytes that are free.")
