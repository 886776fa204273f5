"""Public data sets onto a disk: downloaded, compared with the first time, unpacked, in one step."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from i2i.data.download import PAUSES, Fetched, Watch, fetch, forget
from i2i.data.public_sets import SETS
from i2i.data.unpack import unpack
from i2i.errors import DataError, RecipeError, ResourceError, did_you_mean

RECORD = "download.json"
"""The file beside the data that says where it came from."""


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
    archive = folder.with_name(f".{name}.tar.gz")
    fetched = fetch(address, archive, watch=watch, pauses=pauses)
    try:
        unpack(archive, folder, beside={RECORD: json.dumps(asdict(fetched), indent=2)}, watch=unpacking)
    except DataError:
        forget(address)  # such as the page of a network that asks for a login: no data set to compare with
        raise
    archive.unlink()
    return folder, fetched


def _record(folder: Path) -> Fetched | None:
    try:
        return Fetched(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
