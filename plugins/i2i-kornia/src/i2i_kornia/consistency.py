"""Differentiable changes of what a discriminator sees, as a penalty: it should answer as before.

A discriminator that has few images learns them by heart, and starts with what is easiest, their exact
colours. This is the part of augmenting what it sees that needs nothing of a method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Le
from kornia.enhance import (
    adjust_brightness,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
)

from i2i_kornia.images import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Consistency:
    """Let a discriminator answer alike for an image and for the same one in slightly other colours.

    (judge, real, fake), images (B,C,H,W) in [-1,1] -> a scalar: the mean squared difference of the logits,
    over each map, then over maps, then summed over real and fake (Zhang et al. 2020, arXiv 1910.12027, on
    real images; Zhao et al. 2020, arXiv 2002.04724, section 3.1, on both, with weight 10). Brightness,
    contrast and saturation are changed, and noise is added, each image by a draw of its own; what is beside
    it, if the discriminator is conditional, stays as it is, and so do all places. Each use costs four looks
    of the discriminator; `every` spares some.

    Args:
        colour: the most that is added to brightness, in parts of the whole range, and that contrast and
            saturation are changed by.
        noise: standard deviation of the noise, where values go from -1 to 1.
    """

    def __init__(
        self, *, colour: Annotated[float, Ge(0), Le(1)] = 0.2, noise: Annotated[float, Ge(0), Le(1)] = 0.05
    ) -> None:
        self.colour = colour
        self.noise = noise

    def __call__(self, judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor) -> Tensor:
        return self._difference(judge, real.detach()) + self._difference(judge, fake.detach())

    def _difference(self, judge: Callable[[Tensor], list[Tensor]], image: Tensor) -> Tensor:
        pairs = zip(judge(image), judge(self._changed(image)), strict=True)
        return torch.stack([(one.float() - other.float()).square().mean() for one, other in pairs]).mean()

    def _changed(self, image: Tensor) -> Tensor:
        draws = torch.rand(3, len(image), device=image.device) * 2 - 1
        brightness, contrast, saturation = (draws * self.colour).unbind()
        light = adjust_brightness(unit(image), brightness)
        light = adjust_contrast_with_mean_subtraction(light, 1 + contrast)
        if image.shape[1] == 3:
            light = adjust_saturation_with_gray_subtraction(light, 1 + saturation)
        changed: Tensor = light * 2 - 1 + self.noise * torch.randn_like(light)
        return changed.clamp(-1, 1)
