"""What was computed once, kept in the user's cache folder: tensors, checked whenever they are read.

Files are written in one step, so any number of processes may read and write them. A damaged one is made
again, and without a folder that can be written everything works, only slower. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from i2i.errors import ResourceError
from i2i.system.atomic import write_bytes
from i2i.system.facts import cache_folder

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cache_folder", "kept"]

_log = logging.getLogger("i2i")


def kept(folder: str, key: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors that `make` returns, on the CPU: kept from an earlier time, or made now and kept.

    They are in the file `key` of the cache's `folder`, so `key` names all that they depend on, like a hash.
    Processes that ask for the same key at once wait for the first of them. What cannot be written is told in
    a warning.
    """
    path = cache_folder() / folder / f"{key}.safetensors"
    found = _read(path)
    if found is None:
        with _alone(path):
            found = _read(path)
            if found is None:
                found = {name: tensor.detach().cpu().contiguous() for name, tensor in make().items()}
                _write(path, found)
    return found


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return what a file holds, or None where it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            told = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return tensors if told == _digest(tensors) else None


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Keep `tensors`, or warn that this is not possible."""
    from safetensors.torch import save

    try:
        write_bytes(path, save(dict(tensors), {"sha256": _digest(tensors)}))
    except ResourceError as error:
        _log.warning("What was made cannot be kept, and will be made again: %s", error)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes `path`; where nothing can be locked, several may make it at once."""
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"), fallback_to_soft=False)
            try:
                held.enter_context(lock.acquire(blocking=False))
            except Timeout:
                _log.info("waiting for another process, which makes %s", path)
                held.enter_context(lock.acquire())
        except (OSError, NotImplementedError) as error:  # of file systems without locks
            _log.debug("%s is made without a lock: %s", path, error)
        yield
