"""The network of bridges and flows: a U-Net of residual blocks that is told the time.

Ho et al., "Denoising Diffusion Probabilistic Models" (2020, arXiv 2006.11239), appendix B, in small; the time
scales and shifts each block, as in Dhariwal and Nichol (2021, arXiv 2105.05233), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

HIGHEST = 100.0
"""The highest frequency by which a time is told, in radians for the time from 0 to 1; the lowest is 1."""

MOST_TIMES = 4
"""How many times wider than the full size the coarser scales may be."""

HEAD = 32
"""Channels of a head of attention, where there are so many."""


class AttentionUNet(nn.Module):
    """U-Net of residual blocks with group norm, with self-attention at its coarsest scales and a time.

    (B,in_channels,H,W) and times (B,) from 0 to 1 -> (B,out_channels,H,W), without bounds; height and width
    are multiples of `size_multiple`. It has no dropout and no batch norm: what it gives depends on its inputs
    alone. Its parts are the groups `time`, `encoder` (with the coarsest scale) and `decoder`. Its first
    weights are torch's own, which the key `init` leaves as they are.

    Args:
        width: channels at the full size; the next scale has twice, all coarser ones four times as many.
        depth: how often the size is halved.
        blocks: residual blocks at each scale, on the way down and on the way up.
        attention: at how many of the coarsest scales each block is followed by self-attention; 0 for none.
    """

    keep_init = True
    groups: ClassVar[Mapping[str, Sequence[str]]] = {
        "time": ("time",),
        "encoder": ("first", "down", "halve"),
        "decoder": ("enlarge", "up", "last"),
    }
    small: ClassVar[Mapping[str, Any]] = {"width": 8, "depth": 1, "blocks": 1}

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        width: Annotated[int, Ge(4), Le(1024)] = 32,
        depth: Annotated[int, Ge(0), Le(8)] = 3,
        blocks: Annotated[int, Ge(1), Le(8)] = 1,
        attention: Annotated[int, Ge(0)] = 1,
    ) -> None:
        super().__init__()
        if attention > depth + 1:
            raise ValueError(
                f"attention = {attention} is more than the {depth + 1} scales that depth = {depth} makes"
            )
        self.size_multiple = 2**depth
        channels = [width * min(2**level, MOST_TIMES) for level in range(depth + 1)]
        attends = [level > depth - attention for level in range(depth + 1)]
        self.time = TimeEmbedding(width, 4 * width)
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        self.up, self.enlarge = nn.ModuleList(), nn.ModuleList()
        before = width
        for level, wide in enumerate(channels):
            self.down.append(Scale(before, wide, 4 * width, blocks=blocks, attention=attends[level]))
            if level < depth:
                self.halve.append(nn.Conv2d(wide, wide, 3, stride=2, padding=1))
                self.enlarge.append(nn.Conv2d(channels[level + 1], wide, 3, padding=1))
                self.up.append(Scale(2 * wide, wide, 4 * width, blocks=blocks, attention=attends[level]))
            before = wide
        self.last = nn.Sequential(norm(width), nn.SiLU(), nn.Conv2d(width, out_channels, 3, padding=1))

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        """Return the answer to (B,in_channels,H,W) at `time`, (B,).

        Raises ValueError when a side is no multiple of `size_multiple`.
        """
        height, width = image.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"height and width have to be multiples of {self.size_multiple}, and are {height} x {width}"
            )
        told = self.time(time)
        inner, skips = self.first(image), []
        for level, scale in enumerate(self.down):
            inner = scale(inner, told)
            if level < len(self.halve):
                skips.append(inner)
                inner = self.halve[level](inner)
        for level in reversed(range(len(self.up))):
            inner = self.enlarge[level](F.interpolate(inner, scale_factor=2.0))
            inner = self.up[level](torch.cat((skips[level], inner), dim=1), told)
        answer: Tensor = self.last(inner)
        return answer.to(image.dtype)


class TimeEmbedding(nn.Module):
    """Times (B,) as `waves` sines and cosines of rising frequency, through an MLP: (B,channels)."""

    frequencies: Tensor

    def __init__(self, waves: int, channels: int) -> None:
        super().__init__()
        frequencies = torch.logspace(0.0, math.log10(HIGHEST), waves // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * (waves // 2), channels), nn.SiLU(), nn.Linear(channels, channels), nn.SiLU()
        )

    def forward(self, time: Tensor) -> Tensor:
        """Return what is told of each time."""
        angles = time.to(self.frequencies.dtype)[:, None] * self.frequencies
        told: Tensor = self.layers(torch.cat((angles.sin(), angles.cos()), dim=1))
        return told


class Scale(nn.Module):
    """Residual blocks of one size, (B,before,H,W) -> (B,channels,H,W), with self-attention or without."""

    def __init__(self, before: int, channels: int, told: int, *, blocks: int, attention: bool) -> None:
        super().__init__()
        sizes = [before, *[channels] * (blocks - 1)]
        self.blocks = nn.ModuleList(Block(size, channels, told) for size in sizes)
        self.attention = nn.ModuleList(Attention(channels) for _ in range(blocks if attention else 0))

    def forward(self, image: Tensor, told: Tensor) -> Tensor:
        """Return the image after all blocks; `told` is the embedding of the time."""
        for number, block in enumerate(self.blocks):
            image = block(image, told)
            if len(self.attention):
                image = self.attention[number](image)
        return image


class Block(nn.Module):
    """Two 3x3 convolutions on top of what comes in, (B,before,H,W) -> (B,channels,H,W), moved by the time."""

    def __init__(self, before: int, channels: int, told: int) -> None:
        super().__init__()
        self.into = nn.Sequential(norm(before), nn.SiLU(), nn.Conv2d(before, channels, 3, padding=1))
        self.moves = nn.Linear(told, 2 * channels)
        self.norm = norm(channels)
        self.out = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(before, channels, 1) if before != channels else nn.Identity()

    def forward(self, image: Tensor, told: Tensor) -> Tensor:
        """Return the image after the block; `told` is the embedding of the time."""
        factor, shift = self.moves(told)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm(self.into(image)) * (1 + factor) + shift
        output: Tensor = self.skip(image) + self.out(F.silu(inner))
        return output


class Attention(nn.Module):
    """Self-attention between all places of an image (B,C,H,W), on top of what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(channels // HEAD, 1) if channels % HEAD == 0 else 1
        self.norm = norm(channels)
        self.asks = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image after attention."""
        batch, channels, height, width = image.shape
        asked = self.asks(self.norm(image)).reshape(batch, 3, self.heads, -1, height * width)
        query, key, value = asked.transpose(3, 4).unbind(dim=1)
        seen = F.scaled_dot_product_attention(query, key, value)
        output: Tensor = image + self.out(seen.transpose(2, 3).reshape(batch, channels, height, width))
        return output


def norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of up to 8 groups, of 4 channels or more each, where there are so many."""
    return nn.GroupNorm(math.gcd(8, max(channels // 4, 1)), channels)
