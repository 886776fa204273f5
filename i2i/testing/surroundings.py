"""What belongs to the whole process and no component may change: settings, and global random states.

`preserved` puts all of it back after a check, whatever the component did.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

Access = tuple[Callable[[], Any], Callable[[Any], Any]]
"""How a piece of state is read, and how it is set."""


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # a component removed it
        return ""


SETTINGS: Mapping[str, Access] = {
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's deterministic mode": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's matmul precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "the working folder": (_folder, os.chdir),
}


def _numpy_state() -> Any:
    name, keys, *rest = np.random.get_state(legacy=True)
    return name, tuple(np.asarray(keys).tolist()), *rest


def _set_numpy_state(state: Any) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))


def _torch_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()


def _set_torch_state(state: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


TORCH = "torch's global generator"

RANDOM: Mapping[str, Access] = {
    TORCH: (_torch_state, _set_torch_state),
    "Python's `random`": (random.getstate, random.setstate),
    "numpy's global generator": (_numpy_state, _set_numpy_state),
}


def read(table: Mapping[str, Access]) -> dict[str, Any]:
    """Return the present value of everything in `table`."""
    return {name: get() for name, (get, _) in table.items()}


def changed(table: Mapping[str, Access], before: Mapping[str, Any]) -> list[str]:
    """Return the names of what in `table` is no longer as it was `before`."""
    return [name for name, value in read(table).items() if value != before[name]]


def put_back(table: Mapping[str, Access], before: Mapping[str, Any]) -> None:
    """Make everything in `table` as it was `before`; what did not change is not touched."""
    for name in changed(table, before):
        table[name][1](before[name])


@contextmanager
def preserved() -> Iterator[None]:
    """Leave settings and random states as they were found; meanwhile gradients are on, and one thread works.

    What is tiny takes longer on several.
    """
    before = [(table, read(table)) for table in (SETTINGS, RANDOM)]
    try:
        torch.set_grad_enabled(True)
        torch.set_num_threads(1)
        yield
    finally:
        for table, values in before:
            put_back(table, values)
