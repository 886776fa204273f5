"""Whether the files that a recipe's data name are as they were: a digest of their names, sizes and times.

It looks at the table's text alone and opens no file, so that nothing has to be imported to ask. Files that
were written anew without a change count as changed; whoever asks looks closer then.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def files_digest(tables: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of all files that the `[data]` of these recipes' tables name, or hold in a folder."""
    names = sorted({text for table in tables for text in _texts(table.get("data"))})
    found = hashlib.sha256()
    for name in names:
        place = Path(name).expanduser()
        for file, about in _files(place):
            line = f"{name}\0{file.relative_to(place)}\0{about.st_size}\0{about.st_mtime_ns}\0"
            found.update(line.encode(errors="surrogatepass"))
    return found.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value and "\0" not in value:
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _files(place: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files that a path stands for; none where no file or folder has that name."""
    with suppress(OSError):  # a text that is no name of a file
        if place.is_file():
            yield place, place.stat()
    for folder, folders, names in os.walk(place, followlinks=True):
        folders.sort()
        for file in (Path(folder, name) for name in sorted(names)):
            with suppress(OSError):  # a link to nothing, or a file that was removed meanwhile
                yield file, file.stat()
