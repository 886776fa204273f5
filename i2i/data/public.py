"""Public data sets onto a disk: downloaded, compared with the first time, unpacked, in one step."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from i2i.data.download import PAUSES, Fetched, Watch, fetch, forget
from i2i.data.public_sets import SETS
from i2i.data.unpack import UNPACKING, unpack
from i2i.errors import DataError, RecipeError, ResourceError, did_you_mean
from i2i.system.atomic import TEMPORARY
from i2i.system.lock import held

RECORD = "download.json"
"""The file beside the data that says where it came from."""

REFUSED = ".refused"
"""What the name of an archive ends with that is no data set."""


def get(
    name: str,
    out: Path,
    *,
    url: str | None = None,
    watch: Watch = lambda there, total: None,
    unpacking: Callable[[int], None] = lambda count: None,
    pauses: Sequence[float] = PAUSES,
) -> tuple[Path, Fetched]:
    """Download a public data set to the folder `out`/NAME, unless it is there, and say what it was.

    `url` is used in place of the public address. Raises RecipeError for an unknown name and for a folder
    that something else made, ResourceError for one that cannot be had, DataError for a bad archive.
    """
    known = SETS.get(name)
    if known is None:
        close = did_you_mean(name, SETS) or f"; there are {', '.join(SETS)}"
        raise RecipeError(f"there is no public data set '{name}'{close}")
    folder = out.expanduser() / name
    there = _record(folder)
    if there is not None:
        return folder, there
    if folder.exists():
        raise RecipeError(f"{folder} is there already, and not from a download: name another --out.")
    address = url or known.url
    if not address:
        raise ResourceError(
            f"{name} cannot be downloaded by everybody: ask its owners for it ({known.owners}), and give the "
            "folder of your pairs as data.root."
        )
    with held(_work(folder)):
        _tidy(_work(folder))
        return folder, _fetched(address, folder, watch=watch, unpacking=unpacking, pauses=pauses)


def _fetched(
    address: str,
    folder: Path,
    *,
    watch: Watch,
    unpacking: Callable[[int], None],
    pauses: Sequence[float],
) -> Fetched:
    """Download the archive at `address`, in the work folder, and unpack it to `folder`."""
    work = _work(folder)
    # By address, so that what came from one is never taken for what another has.
    suffix = ".zip" if address.lower().endswith(".zip") else ".tar.gz"  # for people: its first bytes count
    archive = work / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}{suffix}"
    fetched = fetch(address, archive, watch=watch, pauses=pauses)
    beside = {RECORD: json.dumps(asdict(fetched), indent=2)}
    try:
        unpack(archive, folder, beside=beside, watch=unpacking, scratch=work)
    except DataError as error:
        forget(address)  # such as the page of a network that asks for a login: no data set to compare with
        refused = archive.with_name(archive.name.replace(suffix, REFUSED))
        archive.replace(refused)
        hint = "it was set aside, so the same command downloads it again; --url names another address"
        raise DataError(*(replace(p, file=str(refused), hint=hint) for p in error.problems)) from error
    shutil.rmtree(work, ignore_errors=True)
    return fetched


def _work(folder: Path) -> Path:
    """Where the archive of a data set is until it is unpacked, beside the set's own folder."""
    return folder.with_name(f".{folder.name}")


def _tidy(work: Path) -> None:
    """Remove what a killed process left half-written; parts of archives stay, for they are gone on with."""
    for leftover in (*work.glob(f"{TEMPORARY}*"), *work.glob(f"{UNPACKING}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _record(folder: Path) -> Fetched | None:
    try:
        return Fetched(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
