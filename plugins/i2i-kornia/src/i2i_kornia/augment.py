"""One pipeline for pairs: both sides are warped alike; colour, blur and noise are for the sides asked for.

Every key is the most that something is changed by; 0 leaves it alone. All steps run where the pair's tensors
are, and are differentiable in the images, so it can stand before discriminators too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import gaussian_blur2d

from i2i.images import by_file, resize_side
from i2i.kinds import Side
from i2i_kornia.images import unit
from i2i_kornia.warp import Outside, Size, affine_places, elastic_shifts, sample

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import ImageSpec, Pair

Strength = Annotated[float, Ge(0), Le(1)]
LEAST_BLUR = 0.1
"""The standard deviation in pixels up to which a blur changes nothing that could be seen."""


class Augment:
    """Warp both sides of a pair with one draw, then change the source's colours and sharpness.

    Both sides are turned, enlarged, sheared, moved and bent alike, label maps by nearest neighbour; a source
    of another size than its target is brought to that first. Then brightness, contrast, saturation and
    hue are changed in this order, and the picture is blurred and given noise. Those changes pass by label
    maps, and by transparency, the fourth of four channels; of a source stacked from several files each is
    changed as a picture of its own. With both sides `on` they are changed alike, but for the noise. Values
    stay in [-1,1]. It keeps the size of the target.

    Where colours stand for something, as in pictures of labels, set brightness, contrast, saturation and hue
    to 0.

    Args:
        rotate: the most degrees that a pair is turned by, either way.
        translate: the most that it is moved by, as a part of its width and of its height.
        scale: the most that it is enlarged or shrunk by: 0.1 is from 1 / 1.1 to 1.1 times.
        shear: the most degrees that it is slanted by, across and down.
        elastic: the most that its pixels are moved by on the whole (root mean square), each its own way but
            smoothly, as a part of the shorter side.
        elastic_sigma: how smoothly, as a part of the shorter side; at least four times `elastic`, or the
            picture would fold over itself.
        outside: what is beyond the edges: the image mirrored ("reflection") or its edge drawn out ("border").
        brightness: brightness is multiplied by 1 - x to 1 + x.
        contrast: contrast about the mean is multiplied by 1 - x to 1 + x.
        saturation: saturation is multiplied by 1 - x to 1 + x, in RGB alone.
        hue: the most that hue is turned by, as a part of the circle, in RGB alone.
        blur: the greatest standard deviation of a Gaussian blur, in pixels.
        noise: the greatest standard deviation of Gaussian noise, where values go from -1 to 1.
        on: the sides whose colours, sharpness and noise are changed.
    """

    moves = True

    def __init__(
        self,
        *,
        rotate: Annotated[float, Ge(0), Le(180)] = 10.0,
        translate: Strength = 0.05,
        scale: Strength = 0.1,
        shear: Annotated[float, Ge(0), Le(45)] = 5.0,
        elastic: Annotated[float, Ge(0), Le(0.1)] = 0.01,
        elastic_sigma: Annotated[float, Gt(0), Le(0.5)] = 0.1,
        outside: Outside = "reflection",
        brightness: Strength = 0.2,
        contrast: Strength = 0.2,
        saturation: Strength = 0.2,
        hue: Annotated[float, Ge(0), Le(0.5)] = 0.02,
        blur: Annotated[float, Ge(0), Le(20)] = 0.5,
        noise: Strength = 0.02,
        on: tuple[Side, ...] = ("source",),
    ) -> None:
        if elastic * 4 > elastic_sigma:
            raise ValueError(f"'elastic_sigma' is at least four times 'elastic', here {4 * elastic:g}")
        self.rotate, self.translate, self.scale, self.shear = rotate, translate, scale, shear
        self.elastic, self.elastic_sigma, self.outside = elastic, elastic_sigma, outside
        self.colours = (brightness, contrast, saturation, hue)
        self.blur, self.noise, self.on = blur, noise, on
        self.warps = any((rotate, translate, scale, shear, elastic))

    def __call__(self, pair: Pair, *, size: Size, rng: torch.Generator) -> Pair:
        """Return the pair, warped, its source in other colours."""
        # All numbers are drawn, whatever is switched off: so the others stay as they were.
        draws = iter(torch.rand(14, generator=rng, device=rng.device).tolist())

        def up_to(most: float) -> float:
            return float(next(draws) * most)

        def either_way(most: float) -> float:
            return float((2 * next(draws) - 1) * most)

        degrees, zoom = either_way(self.rotate), math.exp(either_way(math.log1p(self.scale)))
        shift = either_way(self.translate), either_way(self.translate)
        shear = either_way(self.shear), either_way(self.shear)
        elastic = up_to(self.elastic)
        brightness, contrast, saturation, hue = (either_way(strength) for strength in self.colours)
        blur, noise = up_to(self.blur), up_to(self.noise)

        if self.warps:
            whole = _size(pair.target)
            places = affine_places(whole, degrees=degrees, shift=shift, scale=zoom, shear=shear)
            if elastic:
                side = min(whole)
                places = places + elastic_shifts(
                    whole, amplitude=elastic * side, sigma=self.elastic_sigma * side, rng=rng
                ).to(places.device)
            pair = _sampled(pair, places, self.outside)

        def change(picture: Tensor) -> Tensor:
            if any(self.colours):
                light = unit(picture)[None]
                light = recoloured(
                    light, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue
                )
                picture = light[0] * 2 - 1
            if blur > LEAST_BLUR:
                width = 2 * math.ceil(3 * blur) + 1
                picture = gaussian_blur2d(picture[None], width, (blur, blur), border_type="replicate")[0]
            if noise:
                grain = torch.randn(picture.shape, generator=rng, device=rng.device)
                picture = picture + noise * grain.to(picture.device)
            return picture

        return _changed(pair, self.on, change)


def recoloured(light: Tensor, *, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """Return images (B,C,H,W) in [0,1] in other colours; each change of 0 is none, 1 the double."""
    light = adjust_brightness_accumulative(light, 1 + brightness)
    light = adjust_contrast_with_mean_subtraction(light, 1 + contrast)
    if light.shape[1] == 3:
        light = adjust_saturation_with_gray_subtraction(light, 1 + saturation)
        light = adjust_hue(light, 2 * math.pi * hue) if hue else light
    return light


def _sampled(pair: Pair, places: Tensor, outside: Outside) -> Pair:
    """Take both sides from the same places, at the target's size."""
    source = resize_side(pair.source, _size(pair.target), pair.spec.source)

    def moved(image: Tensor, spec: ImageSpec) -> Tensor:
        files = by_file(image, spec)
        return torch.cat([sample(one, places, labels=file.labels, outside=outside) for file, one in files])

    return replace(
        pair,
        source=moved(source, pair.spec.source),
        target=moved(pair.target, pair.spec.target),
        extra={
            name: sample(field.float(), places, labels=True, outside=outside).to(field.dtype)
            for name, field in pair.extra.items()
        },
    )


def _size(image: Tensor) -> Size:
    height, width = image.shape[-2:]
    return height, width


def _changed(pair: Pair, on: tuple[Side, ...], change: Callable[[Tensor], Tensor]) -> Pair:
    """Apply `change` to the pictures (C,H,W) of the sides that are asked for."""
    source = _pictures(pair.source, pair.spec.source, change) if "source" in on else pair.source
    target = _pictures(pair.target, pair.spec.target, change) if "target" in on else pair.target
    return replace(pair, source=source, target=target)


def _pictures(image: Tensor, spec: ImageSpec, change: Callable[[Tensor], Tensor]) -> Tensor:
    def changed(picture: Tensor, file: ImageSpec) -> Tensor:
        if file.labels:
            return picture
        return torch.cat([change(picture[:3]), picture[3:]]) if len(picture) == 4 else change(picture)

    if spec.labels:
        return image
    return torch.cat([changed(picture, file) for file, picture in by_file(image, spec)]).clamp(-1, 1)
