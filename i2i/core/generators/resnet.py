"""The residual generator of style transfer and CycleGAN: most of its work at a quarter of the size.

It sees a neighbourhood rather than the whole image and keeps the input's layout by its nature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.generators.doubling import Upsample, doubling
from i2i.norms import NORMS, Norm, biased


class ResNet(nn.Module):
    """Residual generator (Johnson et al. 2016, arXiv 1603.08155; Zhu et al. 2017, arXiv 1703.10593, 7.2).

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]; height and width are multiples of 4, and at
    least 8. A 7x7 convolution, two of stride 2, residual blocks, twice the size again, a 7x7
    convolution. With batch norm only the last convolution has a bias, without it all have. Modules
    stand in the order of the authors' PyTorch version, so parameters have the same names.

    Args:
        blocks: residual blocks; the papers use 6 at 128 pixels and 9 from 256 up.
        width: channels of the first layer; the blocks have four times as many.
        norm: normalisation after every convolution but the last; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        dropout: probability of zeroing a value between the two convolutions of a block.
        upsample: how the size is doubled: by "transposed" convolutions, which can leave a
            checkerboard, or by a "resize" to the nearest pixel and a 3x3 convolution.
    """

    size_multiple = 4
    smallest = 8
    small: ClassVar[Mapping[str, Any]] = {"blocks": 1, "width": 4}

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        blocks: Annotated[int, Ge(1)] = 9,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        norm: Norm = "instance",
        dropout: Annotated[float, Ge(0), Le(1)] = 0.0,
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        bias = biased(norm)
        parts: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(in_channels, width, 7, bias=bias)]
        parts += [NORMS[norm](width), nn.ReLU()]
        for inputs in (width, 2 * width):
            parts += [nn.Conv2d(inputs, 2 * inputs, 3, stride=2, padding=1, bias=bias)]
            parts += [NORMS[norm](2 * inputs), nn.ReLU()]
        parts += [_Block(4 * width, norm=norm, dropout=dropout) for _ in range(blocks)]
        self._encoded = len(parts)
        for outputs in (2 * width, width):
            parts += doubling(2 * outputs, outputs, upsample=upsample, kernel=3, bias=bias).values()
            parts += [NORMS[norm](outputs), nn.ReLU()]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*parts)
        names = [f"model.{index}" for index in range(len(parts))]
        self.groups = {"encoder": names[: self._encoded], "decoder": names[self._encoded :]}

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError when a side does not fit."""
        self._check_size(source)
        image: Tensor = self.model(source)
        return image

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the activations of the first convolution, of both that halve, and of each block, in order.

        Raises ValueError as `forward`.
        """
        self._check_size(image)
        found: list[Tensor] = []
        for layer in self.model[: self._encoded]:
            image = layer(image)
            if isinstance(layer, (nn.ReLU, _Block)):
                found.append(image)
        return found

    def _check_size(self, image: Tensor) -> None:
        height, width = image.shape[-2:]
        if height % 4 or width % 4 or height < self.smallest or width < self.smallest:
            raise ValueError(
                f"a residual generator needs sides that are multiples of {self.size_multiple} and at least "
                f"{self.smallest}, not {height}x{width}: pad the image"
            )


class _Block(nn.Module):
    """Two 3x3 convolutions whose result is added to what goes in."""

    def __init__(self, channels: int, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        parts = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=biased(norm))]
        parts += [NORMS[norm](channels), nn.ReLU()]
        if dropout > 0:
            parts += [nn.Dropout(dropout)]
        parts += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=biased(norm))]
        parts += [NORMS[norm](channels)]
        self.conv_block = nn.Sequential(*parts)

    def forward(self, image: Tensor) -> Tensor:
        residual: Tensor = self.conv_block(image)
        return image + residual
