"""The encoder-decoder that pix2pix compares its U-Net with: the same layers, and no skips.

All that the output knows of the input has gone through the innermost layer, one pixel at full depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Le
from torch import Tensor

from i2i.core.generators.doubling import Upsample
from i2i.core.generators.hourglass import Hourglass, Placement, decoder, encoded, encoder
from i2i.norms import Norm


class EncoderDecoder(Hourglass):
    """U-Net without its skips (Isola et al. 2017, arXiv 1611.07004, sections 4.3 and 6.1.1).

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]. All convolutions are 4x4 with stride 2. With
    batch norm only the last one has a bias, without it all have.
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
            skips=False,
        )

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError when a side is no multiple of `size_multiple`."""
        self.check_size(source)
        image = source
        for layer in (*self.encoder, *self.decoder):
            image = layer(image)
        return image

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's activations, the outermost first; ValueError as `forward`."""
        self.check_size(image)
        return encoded(self.encoder, image)
