"""Transforms that change values where they are: on the source, unless the recipe asks for the target.

Label maps are left alone, and so is transparency, the fourth of four channels. Of a side that is
stacked from several files each is changed as a picture of its own. Values stay in [-1,1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch.nn import functional as F

from i2i.core.transforms.geometry import Probability, Size
from i2i.images import by_file
from i2i.kinds import Side

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import ImageSpec, Pair

Strength = Annotated[float, Ge(0), Le(1)]
Sides = tuple[Side, ...]


class ColourJitter:
    """Change brightness, contrast, saturation and hue at random, in this order.

    Brightness, contrast and saturation are multiplied by a number between 1 - x and 1 + x, contrast about
    the picture's mean; hue is turned by up to x of a full circle. Pictures of other than three channels
    have neither saturation nor hue. With both sides `on`, they are changed alike.

    Args:
        brightness: the most that brightness is changed by.
        contrast: the most that contrast is changed by.
        saturation: the most that saturation is changed by.
        hue: the most that hue is turned by.
        on: the sides that are changed.
    """

    moves = False

    def __init__(
        self,
        *,
        brightness: Strength = 0.2,
        contrast: Strength = 0.2,
        saturation: Strength = 0.2,
        hue: Annotated[float, Ge(0), Le(0.5)] = 0.0,
        on: Sides = ("source",),
    ) -> None:
        self.strengths = (brightness, contrast, saturation, hue)
        self.on = on

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair in other colours."""
        draws = torch.rand(4, generator=rng, device=rng.device).mul(2).sub(1).tolist()
        brightness, contrast, saturation, hue = (
            draw * strength for draw, strength in zip(draws, self.strengths, strict=True)
        )

        def change(picture: Tensor) -> Tensor:
            light: Tensor = (picture + 1) / 2 * (1 + brightness)
            light = light.mean() + (light - light.mean()) * (1 + contrast)
            if picture.shape[0] == 3:
                grey = light.mean(dim=0, keepdim=True)
                light = grey + (light - grey) * (1 + saturation)
                light = _turn_hue(light, hue) if hue else light
            return light * 2 - 1

        return _changed(pair, self.on, change)


class Blur:
    """Blur by a Gaussian of random width.

    Args:
        sigma: the least and the greatest standard deviation, in pixels.
        probability: how often a pair is blurred.
        on: the sides that are blurred, alike.
    """

    moves = False

    def __init__(
        self,
        *,
        sigma: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = (0.1, 2.0),
        probability: Probability = 0.5,
        on: Sides = ("source",),
    ) -> None:
        if sigma[0] > sigma[1]:
            raise ValueError("'sigma' goes from the least to the greatest")
        self.sigma = sigma
        self.probability = probability
        self.on = on

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair, blurred or not."""
        chance, place = torch.rand(2, generator=rng, device=rng.device).tolist()
        if chance >= self.probability:
            return pair
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * place
        return _changed(pair, self.on, lambda picture: _blurred(picture, sigma))


class Noise:
    """Add Gaussian noise, drawn for each value by itself.

    Args:
        sigma: its standard deviation, where the values go from -1 to 1.
        on: the sides that it is added to, each with noise of its own.
    """

    moves = False

    def __init__(self, *, sigma: Annotated[float, Gt(0)] = 0.05, on: Sides = ("source",)) -> None:
        self.sigma = sigma
        self.on = on

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair with noise."""

        def change(picture: Tensor) -> Tensor:
            noise = torch.randn(picture.shape, generator=rng, device=rng.device)
            return picture + self.sigma * noise.to(picture.device)

        return _changed(pair, self.on, change)


def _changed(pair: Pair, on: Sides, change: Callable[[Tensor], Tensor]) -> Pair:
    """Apply `change` to the pictures (C,H,W) of the sides that are asked for."""
    source = _pictures(pair.source, pair.spec.source, change) if "source" in on else pair.source
    target = _pictures(pair.target, pair.spec.target, change) if "target" in on else pair.target
    return replace(pair, source=source, target=target)


def _pictures(image: Tensor, spec: ImageSpec, change: Callable[[Tensor], Tensor]) -> Tensor:
    def changed(picture: Tensor, file: ImageSpec) -> Tensor:
        if file.labels:
            return picture
        if picture.shape[0] == 4:
            return torch.cat([change(picture[:3]), picture[3:]])
        return change(picture)

    if spec.labels:
        return image
    return torch.cat([changed(picture, file) for file, picture in by_file(image, spec)]).clamp(-1, 1)


def _turn_hue(light: Tensor, turn: float) -> Tensor:
    """Turn the hue of RGB (3,H,W) by a part of the circle: about the axis of greys, which stay as they are.

    The rotation by Rodrigues' formula, with the axis (1,1,1); it keeps the mean of the three channels.
    """
    angle = 2 * math.pi * turn
    cosine, sine = math.cos(angle), math.sin(angle) / math.sqrt(3)
    along, other, third = cosine + (1 - cosine) / 3, (1 - cosine) / 3 - sine, (1 - cosine) / 3 + sine
    rotation = torch.tensor(
        [[along, other, third], [third, along, other], [other, third, along]], device=light.device
    )
    return torch.einsum("ij,jhw->ihw", rotation, light)


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """Blur (C,H,W); beyond its edges the picture goes on as at the edge."""
    radius = max(1, math.ceil(3 * sigma))
    places = torch.arange(-radius, radius + 1, device=picture.device, dtype=torch.float32)
    kernel = torch.exp(-places.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    planes = F.pad(picture[:, None], [radius] * 4, mode="replicate")
    return F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
