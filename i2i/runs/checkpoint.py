"""Checkpoints that are whole or not there: written aside, synced, then renamed into place.

A checkpoint is a folder named by its step; its manifest, written last, holds the size and sha256 of
every file. Readers take the newest folder whose manifest verifies.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from i2i.errors import ResourceError
from i2i.system.atomic import sync_folder, write_bytes

MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Checkpoint:
    """One verified checkpoint on disk."""

    step: int
    folder: Path
    seconds: float


def save(root: Path, step: int, files: Mapping[str, bytes], *, seconds: float = 0.0) -> Checkpoint:
    """Commit `files` as the checkpoint of `step` under `root`, replacing one of the same step.

    `seconds`, the time taken so far, stands in the manifest, so that equal runs make equal files.
    """
    final = root / f"{step:06d}"
    aside = root / f"{final.name}{_UNFINISHED}"
    shutil.rmtree(aside, ignore_errors=True)
    manifest = {name: {"size": len(data), "sha256": _digest(data)} for name, data in files.items()}
    for name, data in files.items():
        write_bytes(aside / name, data, durable=True)
    text = json.dumps({"step": step, "seconds": seconds, "files": manifest}, indent=2).encode()
    write_bytes(aside / MANIFEST, text, durable=True)
    try:
        sync_folder(aside)
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        sync_folder(root)
    except OSError as error:
        raise ResourceError(f"checkpoint {final} cannot be written: {error.strerror}.") from error
    return Checkpoint(step, final, seconds)


def newest(root: Path) -> Checkpoint | None:
    """Return the newest checkpoint under `root` that verifies, or None."""
    return next(filter(None, map(verified, _newest_first(root))), None)


def verified(folder: Path) -> Checkpoint | None:
    """Return the checkpoint if every file has the size and sha256 of its manifest, else None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for name, listed in manifest["files"].items():
            data = (folder / name).read_bytes()
            if (len(data), _digest(data)) != (listed["size"], listed["sha256"]):
                return None
        return Checkpoint(manifest["step"], folder, manifest["seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def drop_after(root: Path, step: int) -> list[Path]:
    """Remove the checkpoints after `step`, which do not verify, and return where they were."""
    later = [folder for folder in _newest_first(root) if int(folder.name) > step]
    for folder in later:
        shutil.rmtree(folder, ignore_errors=True)
    return later


def prune(root: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what an interrupted save left behind."""
    for folder in _newest_first(root)[keep:]:
        shutil.rmtree(folder, ignore_errors=True)
    for leftover in root.glob(f"*{_UNFINISHED}"):
        shutil.rmtree(leftover, ignore_errors=True)


def _newest_first(root: Path) -> list[Path]:
    folders = [folder for folder in root.glob("*") if folder.name.isdigit()]
    return sorted(folders, key=lambda folder: int(folder.name), reverse=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
