"""Unpacking an archive from elsewhere: plain files and folders below one folder, and nothing else.

What an archive may ask for is bounded (`archive_bounds`), and how long a header in it is.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from i2i.data.archive_bounds import MOST_MEMBERS, check_total, refused, refused_path
from i2i.data.unzip import DAMAGED as DAMAGED_ZIP
from i2i.data.unzip import MAGIC as ZIP
from i2i.data.unzip import extract_zip
from i2i.errors import ResourceError

LONGEST_HEADER = 1 << 20  # bytes, of one member

UNPACKING = ".unpacking-"
"""How the name of a folder begins that is being unpacked to."""

_OPENERS: Mapping[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""How tar files are opened, by their first bytes; others are not compressed."""

_DAMAGED = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, *DAMAGED_ZIP)


def unpack(
    archive: Path,
    target: Path,
    *,
    beside: Mapping[str, str] = MappingProxyType({}),
    watch: Callable[[int], None] = lambda count: None,
    scratch: Path | None = None,
) -> int:
    """Unpack an archive to the new folder `target` in one step, and return how many files there are.

    Whether it is a tar or a zip file is told by its first bytes. Where everything in the archive is inside
    one folder, that becomes `target`. `beside` are the names and texts of files that are put into it too;
    `scratch` is a folder on the same disk, that of `target` without it. Raises DataError for an archive that
    is damaged, that holds anything but files and folders of its own, or that goes beyond the bounds, and
    ResourceError when the disk is full; either way nothing is left behind.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=scratch or target.parent, prefix=UNPACKING))
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        count = _extract(archive, folder, watch)
        if not count:
            raise refused(archive, "the archive holds no file.")
        inside = list(folder.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
        for name, text in beside.items():
            (whole / name).write_text(text, encoding="utf-8")
        whole.chmod(0o755)
        whole.rename(target)
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0].rstrip(".:")  # tarfile goes on with a line for each format
        message = f"the archive cannot be unpacked: {reason or type(error).__name__}."
        raise refused(archive, message) from error
    except RecursionError as error:
        raise refused(archive, "the archive has headers of headers without end.") from error
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count


def _extract(archive: Path, folder: Path, watch: Callable[[int], None]) -> int:
    with archive.open("rb") as file:
        is_zip = file.read(8).startswith(ZIP)
    return (extract_zip if is_zip else _extract_tar)(archive, folder, watch)


def _extract_tar(archive: Path, folder: Path, watch: Callable[[int], None]) -> int:
    free = shutil.disk_usage(folder).free
    count = members = total = 0
    with _opened(archive) as raw:
        bounded = _Bounded(raw, archive)
        with tarfile.open(fileobj=bounded, mode="r:") as file:  # type: ignore[call-overload]
            while (member := file.next()) is not None:
                file.members.clear()  # they would be kept to the end
                _check_member(member, archive)
                members += 1
                count += member.isfile()
                total += member.size
                if total > free or members > MOST_MEMBERS:
                    raise ResourceError(f"{archive} unpacks to more than the {free:,} bytes that are free.")
                file.extract(member, folder, filter="data")
                watch(count)
            if bounded.last.strip(b"\0"):  # tarfile takes what is no header for the end
                raise refused(archive, "the archive cannot be unpacked: it is damaged in its midst.")
            while bounded.read(1 << 16):
                pass  # to the very end, where the checksum of the compression is
    return count


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        start = file.read(8)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            stream: IO[bytes] = opener(archive)
            return stream
    return archive.open("rb")


class _Bounded:
    """The unpacked bytes of an archive as far as it may go: not too many at once, nor too many in all.

    `last` are those that were read last.
    """

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        self._stream, self._archive = stream, archive
        self.last = b""

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or those that are left."""
        if size > LONGEST_HEADER:  # files are read in small pieces, so this is a header
            message = f"the archive has a header of {size:,} bytes, and {LONGEST_HEADER:,} are the most."
            raise refused(self._archive, message)
        self._check(self._stream.tell() + size)
        self.last = self._stream.read(size)
        return self.last

    def seek(self, place: int) -> int:
        """Go to a place, counted from the start."""
        self._check(place)
        return self._stream.seek(place)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._stream.tell()

    def _check(self, place: int) -> None:
        check_total(place, self._archive)


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    if problem := refused_path(member.name, plain=member.isfile() or member.isdir()):
        raise refused(archive, problem)
