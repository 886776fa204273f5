"""How a generator is run once trained: dropout and normalisation are two settings.

pix2pix keeps dropout on at test time, its only source of variety, and normalises with the statistics
of the test batch, which at its batch size of 1 are each image's own (Isola et al. 2017, section 3.3).
Taking each image's own statistics always means that batching images changes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from i2i.records import TestSettings


def apply(module: nn.Module, settings: TestSettings) -> None:
    """Put `module` into test mode for good: eval, but for what `settings` keep as in training."""
    module.eval()
    for part in module.modules():
        if isinstance(part, _DropoutNd) and settings.dropout:
            part.train()
        if isinstance(part, _BatchNorm) and settings.norm == "batch":
            part.forward = partial(_own_statistics, part)  # type: ignore[method-assign]


@contextmanager
def applied(module: nn.Module, settings: TestSettings) -> Iterator[nn.Module]:
    """Put `module` into test mode for a while, then back into the modes its parts were in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        apply(module, settings)
        yield module
    finally:
        for part, training in modes:
            part.training = training
            if isinstance(part, _BatchNorm):
                part.__dict__.pop("forward", None)


def _own_statistics(norm: _BatchNorm, image: Tensor) -> Tensor:
    """A batch norm that takes each image's own statistics; in training, the batch norm as it is."""
    if norm.training:
        return type(norm).forward(norm, image)
    if type(norm).forward is not _BatchNorm.forward:  # a norm that does more, such as an activation
        with _EachByItself():
            return type(norm).forward(norm, image)
    return _instance_norm(image, norm.weight, norm.bias, norm.eps)


class _EachByItself(TorchFunctionMode):
    """Every `batch_norm` that is called meanwhile takes each image's own statistics."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not F.batch_norm:
            return func(*args, **(kwargs or {}))
        given = _BATCH_NORM.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        return _instance_norm(*(given.arguments[name] for name in ("input", "weight", "bias", "eps")))


_BATCH_NORM = signature(F.batch_norm)


def _instance_norm(image: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    # torch.instance_norm rather than functional's: it accepts a single value per channel (1x1 maps).
    return torch.instance_norm(image, weight, bias, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)
