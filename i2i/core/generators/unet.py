"""The U-Net of pix2pix: an encoder to one pixel and back, each size with a skip to its mirror image.

It halves the size `depth` times, so height and width must be multiples of `size_multiple`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

Norm = Literal["batch", "instance", "none"]
Placement = Literal["paper", "pytorch"]

NORMS: dict[Norm, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}


class UNet(nn.Module):
    """U-Net with skips by concatenation (Isola et al. 2017, arXiv 1611.07004, sections 3.2.1 and 6.1.1).

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]. All convolutions are 4x4 with stride 2. With
    batch norm only the last one has a bias, without it all have. At a skip the encoder's channels come first.

    Args:
        depth: how often the size is halved; 8 brings 256 pixels down to 1.
        width: channels of the first layer; they double with each layer up to 8 times as many.
        norm: normalisation after every convolution but the first, the innermost and the last.
        dropout: probability of zeroing a value in the decoder's inner layers; the network's only noise.
        dropout_placement: "paper" puts dropout on the three innermost decoder layers, though never on the
            last; "pytorch" on those after the innermost that keep the full 8 times width, as the authors'
            PyTorch version does: three at depth 8, one less for each depth less, none from 5 down.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        depth: Annotated[int, Ge(2)] = 8,
        width: Annotated[int, Ge(1)] = 64,
        norm: Norm = "batch",
        dropout: Annotated[float, Ge(0), Le(1)] = 0.5,
        dropout_placement: Placement = "paper",
    ) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        # The encoder's layer i writes width * min(2**i, 8) channels: 64 128 256 512 512 512 512 512 at
        # depth 8, and another depth adds or drops layers at the inner end. The decoder goes back through
        # the same list; each of its layers but the innermost also reads the skip of its size, and so
        # twice as many channels.
        channels = [width * min(2**i, 8) for i in range(depth)]
        dropped = range(min(3, depth - 1)) if dropout_placement == "paper" else range(1, depth - 4)
        self.encoder = nn.ModuleList(
            _down(
                channels[i - 1] if i > 0 else in_channels,
                channels[i],
                norm=norm,
                first=i == 0,
                innermost=i == depth - 1,
            )
            for i in range(depth)
        )
        self.decoder = nn.ModuleList(
            _up(
                channels[-1 - i] * (2 if i > 0 else 1),
                channels[-2 - i] if i < depth - 1 else out_channels,
                norm=norm,
                dropout=dropout if i in dropped else 0.0,
                last=i == depth - 1,
            )
            for i in range(depth)
        )

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError when a side is no multiple of `size_multiple`."""
        height, width = source.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"a U-Net of depth {len(self.encoder)} needs sides that are multiples of "
                f"{self.size_multiple}, not {height}x{width}: pad the image, or choose a smaller depth"
            )
        image = source
        skips: list[Tensor] = []
        for down in self.encoder:
            image = down(image)
            skips.append(image)
        image = skips.pop()
        for i, up in enumerate(self.decoder):
            image = up(torch.cat((skips.pop(), image), dim=1) if i > 0 else image)
        return image


def _down(inputs: int, outputs: int, *, norm: Norm, first: bool, innermost: bool) -> nn.Sequential:
    # The activation is not in place: its input is also a skip. The innermost layer has no norm: at one
    # pixel and one image, a norm would subtract everything that there is.
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if not first:
        parts["activation"] = nn.LeakyReLU(0.2)
    parts["conv"] = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=norm != "batch")
    if norm != "none" and not (first or innermost):
        parts["norm"] = NORMS[norm](outputs)
    return nn.Sequential(parts)


def _up(inputs: int, outputs: int, *, norm: Norm, dropout: float, last: bool) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(activation=nn.ReLU())
    parts["conv"] = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=last or norm != "batch")
    if norm != "none" and not last:
        parts["norm"] = NORMS[norm](outputs)
    if dropout > 0:
        parts["dropout"] = nn.Dropout(dropout)
    if last:
        parts["tanh"] = nn.Tanh()
    return nn.Sequential(parts)
