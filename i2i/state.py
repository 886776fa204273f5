"""Any training state as tensors and JSON: what optimizers, schedules and callbacks must not lose.

A state is a tree of mappings (keys of any JSON scalar), lists, tuples, JSON values and tensors. It is
taken apart into named tensors and a JSON skeleton, and put together again, without pickling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def pack(state: Any) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of `state`, numbered, and a JSON skeleton that refers to them.

    Raises TypeError for a value that is neither a tensor nor JSON.
    """
    tensors: dict[str, Tensor] = {}

    def take(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = f"{len(tensors):06d}"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping):
            return {"map": [[key, take(item)] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [take(item) for item in value]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"a state holds tensors and JSON values, not {type(value).__name__}")

    return tensors, take(state)


def unpack(tensors: Mapping[str, Tensor], skeleton: Any) -> Any:
    """Return the state that `pack` took apart."""
    if not isinstance(skeleton, dict):
        return skeleton
    ((shape, content),) = skeleton.items()
    if shape == "tensor":
        return tensors[content]
    if shape == "map":
        return {key: unpack(tensors, item) for key, item in content}
    items = [unpack(tensors, item) for item in content]
    return tuple(items) if shape == "tuple" else items
