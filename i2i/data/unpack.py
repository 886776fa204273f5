"""Unpacking an archive from elsewhere: plain files and folders below one folder, and nothing else."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

from i2i.errors import DataError, Problem, ResourceError

MOST_FILES = 2_000_000


def unpack(
    archive: Path,
    target: Path,
    *,
    beside: Mapping[str, str] = MappingProxyType({}),
    watch: Callable[[int], None] = lambda count: None,
) -> int:
    """Unpack a tar file to the new folder `target` in one step, and return how many files there are.

    Where everything in the archive is inside one folder, that becomes `target`. `beside` are the names and
    texts of files that are put into it too. Raises DataError for an
    archive that is damaged or holds anything but files and folders of its own, and ResourceError when the
    disk is full; either way nothing is left behind.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        count = _extract(archive, folder, watch)
        inside = list(folder.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
        for name, text in beside.items():
            (whole / name).write_text(text, encoding="utf-8")
        whole.chmod(0o755)
        whole.rename(target)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(".:")  # tarfile goes on with a line for each format
        message = f"the archive cannot be unpacked: {reason}."
        raise DataError(
            Problem(message, file=str(archive), hint="remove it and download it again")
        ) from error
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count


def _extract(archive: Path, folder: Path, watch: Callable[[int], None]) -> int:
    free = shutil.disk_usage(folder).free
    count = total = 0
    with tarfile.open(archive, "r:*") as file:
        for member in file:
            _check_member(member, archive)
            count += member.isfile()
            total += member.size
            if total > free or count > MOST_FILES:
                raise ResourceError(f"{archive} unpacks to more than the {free:,} bytes that are free.")
            file.extract(member, folder, filter="data")
            watch(count)
        while file.fileobj and file.fileobj.read(1 << 20):
            pass  # to the very end, where the checksum of the compression is
    if not count:
        raise DataError(Problem("the archive holds no file.", file=str(archive)))
    return count


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    """Refuse what could reach outside of the folder, rather than mend it: no data set needs any of it."""
    path = PureWindowsPath(member.name)  # the strictest: both slashes separate, drives are seen
    outside = bool(path.anchor) or ".." in path.parts
    if outside or not (member.isfile() or member.isdir()):
        what = "a path outside of it" if outside else "a link or a device"
        message = f"the archive holds {what}, {member.name!r}: nothing of it was unpacked."
        raise DataError(Problem(message, file=str(archive)))
