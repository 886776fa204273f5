"""PixelGAN: one logit for every pixel, from that pixel alone. It can judge colours and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.discriminators.layers import block, bounded, outputs_and_features
from i2i.maps import Maps
from i2i.norms import Norm, biased


class Pixel(nn.Module):
    """Pixel discriminator of three 1x1 convolutions (Isola et al. 2017, arXiv 1611.07004, section 6.1.2).

    (B,in_channels,H,W) -> raw logits (B,1,H,W), and the output of both activations as features.
    With batch norm only the first convolution has a bias, without it all have, as in the authors' PyTorch
    version.

    Args:
        width: channels of the first layer; the second has twice as many.
        norm: normalisation after the second convolution; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        spectral: divide each convolution's weight by its largest singular value.
    """

    receptive_field = 1
    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    def __init__(
        self,
        *,
        in_channels: int,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            bounded(nn.Conv2d(in_channels, width, 1), spectral),
            nn.LeakyReLU(0.2),
            *block(width, 2 * width, kernel=1, stride=1, norm=norm, spectral=spectral),
            bounded(nn.Conv2d(2 * width, 1, 1, bias=biased(norm)), spectral),
        )

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W)."""
        logits, features = outputs_and_features(self.model, image)
        return Maps([logits], [features])
