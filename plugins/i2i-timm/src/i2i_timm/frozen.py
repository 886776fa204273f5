"""A backbone that is looked through and never trained, for images of any channels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from i2i_timm.backbone import COLOURS, Backbone, Size
from i2i_timm.published import Published


class Frozen(nn.Module):
    """The feature maps of a frozen backbone; gradients pass through it to the image.

    (B,C,H,W) in [-1,1] -> a list of (B,groups*channels,h,w), as many groups as `groups_of` tells for C.
    It stays in eval mode whatever the mode of the whole, and its parameters want no gradient. Every three
    channels are looked at as an image of their own, and their features are put side by side; see `in_colour`.
    Its gradient can be derived again, as `r1` and `gradient-penalty` do, where torch has two derivatives of
    what the backbone is made of or of something that computes the same.
    """

    keep_init = True

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool,
        weights: Path | None,
        fetch: bool,
        published: Published | None = None,
        layers: tuple[int, ...] | None = None,
        img_size: Size | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(
            name,
            in_channels=COLOURS,
            pretrained=pretrained,
            weights=weights,
            published=published,
            fetch=fetch,
            layers=layers,
            img_size=img_size,
        )
        self.channels, self.reductions = self.backbone.channels, self.backbone.reductions
        for part in list(self.backbone.modules()):
            for key, child in part.named_children():
                if isinstance(child, nn.Hardsigmoid):
                    setattr(part, key, _TwiceHardsigmoid())
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode."""
        super().train(False)
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of all groups of channels, side by side."""
        groups = in_colour(image)
        # Of the ways to compute attention this one alone has a second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            maps: list[Tensor] = self.backbone(torch.cat(groups))
        return [torch.cat(part.chunk(len(groups)), dim=1) for part in maps]


class _TwiceHardsigmoid(nn.Module):
    """What nn.Hardsigmoid computes, of which torch has the first derivative alone."""

    def forward(self, values: Tensor) -> Tensor:
        return F.relu6(values + 3) / 6


def groups_of(channels: int) -> int:
    """Return how many images `in_colour` makes of so many channels."""
    return -(-channels // COLOURS)


def in_colour(image: Tensor) -> list[Tensor]:
    """Cut an image into images of three channels.

    One channel becomes a grey image; of what is left over after the last three, one is grey too, and two
    get a third one of zeros.
    """
    found = []
    for part in torch.split(image, COLOURS, dim=1):
        if part.shape[1] == 1:
            found.append(part.expand(-1, COLOURS, -1, -1))
        else:
            found.append(F.pad(part, (0, 0, 0, 0, 0, COLOURS - part.shape[1])))
    return found
