"""Optimizers: torch's own with the settings of pix2pix as defaults, fused where the device can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import nn
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
    return Adam(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(params))


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
    return AdamW(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(params))


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
    return SGD(
        params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=_fused(params)
    )


def _fused(params: list[nn.Parameter]) -> Literal[True] | None:
    # None rather than False: it leaves torch free to choose its next fastest implementation.
    able = all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in params)
    return True if able else None
