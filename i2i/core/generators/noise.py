"""A conditional GAN's generator in its first form, with noise as an input beside the image.

pix2pix began with it and gave it up: trained on pairs, the generator learns to ignore the noise (Isola
et al. 2017, arXiv 1611.07004, section 2.1). It is here so that anyone can see that for themselves.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from i2i.core.generators.doubling import Upsample
from i2i.core.generators.hourglass import Hourglass
from i2i.core.generators.unet import UNet
from i2i.norms import Norm


class Noise(Hourglass):
    """U-Net that reads `z_channels` of Gaussian noise, a value for each pixel, after the image's own.

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]. The noise is drawn anew in every pass, at test
    too, from torch's global generator. It is one value a pixel, as a norm would remove a constant.

    Args:
        z_channels: channels of noise.
        dropout: probability of zeroing a value in the decoder's inner layers, a second kind of noise.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        z_channels: Annotated[int, Ge(1)] = 1,
        depth: Annotated[int, Ge(2), Le(12)] = 8,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        norm: Norm = "batch",
        dropout: Annotated[float, Ge(0), Le(1)] = 0.0,
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__(depth)
        self.z_channels = z_channels
        self.net = UNet(
            in_channels=in_channels + z_channels,
            out_channels=out_channels,
            depth=depth,
            width=width,
            norm=norm,
            dropout=dropout,
            upsample=upsample,
        )

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError when a side is no multiple of `size_multiple`."""
        batch, _, height, width = source.shape
        z = torch.randn((batch, self.z_channels, height, width), dtype=source.dtype, device=source.device)
        image: Tensor = self.net(torch.cat((source, z), dim=1))
        return image
