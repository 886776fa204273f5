"""PixelGAN: one logit for every pixel, from that pixel alone. It can judge colours and nothing else."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from i2i.core.discriminators.patch import Norm, block


class Pixel(nn.Module):
    """Pixel discriminator of three 1x1 convolutions (Isola et al. 2017, arXiv 1611.07004, section 6.1.2).

    (B,in_channels,H,W) -> raw logits (B,1,H,W). The last convolution has no bias.

    Args:
        width: channels of the first layer; the second has twice as many.
        norm: normalisation after the second convolution.
    """

    receptive_field = 1

    def __init__(self, *, in_channels: int, width: Annotated[int, Ge(1)] = 64, norm: Norm = "batch") -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(in_channels, width, 1),
            nn.LeakyReLU(0.2),
            *block(width, 2 * width, kernel=1, stride=1, norm=norm),
            nn.Conv2d(2 * width, 1, 1, bias=False),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Judge (B,in_channels,H,W)."""
        logits: Tensor = self.model(image)
        return logits
