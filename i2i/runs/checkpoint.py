"""Checkpoints that are whole or not there: written aside, synced, then renamed into place.

A checkpoint is a folder named by its step; its manifest, written last, holds what proves every file to be
whole (`runs/proof`), and a sha256 of itself. Readers take the newest folder that agrees with its manifest.
One that does not is damaged: it is passed over and set aside, never removed. One that cannot be read for now
is neither sound nor damaged: that is a ResourceError, and nothing is touched.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from i2i.errors import DataError, ResourceError
from i2i.runs import proof
from i2i.system.atomic import cannot_write, sync_folder, write_new

MANIFEST = "manifest.json"
DAMAGED = ".damaged"
"""What the name of a checkpoint that was set aside ends with."""

_UNFINISHED, _REPLACED, _REMOVED = ".unfinished", ".replaced", ".removed"
_FIRST_KEYS = {"step", "seconds", "files"}
"""The keys of manifests that have no checksum of their own."""

_OF_DAMAGE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Why a file cannot be read that is not what was written; all other reasons may pass."""


class Unwritten(Protocol):
    """A file that is yet to be written, such as a `weights.Snapshot`."""

    @property
    def size(self) -> int:
        """How many bytes it will have."""
        ...

    def write(self, file: BinaryIO, going_on: Callable[[], None]) -> Mapping[str, Any]:
        """Write it all, and return what proves it, as `runs/proof` reads it."""
        ...


class DamagedError(DataError):
    """A checkpoint whose files are whole and are not the state of a run."""


@dataclass(frozen=True)
class Checkpoint:
    """One verified checkpoint on disk; `facts` are what its writer wanted to be told of it."""

    step: int
    folder: Path
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The newest sound checkpoint of a folder, and the damaged ones that are newer, newest first."""

    sound: Checkpoint | None
    damaged: tuple[Path, ...]


def save(
    root: Path,
    step: int,
    files: Mapping[str, Unwritten],
    *,
    seconds: float = 0.0,
    facts: Mapping[str, Any] | None = None,
    going_on: Callable[[], None] = lambda: None,
) -> Checkpoint:
    """Commit `files` as the checkpoint of `step` under `root`, replacing one of the same step.

    `seconds`, the time taken so far, and `facts`, JSON, stand in the manifest, so that equal runs make
    equal files. `going_on` is called again and again, and may end it by an exception. Raises ResourceError;
    what stood there before is there still.
    """
    final = root / f"{step:06d}"
    aside = root / f"{final.name}{_UNFINISHED}"
    about: dict[str, Any] = {"step": step, "seconds": seconds, "facts": dict(facts or {}), "files": {}}
    try:
        shutil.rmtree(aside, ignore_errors=True)
        _make_root(root)
        aside.mkdir()
        for name, content in files.items():
            about["files"][name] = write_new(aside / name, partial(content.write, going_on=going_on))
        manifest = json.dumps(about | {"sha256": _of_manifest(about)}, indent=2).encode()
        write_new(aside / MANIFEST, lambda file: file.write(manifest))
        sync_folder(aside)
        going_on()
        _put_in_place(aside, final)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)  # first, for the bytes that it takes are free then
        needed = sum(content.size for content in files.values())
        raise cannot_write(final, error, needed=needed, what="checkpoint ") from error
    return Checkpoint(step, final, seconds, about["facts"])


def find(root: Path, *, before: int | None = None) -> Found:
    """Return the newest checkpoint under `root`, of those earlier than the step `before`, that verifies.

    Raises ResourceError where one cannot be read for a reason that may pass.
    """
    damaged: list[Path] = []
    for folder in _newest_first(root):
        if before is not None and _step_of(folder) >= before:
            continue
        found = verified(folder)
        if found:
            return Found(found, tuple(damaged))
        damaged.append(folder)
    return Found(None, tuple(damaged))


def newest(root: Path) -> Checkpoint | None:
    """Return the newest checkpoint under `root` that verifies, or None."""
    return find(root).sound


def verified(folder: Path) -> Checkpoint | None:
    """Return the checkpoint if it is what its manifest and its name say, else None, for it is damaged.

    Raises ResourceError where it cannot be read for a reason that may pass.
    """
    path = folder / MANIFEST
    try:
        about = json.loads(path.read_bytes())
        if not _agrees(about, folder.name):
            return None
        for name, listed in about["files"].items():
            path = folder / name
            if not proof.holds(listed, path):
                return None
    except OSError as error:
        if error.errno in _OF_DAMAGE:
            return None
        raise _cannot_read(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Checkpoint(about["step"], folder, about["seconds"], about.get("facts", {}))


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint so that it is one no longer, and return where it is now."""
    number, aside = 1, folder.with_name(f"{folder.name}{DAMAGED}")
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{folder.name}{DAMAGED}-{number}")
    try:
        folder.rename(aside)
    except OSError as error:
        raise ResourceError(f"{folder} is damaged and cannot be set aside: {error.strerror}.") from error
    return aside


def prune(root: Path, keep: int) -> list[str]:
    """Remove all but the newest `keep` checkpoints; return a note on each that cannot be removed."""
    notes = []
    for folder in _newest_first(root)[keep:]:
        removed = folder.with_name(f"{folder.name}{_REMOVED}")  # half removed it is no damaged checkpoint
        try:
            folder.rename(removed)
            shutil.rmtree(removed)
        except OSError as error:
            notes.append(f"the old checkpoint {folder} cannot be removed: {error.strerror}.")
    return notes


def tidy(root: Path) -> list[str]:
    """Remove what interrupted saves left under `root`; return a note on what cannot be removed.

    A checkpoint that was being replaced when its save was interrupted is put back first.
    """
    notes = []
    for folder in _entries(root):
        try:
            if folder.name.endswith(_REPLACED):
                final = folder.with_name(folder.name.removesuffix(_REPLACED))
                if final.exists():
                    shutil.rmtree(folder)
                else:
                    folder.rename(final)
            elif folder.name.endswith((_UNFINISHED, _REMOVED)):
                shutil.rmtree(folder)
        except OSError as error:
            notes.append(f"{folder} was left by an earlier run and cannot be removed: {error.strerror}.")
    return notes


def _make_root(root: Path) -> None:
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        sync_folder(root.parent)


def _put_in_place(aside: Path, final: Path) -> None:
    """Rename `aside` to `final`; one that stands there is moved away first, and removed last."""
    before = final.with_name(f"{final.name}{_REPLACED}")
    there = final.exists()
    if there:
        shutil.rmtree(before, ignore_errors=True)
        final.rename(before)
    try:
        aside.rename(final)
    except OSError:
        if there:
            with suppress(OSError):  # `tidy` does it at the next start
                before.rename(final)
        raise
    sync_folder(final.parent)
    shutil.rmtree(before, ignore_errors=True)


def _agrees(about: Any, name: str) -> bool:
    """Whether a manifest is whole, and is that of the folder `name`."""
    checksum = about.pop("sha256", None)
    whole = about.keys() == _FIRST_KEYS if checksum is None else checksum == _of_manifest(about)
    step, seconds, files = about["step"], about["seconds"], about["files"]
    return (
        whole
        and type(step) is int
        and name == f"{step:06d}"
        and type(seconds) in (int, float)
        and math.isfinite(seconds)
        and bool(files)
        and all(Path(file).name == file for file in files)
        and isinstance(about.get("facts", {}), dict)
    )


def _newest_first(root: Path) -> list[Path]:
    folders = [folder for folder in _entries(root) if folder.name.isdecimal()]
    return sorted(folders, key=_step_of, reverse=True)


def _step_of(folder: Path) -> int:
    return int(folder.name)


def _entries(root: Path) -> Iterator[Path]:
    try:
        yield from sorted(root.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_read(root, error) from error


def _cannot_read(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"{path} cannot be read: {error.strerror}. Nothing was changed; run it again once it can be read."
    )


def _of_manifest(about: Mapping[str, Any]) -> str:
    """Return the checksum of what a manifest says, however it is laid out."""
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
