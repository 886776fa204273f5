import torch
from torch import nn


class Head(nn.Module):
    """Vectors of features to vectors of one width.

    Args:
        width: of what comes out.
    """

    groups = {"trained": "layers", "fixed": ("fixed",)}

    def __init__(self, *, feature_channels: tuple[int, ...], width: int = 6) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(channels, width) for channels in feature_channels)
        self.register_buffer("scale", torch.rand(width))
        self.fixed = nn.Linear(width, width).requires_grad_(False)

    def forward(self, vectors):
        return [
            self.fixed(layer(each)) * self.scale for layer, each in zip(self.layers, vectors, strict=True)
        ]
