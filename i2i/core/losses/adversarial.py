"""Adversarial losses over lists of logit maps: what the generator and what the discriminator minimise.

Each takes the mean over a map in float32, then the mean over maps, so maps of any shape and number will
do. The discriminator's objective is the mean of its two halves, which slows it down against the generator
(Isola et al. 2017, section 3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Lt
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor


class LSGAN:
    """Least squares: logits are drawn to 1 for real and 0 for fake (Mao et al. 2017, arXiv 1611.04076).

    Args:
        smoothing: how far below 1 the discriminator's goal for real images lies (one-sided label
            smoothing, Salimans et al. 2016, arXiv 1606.03498, section 3.4).
    """

    def __init__(self, *, smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0) -> None:
        self.goal = 1.0 - smoothing

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of (fake - 1) squared."""
        return mean_over_maps(lambda logits: (logits - 1).square(), fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half the mean of (real - goal) squared and of fake squared."""
        on_real = mean_over_maps(lambda logits: (logits - self.goal).square(), real)
        return 0.5 * (on_real + mean_over_maps(torch.square, fake))

    def accuracy(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the shares of fake logits nearer to 0, and of real ones nearer to the goal."""
        return shares_apart(fake, real, threshold=self.goal / 2)


class Vanilla:
    """Cross-entropy on logits, the generator's side non-saturating (Goodfellow et al. 2014, arXiv 1406.2661).

    The generator maximises log D(fake) where the minimax game has it minimise log(1 - D(fake)).

    Args:
        smoothing: how far below 1 the discriminator's probability for real images should lie (one-sided
            label smoothing, Salimans et al. 2016, arXiv 1606.03498, section 3.4).
    """

    def __init__(self, *, smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0) -> None:
        self.smoothing = smoothing

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of -log sigmoid(fake)."""
        return mean_over_maps(as_real, fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half the mean of the cross-entropy of real with 1 - smoothing, and of fake with 0."""

        def smoothed(logits: Tensor) -> Tensor:
            return (1 - self.smoothing) * as_real(logits) + self.smoothing * as_fake(logits)

        return 0.5 * (mean_over_maps(smoothed, real) + mean_over_maps(as_fake, fake))

    def accuracy(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the shares of fake logits below 0, and of real ones above it."""
        return shares_apart(fake, real)


class Hinge:
    """Hinge: real above 1 and fake below -1 is enough (Lim and Ye 2017, arXiv 1705.02894)."""

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of -fake."""
        return mean_over_maps(torch.neg, fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half the mean of max(0, 1 - real) and of max(0, 1 + fake)."""
        on_real = mean_over_maps(lambda logits: F.relu(1 - logits), real)
        return 0.5 * (on_real + mean_over_maps(lambda logits: F.relu(1 + logits), fake))

    def accuracy(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the shares of fake logits below 0, and of real ones above it."""
        return shares_apart(fake, real)


class WGAN:
    """Wasserstein: the critic widens the gap between real and fake (Arjovsky et al. 2017, arXiv 1701.07875).

    The gap means something only while the critic's slope is bounded, which is a penalty's work. No logit is
    on a right or a wrong side: a constant that is added to all of them changes nothing.
    """

    requires: ClassVar[Mapping[str, str]] = {
        "penalty": "core/wgan needs a penalty on each critic, or its logits grow without end: "
        "add a loss that uses gradient-penalty"
    }

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean of -fake."""
        return mean_over_maps(torch.neg, fake)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return half of mean fake less mean real."""
        return 0.5 * (mean_over_maps(torch.neg, real) + mean_over_maps(lambda logits: logits, fake))


def as_real(logits: Tensor) -> Tensor:
    """Return -log sigmoid(logits), without overflow."""
    return F.softplus(-logits)


def as_fake(logits: Tensor) -> Tensor:
    """Return -log(1 - sigmoid(logits)), without overflow."""
    return F.softplus(logits)


def mean_over_maps(term: Callable[[Tensor], Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Return the mean over maps of the mean of `term` over each map, in float32."""
    return torch.stack([term(logits.float()).mean() for logits in maps]).mean()


def shares_apart(
    fake: Sequence[Tensor], real: Sequence[Tensor], *, threshold: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the shares (0 to 1) of fake logits below a threshold and of real ones above it, over maps."""
    return (
        mean_over_maps(lambda logits: (logits < threshold).float(), fake),
        mean_over_maps(lambda logits: (logits > threshold).float(), real),
    )
