"""What U-Net, encoder-decoder and their relatives share: down by strided convolutions, and back up.

The two halves only hold the layers; how they are joined, with skips or without, is the network's own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from i2i.core.generators.doubling import Upsample, doubling
from i2i.norms import NORMS, Norm, biased

Placement = Literal["paper", "pytorch"]


class Hourglass(nn.Module):
    """A generator that halves the size `depth` times and doubles it as often.

    Each network names the parameters that it takes, with its own defaults; what they mean stands here.

    Args:
        depth: how often the size is halved; 8 brings 256 pixels down to 1.
        width: channels of the first layer; they double with each layer up to 8 times as many.
        norm: normalisation after every convolution but the first, the innermost and the last; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        dropout: probability of zeroing a value in the decoder's inner layers; the network's only noise.
        dropout_placement: "paper" puts dropout on the three innermost decoder layers, though never on the
            last; "pytorch" on those after the innermost that keep the full 8 times width.
        upsample: how the decoder doubles the size: by "transposed" convolutions, which can leave a
            checkerboard, or by a "resize" to the nearest pixel and a 3x3 convolution.
    """

    small: ClassVar[Mapping[str, Any]] = {"depth": 3, "width": 4}

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.size_multiple = 2**depth

    def check_size(self, source: Tensor) -> None:
        """Raise ValueError when the height or width of `source` is no multiple of `size_multiple`."""
        height, width = source.shape[-2:]
        multiple = self.size_multiple
        if height % multiple or width % multiple:
            raise ValueError(
                f"a generator of depth {self.depth} needs sides that are multiples of {multiple}, "
                f"not {height}x{width}: pad the image, or choose a smaller depth"
            )


def encoder(in_channels: int, *, depth: int, width: int, norm: Norm) -> nn.ModuleList:
    """Return `depth` layers that each halve the size, down to ``min(2**(depth-1), 8) * width`` channels."""
    channels = _channels(depth, width)
    return nn.ModuleList(
        _down(
            channels[i - 1] if i > 0 else in_channels,
            channels[i],
            norm=norm,
            first=i == 0,
            innermost=i == depth - 1,
        )
        for i in range(depth)
    )


def encoded(layers: nn.ModuleList, image: Tensor) -> list[Tensor]:
    """Return what each layer of an encoder makes of `image`, the outermost first."""
    found: list[Tensor] = []
    for down in layers:
        image = down(image)
        found.append(image)
    return found


def decoder(
    out_channels: int,
    *,
    depth: int,
    width: int,
    norm: Norm,
    dropout: float,
    placement: Placement,
    upsample: Upsample,
    skips: bool,
) -> nn.ModuleList:
    """Return `depth` layers that each double the size, back through the encoder's channels.

    With `skips` each but the innermost also reads the encoder's output of its size, and so twice as
    many channels.
    """
    channels = _channels(depth, width)
    dropped = range(min(3, depth - 1)) if placement == "paper" else range(1, depth - 4)
    return nn.ModuleList(
        _up(
            channels[-1 - i] * (2 if skips and i > 0 else 1),
            channels[-2 - i] if i < depth - 1 else out_channels,
            norm=norm,
            dropout=dropout if i in dropped else 0.0,
            upsample=upsample,
            last=i == depth - 1,
        )
        for i in range(depth)
    )


def _channels(depth: int, width: int) -> list[int]:
    # 64 128 256 512 512 512 512 512 at depth 8; another depth adds or drops layers at the inner end.
    return [width * min(2**i, 8) for i in range(depth)]


def _down(inputs: int, outputs: int, *, norm: Norm, first: bool, innermost: bool) -> nn.Sequential:
    # The activation is not in place: its input is also a skip. The innermost layer has no norm: at one
    # pixel and one image, a norm would subtract everything that there is.
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if not first:
        parts["activation"] = nn.LeakyReLU(0.2)
    parts["conv"] = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=biased(norm))
    if norm != "none" and not (first or innermost):
        parts["norm"] = NORMS[norm](outputs)
    return nn.Sequential(parts)


def _up(
    inputs: int, outputs: int, *, norm: Norm, dropout: float, upsample: Upsample, last: bool
) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(activation=nn.ReLU())
    parts |= doubling(inputs, outputs, upsample=upsample, kernel=4, bias=last or biased(norm))
    if norm != "none" and not last:
        parts["norm"] = NORMS[norm](outputs)
    if dropout > 0:
        parts["dropout"] = nn.Dropout(dropout)
    if last:
        parts["tanh"] = nn.Tanh()
    return nn.Sequential(parts)
