"""Penalties on a discriminator's slope, its gradient with respect to the image that it judges.

An image's score is the mean over each of its logit maps, then over maps, as the adversarial losses take it.
Everything is computed in float32, whatever the run's precision: a gradient of a gradient needs the digits.
In batch norm an image's score depends on the whole batch, so prefer discriminators with another norm or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class GradientPenalty:
    """Keep the slope near `target` between real and fake (Gulrajani et al. 2017, arXiv 1704.00028).

    (judge, real, fake), images (B,C,H,W) -> a scalar: the mean over the batch of (norm of the slope - target)
    squared, at a random point on the line between each real image and its fake. The paper's weight is 10 on
    a critic that minimises the whole gap; core/wgan minimises half of it, to which 5 corresponds.

    Args:
        target: the norm that the slope should have; 0 asks for a flat discriminator.
    """

    def __init__(self, *, target: Annotated[float, Ge(0)] = 1.0) -> None:
        self.target = target

    def __call__(self, judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(real.detach().float(), fake.detach().float(), share)
        norms: Tensor = torch.linalg.vector_norm(_slopes(judge, between), dim=(1, 2, 3))
        return (norms - self.target).square().mean()


class R1:
    """Keep the discriminator flat around real images (Mescheder et al. 2018, arXiv 1801.04406, section 4.1).

    (judge, real, fake), images (B,C,H,W) -> a scalar: half the mean over the batch of the squared norm of the
    slope at each real image. The paper's weight, gamma, is 10 on a discriminator that minimises the sum of
    its two halves; those here minimise their mean, to which 5 corresponds.
    """

    def __call__(self, judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * _slopes(judge, real.detach().float()).square().flatten(1).sum(dim=1).mean()


def _slopes(judge: Callable[[Tensor], list[Tensor]], image: Tensor) -> Tensor:
    """Return the gradient of each image's score with respect to it, (B,C,H,W), itself differentiable."""
    with torch.autocast(image.device.type, enabled=False):
        image = image.requires_grad_(True)
        scores = [logits.float().reshape(len(image), -1).mean(dim=1) for logits in judge(image)]
        # Each image's score depends on that image alone, so the gradient of the sum holds all of theirs.
        total = torch.stack(scores).mean(dim=0).sum()
        (slopes,) = torch.autograd.grad(total, image, create_graph=True)
    return slopes
