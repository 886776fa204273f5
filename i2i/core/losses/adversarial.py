"""Adversarial losses over lists of logit maps: what the generator and what the discriminator minimise.

Each takes the mean over a map in float32, then the mean over maps, so maps of any shape and number will
do. The discriminator's objective is the mean of its two halves, which slows it down against the generator
(Isola et al. 2017, section 3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class LSGAN:
    """Least squares: logits are drawn to 1 for real and 0 for fake (Mao et al. 2017, arXiv 1611.04076)."""

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of (fake - 1) squared."""
        return _mean(lambda logits: (logits - 1).square(), fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half the mean of (real - 1) squared and of fake squared."""
        return 0.5 * (_mean(lambda logits: (logits - 1).square(), real) + _mean(torch.square, fake))


class Vanilla:
    """Cross-entropy on logits, the generator's side non-saturating (Goodfellow et al. 2014, arXiv 1406.2661).

    The generator maximises log D(fake) where the minimax game has it minimise log(1 - D(fake)).
    """

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of -log sigmoid(fake)."""
        return _mean(_cross_entropy_with_real, fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half the mean of -log sigmoid(real) and of -log(1 - sigmoid(fake))."""
        # softplus(x) = log(1 + exp(x)) = -log(1 - sigmoid(x)), without overflow.
        return 0.5 * (_mean(_cross_entropy_with_real, real) + _mean(F.softplus, fake))


def _cross_entropy_with_real(logits: Tensor) -> Tensor:
    return F.softplus(-logits)


def _mean(term: Callable[[Tensor], Tensor], maps: Sequence[Tensor]) -> Tensor:
    return torch.stack([term(logits.float()).mean() for logits in maps]).mean()
