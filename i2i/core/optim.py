"""Optimizers: torch's own with the settings of pix2pix as defaults, fused where the device can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

Parameters = Iterable[nn.Parameter]
Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0)]
Average = Annotated[float, Ge(0), Lt(1)]

FUSED_DEVICES = frozenset({"cpu", "cuda", "mps"})


def adam(
    params: Parameters,
    *,
    lr: Rate = 2e-4,
    betas: tuple[Average, Average] = (0.5, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), by default as in pix2pix (Isola et al. 2017, section 3.3).

    Args:
        lr: learning rate.
        betas: how much of the running means of gradient and squared gradient is kept at each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
    """
    params = list(params)
    return _Adam(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(params))


def adamw(
    params: Parameters,
    *,
    lr: Rate = 2e-4,
    betas: tuple[Average, Average] = (0.5, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    Args:
        lr: learning rate.
        betas: how much of the running means of gradient and squared gradient is kept at each step.
        eps: added to the denominator.
        weight_decay: share of each weight taken off at a step, times the learning rate.
    """
    params = list(params)
    return _AdamW(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(params))


def sgd(
    params: Parameters,
    *,
    lr: Rate = 1e-2,
    momentum: Average = 0.9,
    nesterov: bool = False,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Stochastic gradient descent; raise ValueError for Nesterov's form without momentum.

    Args:
        lr: learning rate.
        momentum: how much of the last update is kept in the next.
        nesterov: look ahead along the momentum (Sutskever et al. 2013); needs a momentum above 0.
        weight_decay: L2 penalty, added to the gradient.
    """
    if nesterov and momentum == 0:
        raise ValueError("nesterov needs a momentum above 0: set momentum, or leave nesterov out")
    params = list(params)
    return _SGD(
        params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=_fused(params)
    )


# --- on a CPU ---------------------------------------------------------------------------------------


class _InMemoryOrder(Optimizer):
    """An optimizer that treats each element alone, and so may step through weights as they lie in memory.

    Torch's fused kernels of a CPU want contiguous tensors: of channels-last weights they copy everything
    there and back, at three times the cost of the step itself. A channels-last tensor with its channels
    moved to the end is contiguous, so no copy is made; the bits are the same.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is not None:  # it calls the network, which wants its weights as they are
            return super().step(closure)
        # Without the hooks that torch wraps around each class's step: they are around this one already.
        step = getattr(super().step, "__wrapped__", None)
        with _channels_moved_last(self):
            return super().step() if step is None else step(self)


class _Adam(_InMemoryOrder, Adam): ...


class _AdamW(_InMemoryOrder, AdamW): ...


class _SGD(_InMemoryOrder, SGD): ...


@contextmanager
def _channels_moved_last(optimizer: Optimizer) -> Iterator[None]:
    """Show channels-last weights, gradients and states of a CPU as contiguous tensors for a while."""
    moved: list[tuple[nn.Parameter, Tensor, Tensor]] = []
    try:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.is_cpu and _lies_channels_last(parameter, optimizer.state.get(parameter, {})):
                    moved.append((parameter, parameter.data, parameter.grad))
                    _permute(optimizer, parameter, (0, 2, 3, 1))
        yield
    finally:
        for parameter, data, grad in moved:
            _permute(optimizer, parameter, (0, 3, 1, 2))
            parameter.grad = None
            parameter.data, parameter.grad = data, grad


def _lies_channels_last(parameter: nn.Parameter, state: dict[str, Any]) -> bool:
    if parameter.grad is None or parameter.dim() != 4 or parameter.is_contiguous():
        return False
    alike = (v for v in state.values() if isinstance(v, Tensor) and v.shape == parameter.shape)
    tensors = (parameter, parameter.grad, *alike)
    return all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors)


def _permute(optimizer: Optimizer, parameter: nn.Parameter, order: tuple[int, ...]) -> None:
    """Reorder the dimensions of a parameter, its gradient and its state, which stay where they are."""
    state, shape, grad = optimizer.state.get(parameter, {}), parameter.shape, parameter.grad
    for key, value in state.items():
        if isinstance(value, Tensor) and value.shape == shape:
            state[key] = value.permute(order)
    parameter.grad = None  # for a moment, as it has to have the parameter's shape
    parameter.data = parameter.data.permute(order)
    parameter.grad = None if grad is None else grad.permute(order)


def _fused(params: list[nn.Parameter]) -> Literal[True] | None:
    # None rather than False: it leaves torch free to choose its next fastest implementation.
    able = all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in params)
    return True if able else None
