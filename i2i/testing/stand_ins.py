"""Networks that stand in for those of a recipe, with all that a method may need of one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.maps import Maps

WIDTH = 4


class Net(nn.Module):
    """Two convolutions, (B,in_channels,H,W) to (B,out_channels,H,W) in [-1,1], which a time shifts."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, WIDTH, 3, padding=1)
        self.drop = nn.Dropout(0.1)
        self.last = nn.Conv2d(WIDTH, out_channels, 3, padding=1)

    def forward(self, image: Tensor, time: Tensor | None = None) -> Tensor:
        """Translate an image; `time` is (B,) in [0,1]."""
        inner = self.first(image)
        if time is not None:
            inner = inner + time[:, None, None, None]
        return torch.tanh(self.last(self.drop(F.silu(inner))))

    def features(self, image: Tensor) -> list[Tensor]:
        """Return what is inside at full and at half size."""
        inner = F.silu(self.first(image))
        return [inner, F.avg_pool2d(inner, 2)]


class Judge(nn.Module):
    """Two convolutions, (B,in_channels,H,W) to logits of patches, with features; a time shifts them."""

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, WIDTH, 4, stride=2)
        self.last = nn.Conv2d(WIDTH, 1, 2)

    def forward(self, image: Tensor, time: Tensor | None = None) -> Maps:
        """Judge an image; `time` is (B,) in [0,1]."""
        inner = self.first(image)
        if time is not None:
            inner = inner + time[:, None, None, None]
        inner = F.silu(inner)
        return Maps([self.last(inner)], [[inner]])
