"""Fetching one large file over HTTP: in pieces if need be, and never trusted to have stayed the same.

What has arrived stays beside the target as ``NAME.part`` and is gone on with, in the same command or a
later one. Where nobody publishes checksums, the size and sha256 of the first download are written down
under the user's cache folder, and every later download of that address must match.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from i2i.errors import DataError, Problem, RecipeError, ResourceError
from i2i.system.atomic import write_text
from i2i.system.facts import cache_folder

PIECE = 1 << 18  # bytes
TIMEOUT = 30.0  # seconds without a byte
PAUSES = (1.0, 3.0, 10.0)  # seconds before each new attempt that follows one without progress

Watch = Callable[[int, int | None], None]
"""Told of bytes that are there, and of how many there will be if that is known."""


@dataclass(frozen=True)
class Fetched:
    """What came from an address: how large it was, and its sha256 in hexadecimal digits."""

    url: str
    size: int
    sha256: str


def fetch(
    url: str,
    target: Path,
    *,
    watch: Watch = lambda there, total: None,
    pauses: Sequence[float] = PAUSES,
) -> Fetched:
    """Download `url` to the file `target`, unless that is there, and return what it was.

    Raises ResourceError when the address cannot be reached or the connection is lost for good (what has
    arrived is kept), DataError when the bytes are not those of the first download.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise RecipeError(f"'{url}' is no address that starts with http:// or https://.")
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _arrive(url, part, watch, pauses)
            part.replace(target)
            _note(part).unlink(missing_ok=True)
        fetched = Fetched(url, target.stat().st_size, _sha256(target))
    except OSError as error:
        raise ResourceError(f"{part} cannot be written: {error.strerror or error}.") from error
    _check(fetched, target)
    return fetched


class _Lost(Exception):
    """The connection ended before the file did."""


def _arrive(url: str, part: Path, watch: Watch, pauses: Sequence[float]) -> None:
    """Attempt until all is there; the waits start again whenever an attempt brought anything."""
    waits = list(pauses)
    while True:
        before = _size(part)
        try:
            _attempt(url, part, watch)
        except _Lost as error:
            if _size(part) > before:
                waits = list(pauses)
            if not waits:
                there = (
                    f"{_size(part):,} bytes have arrived and are kept; the same command goes on from there"
                )
                raise ResourceError(Problem(f"{url}: {error}.", hint=there)) from error
            time.sleep(waits.pop(0))
        else:
            return


def _attempt(url: str, part: Path, watch: Watch) -> None:
    """Ask for what is missing of `part` and add it; from the start where the server cannot or will not."""
    there, validator = _size(part), _validator(part)
    headers = {"User-Agent": "i2i", "Accept-Encoding": "identity"}
    if there and validator:
        headers |= {"Range": f"bytes={there}-", "If-Range": validator}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416 and there:  # nothing is left to send, or the file has become shorter
            part.unlink()
            raise _Lost("what had arrived does not fit what is there now") from error
        if error.code >= 500:
            raise _Lost(f"it answers {error.code} {error.reason}") from error
        raise ResourceError(f"{url} answers {error.code} {error.reason}: nothing was downloaded.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if there:
            raise _Lost(f"it cannot be reached: {reason}") from error
        message = f"{url} cannot be reached: {reason}."
        hint = "is this machine offline? --url names another address of the same file"
        raise ResourceError(Problem(message, hint=hint)) from error
    except ValueError as error:
        raise RecipeError(f"'{url}' is no address: {error}.") from error
    with answer:
        resumed = answer.status == 206
        if resumed and not _starts_at(answer.headers.get("Content-Range"), there):
            part.unlink()
            raise _Lost("it sends another part of the file than was asked for")
        if not resumed:
            _remember(part, answer.headers)
        left = answer.headers.get("Content-Length")
        done = there if resumed else 0
        total = done + int(left) if left and left.isdigit() else None
        with part.open("ab" if resumed else "wb") as file:
            while piece := _piece(answer):
                file.write(piece)
                done += len(piece)
                watch(done, total)
    if total is not None and done < total:
        raise _Lost(f"the connection was cut at {done:,} of {total:,} bytes")


def _piece(answer: Any) -> bytes:
    try:
        piece: bytes = answer.read1(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(f"the connection was lost: {error}") from error
    return piece


def _starts_at(content_range: str | None, place: int) -> bool:
    """Whether ``bytes 100-199/200`` begins at `place`."""
    return (content_range or "").replace(" ", "").startswith(f"bytes{place}-")


# --- what is known about a file that has not arrived yet --------------------------------------------


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remember(part: Path, headers: Any) -> None:
    """Keep what tells this version of the file from another, so that halves of two are never joined."""
    validator = headers.get("ETag") or headers.get("Last-Modified") or ""
    if validator.startswith("W/"):  # a weak one does not promise the same bytes
        validator = headers.get("Last-Modified") or ""
    write_text(_note(part), json.dumps({"validator": validator}))


def _validator(part: Path) -> str:
    try:
        return str(json.loads(_note(part).read_text(encoding="utf-8"))["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


# --- what came the first time ---------------------------------------------------------------------


def record_of(url: str) -> Path:
    """Return the file in which the first download of `url` is written down."""
    return cache_folder() / "downloads" / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"


def forget(url: str) -> None:
    """Take back what was written down of `url`, so that the next download counts as the first."""
    record_of(url).unlink(missing_ok=True)


def _check(fetched: Fetched, path: Path) -> None:
    """Compare with the first download of the same address; write it down if this is the first.

    A file that differs is removed.
    """
    record = record_of(fetched.url)
    try:
        first = Fetched(**json.loads(record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        write_text(record, json.dumps(asdict(fetched), indent=2))
        return
    except (OSError, ValueError, TypeError) as error:
        raise ResourceError(f"{record} cannot be read: {error}; remove it to begin anew.") from error
    if first != fetched:
        path.unlink()
        message = (
            f"{fetched.url} is not the file that it was at its first download: then {first.size:,} bytes "
            f"with the sha256 {first.sha256}, now {fetched.size:,} with {fetched.sha256}."
        )
        hint = f"if you know why it has changed, remove {record}"
        raise DataError(Problem(message, hint=hint))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
