"""Losses of each kind that ask for all that losses are given, for who calls them to be found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from i2i.records import Batch


class Paired:
    """L1; it asks for the source, the batch and the step."""

    def __call__(self, fake: Tensor, real: Tensor, *, source: Tensor, batch: Batch, step: int) -> Tensor:
        """Return the mean distance."""
        return (fake - real).float().abs().mean()


class Adversarial:
    """Least squares; both sides ask for the source, the batch and the step."""

    def generator(
        self, fake: Sequence[Tensor], real: Sequence[Tensor], *, source: Tensor, batch: Batch, step: int
    ) -> Tensor:
        """Return how far fakes are from passing for real."""
        return torch.stack([(1 - logits.float()).square().mean() for logits in fake]).mean()

    def discriminator(
        self, fake: Sequence[Tensor], real: Sequence[Tensor], *, source: Tensor, batch: Batch, step: int
    ) -> Tensor:
        """Return how badly the two are told apart."""
        on_fake = torch.stack([logits.float().square().mean() for logits in fake]).mean()
        return (on_fake + self.generator(real, real, source=source, batch=batch, step=step)) / 2


class Features:
    """The distance of features; it asks for the source, the batch and the step."""

    def __call__(
        self,
        fake: list[list[Tensor]],
        real: list[list[Tensor]],
        *,
        source: Tensor,
        batch: Batch,
        step: int,
    ) -> Tensor:
        """Return the mean distance over all layers."""
        pairs = [pair for scale in zip(fake, real, strict=True) for pair in zip(*scale, strict=True)]
        return torch.stack([(one - other).float().abs().mean() for one, other in pairs]).mean()


class Penalty:
    """Large logits of real images; it asks for the source, the batch and the step."""

    def __call__(
        self,
        judge: Callable[[Tensor], list[Tensor]],
        real: Tensor,
        fake: Tensor,
        *,
        source: Tensor,
        batch: Batch,
        step: int,
    ) -> Tensor:
        """Return the mean square of the logits."""
        return torch.stack([logits.float().square().mean() for logits in judge(real)]).mean()
