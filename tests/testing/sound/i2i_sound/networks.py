from typing import Annotated

import torch
from annotated_types import Ge
from torch import nn
from torch.nn import functional as F

from i2i.maps import Maps


class Net(nn.Module):
    """(B,in_channels,H,W) -> (B,out_channels,H,W) in [-1,1]; sides are even.

    Args:
        width: channels in between.
        dropout: how often a value is zeroed.
    """

    size_multiple = 2

    def __init__(
        self, *, in_channels: int, out_channels: int, width: Annotated[int, Ge(1)] = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_channels, width, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ConvTranspose2d(width, out_channels, 4, stride=2, padding=1)

    def forward(self, source):
        inner = self.dropout(torch.relu(self.norm(self.down(source))))
        return torch.tanh(self.up(inner))

    def features(self, image):
        return [self.down(image)]


class Judge(nn.Module):
    """(B,in_channels,H,W) -> raw logits (B,1,h,w), and features."""

    receptive_field = 6

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 4, stride=2)
        self.last = nn.Conv2d(4, 1, 2)

    def forward(self, image):
        features = F.silu(self.first(image))
        return Maps([self.last(features)], [[features]])
