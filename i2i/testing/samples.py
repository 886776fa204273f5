"""Small inputs for every kind of component, the same each time they are made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.kinds import ImageSpec, Pair, PairSpec, Part, Side
from i2i.maps import Maps

SIDE = 64
"""Pixels to a side where a component does not ask for more."""


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator of its own."""
    return torch.Generator().manual_seed(seed)


def images(count: int, channels: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    """Return images (count,channels,height,width) in [-1,1], neither flat nor mere noise."""
    coarse = torch.rand(count, channels, 4, 4, generator=generator(seed)) * 1.6 - 0.8
    smooth = F.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 0.2 * noise(smooth, seed=seed + 1)).clamp(-1, 1)


def label_maps(count: int, classes: int, side: int) -> Tensor:
    """Return square label maps (count,classes,side,side): 1 in the channel of a pixel's class, else -1."""
    found = torch.rand(count, classes, 4, 4, generator=generator()).argmax(dim=1)
    coarse = F.one_hot(found, classes).permute(0, 3, 1, 2).float() * 2 - 1
    return F.interpolate(coarse, (side, side), mode="nearest-exact")


def noise(like: Tensor, *, seed: int = 0) -> Tensor:
    """Return Gaussian noise of the shape of `like`."""
    return torch.randn(like.shape, generator=generator(seed))


def logits(*, seed: int = 0, level: float = 0.0, spread: float = 1.0) -> list[Tensor]:
    """Return logit maps of a batch of 2: of patches, and of the whole image."""
    shapes = ((2, 1, 6, 5), (2, 1))
    return [
        level + spread * torch.randn(shape, generator=generator(seed + i)) for i, shape in enumerate(shapes)
    ]


def features(*, seed: int = 0) -> list[list[Tensor]]:
    """Return the features of two scales, two layers each, for a batch of 2."""
    shapes = (((2, 4, 8, 8), (2, 8, 4, 4)), ((2, 4, 4, 4), (2, 8, 2, 2)))
    rng = generator(seed)
    return [[torch.randn(shape, generator=rng) for shape in scale] for scale in shapes]


def pair(
    *,
    labels: bool | Collection[Side] = False,
    seed: int = 0,
    size: tuple[int, int] = (40, 48),
    channels: tuple[int, int] = (3, 3),
) -> Pair:
    """Return a pair of images; the sides that `labels` names, or both, are one map of four classes."""
    named: Collection[Side] = (("source", "target") if labels else ()) if isinstance(labels, bool) else labels
    classes = torch.randint(0, 4, (5, 6), generator=generator(seed)).repeat_interleave(8, 0)
    one_hot = F.one_hot(classes.repeat_interleave(8, 1), 4).permute(2, 0, 1).float() * 2 - 1
    sides: list[tuple[Tensor, ImageSpec]] = []
    both: tuple[Side, Side] = ("source", "target")
    for side, count, drawn in zip(both, channels, (seed, seed + 10), strict=True):
        if side in named:
            sides.append((one_hot.clone(), ImageSpec(4, 40, 48, high=1.0, labels=True)))
        else:
            sides.append((images(1, count, *size, seed=drawn)[0], ImageSpec(count, *size)))
    (source, said), (target, wanted) = sides
    return Pair(source, target, PairSpec(said, wanted))


def pair_of_parts(side: Side, *, seed: int = 0) -> Pair:
    """Return a pair whose `side` is stacked from a map of four classes, "seg", and an image, "photo"."""
    whole = pair(labels=(side,), seed=seed)
    labels = getattr(whole, side)
    photo = images(1, 3, *labels.shape[-2:], seed=seed + 20)[0]
    parts = (Part("seg", 4, "uint8", 0.0, 1.0, labels=True), Part("photo", 3, "uint8", 0.0, 255.0))
    height, width = labels.shape[-2:]
    spec = ImageSpec(7, height, width, "float32", -1.0, 1.0, parts=parts)
    stack, said = torch.cat([labels, photo]), whole.spec
    if side == "source":
        return replace(whole, source=stack, spec=replace(said, source=spec))
    return replace(whole, target=stack, spec=replace(said, target=spec))


class ToyJudge(nn.Module):
    """A discriminator of two convolutions, with features, whose gradient depends on what it sees."""

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W)."""
        seen = F.silu(self.first(image))
        return Maps([self.last(seen)], [[seen]])
