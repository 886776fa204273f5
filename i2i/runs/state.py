"""Any training state as tensors and JSON: what optimizers, schedules and callbacks must not lose.

A state is a tree of mappings (keys of any JSON scalar), lists, tuples, JSON values and tensors. It is
taken apart into named tensors and a JSON skeleton, and put together again, without pickling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def pack(state: Any) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of `state`, numbered, and a JSON skeleton that refers to them.

    Raises TypeError for a value that is neither a tensor nor JSON, and says where it is.
    """
    tensors: dict[str, Tensor] = {}

    def take(value: Any, *path: object) -> Any:
        if isinstance(value, Tensor):
            name = f"{len(tensors):06d}"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping):
            return {"map": [[key, take(item, *path, key)] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [take(item, *path, place) for place, item in enumerate(value)]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        where = f" at {'.'.join(map(str, path))}" if path else ""
        raise TypeError(f"a state holds tensors and JSON values, not {type(value).__name__}{where}")

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


def of(part: Any, *, but: Iterable[nn.Module] = ()) -> Any:
    """Return the state of a part of a run.

    Of a module that is its buffers and the parameters that can change, but for those that belong to the
    modules in `but`, which are kept on their own.
    """
    if not isinstance(part, nn.Module):
        return part.state_dict()
    elsewhere = {id(tensor) for module in but for tensor in module.state_dict(keep_vars=True).values()}
    return {
        name: tensor.detach()
        for name, tensor in part.state_dict(keep_vars=True).items()
        if id(tensor) not in elsewhere and (tensor.requires_grad or not isinstance(tensor, nn.Parameter))
    }


def restore(part: Any, state: Any) -> None:
    """Give a part the state that `of` returned."""
    if isinstance(part, nn.Module):
        part.load_state_dict(state, strict=False)
        return
    part.load_state_dict(state)
    if isinstance(part, Optimizer):
        _lay_out_like_parameters(part)


def _lay_out_like_parameters(optimizer: Optimizer) -> None:
    """Give every per-weight state the strides of its parameter.

    Fused kernels walk parameter and state in memory order and check no strides: state that was stored
    contiguous would land on the wrong weights of a channels-last parameter.
    """
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
