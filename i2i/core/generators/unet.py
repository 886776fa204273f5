"""The U-Net of pix2pix: an encoder to one pixel and back, each size with a skip to its mirror image.

It halves the size `depth` times, so height and width must be multiples of `size_multiple`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor

from i2i.core.generators.doubling import Upsample
from i2i.core.generators.hourglass import Hourglass, Placement, decoder, encoded, encoder
from i2i.norms import Norm


class UNet(Hourglass):
    """U-Net with skips by concatenation (Isola et al. 2017, arXiv 1611.07004, sections 3.2.1 and 6.1.1).

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]. All convolutions are 4x4 with stride 2. With
    batch norm only the last one has a bias, without it all have. At a skip the encoder's channels come first.

    Args:
        dropout_placement: "paper" puts dropout on the three innermost decoder layers, though never on the
            last; "pytorch" on those after the innermost that keep the full 8 times width, as the authors'
            PyTorch version does: three at depth 8, one less for each depth less, none from 5 down.
    """

    groups: ClassVar[Mapping[str, Sequence[str]]] = {"encoder": ("encoder",), "decoder": ("decoder",)}

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        depth: Annotated[int, Ge(2), Le(12)] = 8,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        norm: Norm = "batch",
        dropout: Annotated[float, Ge(0), Le(1)] = 0.5,
        dropout_placement: Placement = "paper",
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__(depth)
        self.encoder = encoder(in_channels, depth=depth, width=width, norm=norm)
        self.decoder = decoder(
            out_channels,
            depth=depth,
            width=width,
            norm=norm,
            dropout=dropout,
            placement=dropout_placement,
            upsample=upsample,
            skips=True,
        )

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError when a side is no multiple of `size_multiple`."""
        skips = self.features(source)
        image = skips.pop()
        for i, up in enumerate(self.decoder):
            image = up(torch.cat((skips.pop(), image), dim=1) if i > 0 else image)
        return image

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's activations, the outermost first; ValueError as `forward`."""
        self.check_size(image)
        return encoded(self.encoder, image)
