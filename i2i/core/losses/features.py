"""Feature matching: a fake should stir the discriminator's layers as its real counterpart does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class FeatureMatching:
    """L1 between a discriminator's features (Wang et al. 2018, arXiv 1711.11585, equation 4).

    (fake features, real features), a list of tensors for each scale -> a scalar: the mean over each tensor in
    float32, then over layers, then over scales. Real features are a goal and carry no gradient. The paper's
    weight is 10.
    """

    requires: ClassVar[Mapping[str, str]] = {
        "features": "core/feature-matching needs discriminators that hand out features, as core/patch does: "
        "name those that do in `on`"
    }

    def __call__(self, fake: list[list[Tensor]], real: list[list[Tensor]]) -> Tensor:
        scales = []
        for fakes, reals in zip(fake, real, strict=True):
            layers = [F.l1_loss(f.float(), r.detach().float()) for f, r in zip(fakes, reals, strict=True)]
            scales.append(torch.stack(layers).mean())
        return torch.stack(scales).mean()
