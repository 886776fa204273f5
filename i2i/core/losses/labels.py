"""Losses for targets that are label maps: one channel a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

INSIDE = 0.999
"""What values of a translation are scaled by, so that the odds of 1 and -1, and their slopes, are finite."""


class CrossEntropy:
    """Cross-entropy of the true class of each pixel, for targets that are label maps.

    (fake, real), both (B,classes,H,W) in [-1,1] -> a scalar. A value x says that the odds of its class are
    (1 + x) : (1 - x), and the odds of all classes, made to sum to 1, are their probabilities. For a network
    that ends in tanh this is the softmax of twice what comes before the tanh.
    """

    requires: ClassVar[Mapping[str, str]] = {
        "labels": "core/cross-entropy needs a target that is a label map: give data.target_labels, or use l1"
    }

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        fake = fake.float()
        bounded = fake + (fake.clamp(-1, 1) - fake).detach()  # at the bounds and beyond there is a way back
        log_odds = 2 * (bounded * INSIDE).atanh()
        return F.cross_entropy(log_odds, real.argmax(dim=1))
