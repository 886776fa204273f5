"""Relativistic average losses: is a real image more real than fakes are on average, and the other way round?

Both sides of the game look at both kinds of images, so the generator also learns from real ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

from i2i.core.losses.adversarial import as_fake, as_real

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

Form = Literal["lsgan", "vanilla", "hinge"]

# What each form makes of logits that should look real, and of logits that should look fake.
TERMS: Mapping[Form, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "lsgan": (lambda above: (above - 1).square(), lambda above: (above + 1).square()),
    "vanilla": (as_real, as_fake),
    "hinge": (lambda above: F.relu(1 - above), lambda above: F.relu(1 + above)),
}


class Relativistic:
    """Relativistic average GAN (Jolicoeur-Martineau 2018, arXiv 1807.00734, section 4.2 and appendix).

    Every logit counts by how far it lies above the average logit of the other side, taken over the same
    map of the batch. The generator's objective, too, is the mean of two halves.

    Args:
        form: what is made of that distance: least squares towards 1 and -1, cross-entropy, or hinge.
    """

    def __init__(self, *, form: Form = "lsgan") -> None:
        self.form = form

    def generator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the discriminator's objective with the sides exchanged."""
        return self._compare(fake, real)

    def discriminator(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Return the mean over maps of how little real lies above fake."""
        return self._compare(real, fake)

    def accuracy(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the shares of fake logits below the average real one, and of real above the fake one."""
        below, above = [], []
        for low, high in zip(fake, real, strict=True):
            below.append((low.float() < high.float().mean()).float().mean())
            above.append((high.float() > low.float().mean()).float().mean())
        return torch.stack(below).mean(), torch.stack(above).mean()

    def _compare(self, upper: Sequence[Tensor], lower: Sequence[Tensor]) -> Tensor:
        looks_real, looks_fake = TERMS[self.form]
        halves = []
        for high, low in zip(upper, lower, strict=True):
            above, below = high.float(), low.float()
            on_upper = looks_real(above - below.mean()).mean()
            on_lower = looks_fake(below - above.mean()).mean()
            halves.append(0.5 * (on_upper + on_lower))
        return torch.stack(halves).mean()
