"""A batch norm of the whole batch, where several processes train as one and each has a share of it.

torch's own SyncBatchNorm computes on GPUs only, and its penalties' second derivatives are not those of one
process. This one is made of plain operations and one differentiable sum over the processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with the statistics of the images of all processes, however many each has.

    In training mode, where `torch.distributed` has a group of several processes, outputs, gradients and
    running statistics are those of one process that has all images; gradients are of the sum of all
    processes' losses. So every process must call it equally often, and in the same order. In eval mode, and
    in a process that trains alone, it is a plain batch norm. Parameters and buffers have the names of one.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return the images (B,C,H,W), normalised; statistics of half precision are taken in float32."""
        if not self.training or image.is_meta or _processes() == 1:
            return super().forward(image)
        self._check_input_dim(image)
        wide = image.float() if image.dtype in (torch.bfloat16, torch.float16) else image
        mean, variance, count = _of_all_processes(wide)
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        answer = (wide - mean[:, None, None]) * scale[:, None, None]
        if self.bias is not None:
            answer = answer + self.bias[:, None, None]
        return answer.to(image.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Bring the running statistics nearer to those of a batch, by torch's rules."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        # Without a momentum they are the plain mean over all batches.
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.mul_(1.0 - share).add_(mean, alpha=share)
        self.running_var.mul_(1.0 - share).add_(variance, alpha=share)


def _processes() -> int:
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def _of_all_processes(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance (C,) over the images of all processes, and how many values they are of."""
    own_variance, own_mean = torch.var_mean(image, dim=(0, 2, 3), correction=0)
    own_count = image.new_full((1,), image.numel() // image.shape[1])
    own = torch.cat((own_mean, own_variance, own_count))
    # A row for each process, so that the sum over processes is exact, and the same bits in each of them.
    # Sums of squares would need one number less and lose the variance where the mean is large.
    rank = distributed.get_rank()
    rows = torch.stack([own if row == rank else torch.zeros_like(own) for row in range(_processes())])
    channels = own_mean.numel()
    means, variances, counts = _sum_over_processes(rows).split((channels, channels, 1), dim=1)
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    variance = (counts * (variances + (means - mean).square())).sum(0) / count
    return mean, variance, count


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _sum_over_processes(tensor: Tensor) -> Tensor:
    # A compiled network is compiled in two pieces around it: torch cannot look into it.
    total: Tensor = _SumOverProcesses.apply(tensor)
    return total


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; each one's gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        # By itself again, so that penalties on gradients have theirs.
        total: Tensor = _sum_over_processes(gradient)
        return total
