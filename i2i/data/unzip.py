"""The members of a zip file from elsewhere, put below one folder within the bounds of `archive_bounds`."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from i2i.data.archive_bounds import MOST_MEMBERS, check_room, check_total, refused, refused_path
from i2i.errors import ResourceError

PIECE = 1 << 20  # bytes
_UNIX = 3
"""What a zip file says of a member whose file mode stands in the upper half of its attributes."""
_ENCRYPTED = 1

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""What zip files begin with; the second is one without members."""

DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, OverflowError)
"""What `zipfile` raises of an archive that is cut, changed or compressed in a way that it does not know."""


def extract_zip(archive: Path, folder: Path, watch: Callable[[int], None]) -> int:
    """Put the files of `archive` below `folder` and return how many there are.

    All names are looked at before anything is written. Raises DataError for what is refused, ResourceError
    where the disk has no room, and one of `DAMAGED` for an archive that cannot be read.
    """
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        if len(members) > MOST_MEMBERS:
            raise refused(
                archive, f"the archive holds {len(members):,} files: {MOST_MEMBERS:,} are the most."
            )
        for member in members:
            _check(member, archive)
        total = sum(member.file_size for member in members)
        check_total(total, archive)
        check_room(total, folder, archive)
        count = 0
        for member in members:
            path = folder / member.filename
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            _write(file, member, path, archive)
            count += 1
            watch(count)
    return count


def _check(member: zipfile.ZipInfo, archive: Path) -> None:
    """Refuse a member that is no plain file or folder of the archive's own."""
    name = member.orig_filename  # as it is written: `filename` ends at a zero byte
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == _UNIX else 0
    plain = kind in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG)
    if problem := refused_path(name, plain=plain):
        raise refused(archive, problem)
    if member.flag_bits & _ENCRYPTED:
        raise refused(archive, f"the archive wants a password for {name!r}.")


def _write(file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, archive: Path) -> None:
    """Unpack one file; no more than it says to be long is read, and its checksum is compared at the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as written, file.open(member) as source:
            shutil.copyfileobj(source, written, PIECE)
    except (FileExistsError, NotADirectoryError) as error:
        raise refused(archive, f"the archive holds {member.filename!r} twice.") from error
    except RuntimeError as error:  # zipfile has no other word for a password
        raise refused(archive, f"the archive cannot be unpacked: {error}.") from error
    except EOFError as error:
        raise zipfile.BadZipFile(f"{member.filename} is cut off") from error
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error.strerror or error}.") from error
