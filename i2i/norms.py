"""The normalisation layers that a network's key `norm` chooses from, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from i2i.sync_batch_norm import SyncBatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Callable

Norm = Literal["batch", "sync-batch", "instance", "none"]

NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "sync-batch": SyncBatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": nn.Identity,
}


def biased(norm: Norm) -> bool:
    """Whether a convolution before this norm has a bias: only a batch norm here brings its own."""
    return norm not in ("batch", "sync-batch")
