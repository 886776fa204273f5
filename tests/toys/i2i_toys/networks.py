import torch
from torch import nn

from i2i.maps import Maps


class Tiny(nn.Module):
    """A convolution, dropout, a norm and tanh."""

    size_multiple = 2

    def __init__(self, *, in_channels: int, out_channels: int, width: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.Dropout(dropout),
            nn.Conv2d(width, out_channels, 1),
            nn.Tanh(),
        )

    def forward(self, source):
        return self.body(source)


class TinyJudge(nn.Module):
    receptive_field = 3

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        features = torch.relu(self.first(image))
        return Maps([self.last(features)], [[features]])


class TwoScales(nn.Module):
    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(in_channels, 1, 3)
        self.coarse = nn.Conv2d(in_channels, 1, 3, stride=2)

    def forward(self, image):
        return [self.fine(image), self.coarse(image)]
