"""A discriminator of whole images: one logit each, at any size.

It is not the "ImageGAN" of pix2pix, which is a patch discriminator of 286 pixels and still gives a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.discriminators.layers import block, bounded, outputs_and_features
from i2i.maps import Maps
from i2i.norms import Norm


class Image(nn.Module):
    """Image discriminator: strided convolutions, global average pooling, then two linear layers.

    (B,in_channels,H,W) -> raw logits (B,1), and the output of every activation as features; height and
    width are at least ``2**layers``. The hidden linear layer is what makes it judge the whole: one linear
    layer after an average would be no more than the average of patch logits.

    Args:
        width: channels of the first layer; they double with each layer up to 8 times as many.
        layers: convolutions of stride 2 before the pooling.
        norm: normalisation after every convolution but the first and the last; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        spectral: divide each layer's weight by its largest singular value.
    """

    receptive_field = 0
    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    def __init__(
        self,
        *,
        in_channels: int,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        layers: Annotated[int, Ge(1), Le(12)] = 4,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.smallest = 2**layers
        channels = [width * min(2**i, 8) for i in range(layers)]
        parts: list[nn.Module] = [
            bounded(nn.Conv2d(in_channels, width, 4, stride=2, padding=1), spectral),
            nn.LeakyReLU(0.2),
        ]
        for i in range(1, layers):
            # The smallest image is one pixel after the last of these, where a norm would leave nothing.
            own: Norm = norm if i < layers - 1 else "none"
            parts += block(channels[i - 1], channels[i], kernel=4, stride=2, norm=own, spectral=spectral)
        self.features = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(
            bounded(nn.Linear(channels[-1], channels[-1]), spectral),
            nn.LeakyReLU(0.2),
            bounded(nn.Linear(channels[-1], 1), spectral),
        )

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W); raise ValueError when a side is shorter than `smallest`."""
        height, width = image.shape[-2:]
        if height < self.smallest or width < self.smallest:
            raise ValueError(
                f"this image discriminator needs sides of at least {self.smallest} pixels, "
                f"not {height}x{width}: choose fewer layers or larger images"
            )
        logits, features = outputs_and_features((*self.features, *self.head), image)
        return Maps([logits], [features])
