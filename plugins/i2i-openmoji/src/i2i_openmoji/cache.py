"""What was rendered once, kept in the user's cache folder and checked whenever it is read.

Files are written in one step, so any number of processes may read and write them at once; one that is
damaged is made again, and without a writable folder everything works, only slower. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import i2i.cache

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("i2i")


def cache_folder() -> Path:
    """Return the folder: i2i's own for caches has one for this package."""
    return i2i.cache.cache_folder() / "openmoji"


def read_pairs(path: Path, names: list[str], size: int) -> Tensor | None:
    """Return the pairs of `names`, uint8 (N,2,3,size,size), or None where the file is not exactly that."""
    try:
        with safe_open(path, "pt") as file:
            metadata, pairs = file.metadata() or {}, file.get_tensor("pairs")
    except (OSError, SafetensorError):
        return None
    tensor: Tensor = pairs
    if tensor.shape != (len(names), 2, 3, size, size) or metadata.get("sha256") != _digest(names, tensor):
        return None
    return tensor


def write_pairs(path: Path, names: list[str], pairs: Tensor) -> None:
    """Keep `pairs`, or warn that this is not possible."""
    _write(path, save({"pairs": pairs}, {"sha256": _digest(names, pairs)}))


def read_names(path: Path) -> list[str] | None:
    """Return a list of names that was kept, or None where the file is missing or damaged."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    names = kept.get("names") if isinstance(kept, dict) else None
    if not isinstance(names, list) or kept.get("sha256") != _digest(names):
        return None
    return names


def write_names(path: Path, names: list[str]) -> None:
    """Keep a list of names, or warn that this is not possible."""
    _write(path, json.dumps({"names": names, "sha256": _digest(names)}).encode())


def _digest(names: list[str], pairs: Tensor | None = None) -> str:
    digest = hashlib.sha256(json.dumps(names).encode())
    if pairs is not None:
        digest.update(pairs.numpy().data)
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file beside `path` and rename it, so that a reader finds the old one or the new one, whole."""
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".i2i-", delete=False) as file:
            unfinished = Path(file.name)
            file.write(data)
        unfinished.replace(path)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        _log.warning("The rendered emojis cannot be kept and will be rendered again: %s", error)
