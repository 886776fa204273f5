"""Differentiable augmentation of all that a discriminator sees, for training on few images.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv 2006.10738),
section 3: real and fake images go through the same augmentation, in the discriminator's
step and in the generator's, so the discriminator cannot learn the few real images by heart and the
generator is not taught to draw augmented ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Kind = Literal["colour", "translation", "cutout"]
Step = Callable[[Tensor], Tensor]


class Augmentation:
    """One draw for one batch, with a draw of its own for each place in it; applied in the order of `kinds`.

    `shape` is the batch's (B,C,H,W). The same object serves the real images, the fakes and the sources
    beside them, so a pair stays aligned and features of real and fake can be compared.

    * "colour": brightness by up to .5 either way (of a range of 2), saturation by 0 to 2, contrast by .5
      to 1.5; not on the sources.
    * "translation": up to an eighth of the size in both directions; what comes in from outside is 0.
    * "cutout": a square of half the size, centred anywhere in the image, becomes 0.
    """

    def __init__(self, kinds: Sequence[Kind], shape: Sequence[int], rng: torch.Generator) -> None:
        draw = {"colour": _colour, "translation": _translation, "cutout": _cutout}
        self._steps = [(kind, draw[kind](shape, rng)) for kind in kinds]

    def image(self, image: Tensor) -> Tensor:
        """Return images (B,C,H,W) in [-1,1] augmented, in float32; colours may leave that range."""
        for _, step in self._steps:
            image = step(image.float())
        return image

    def condition(self, source: Tensor) -> Tensor:
        """Return sources of the same batch with the same geometry, their colours as they were."""
        for kind, step in self._steps:
            source = source if kind == "colour" else step(source.float())
        return source


def _colour(shape: Sequence[int], rng: torch.Generator) -> Step:
    shift, saturation, contrast = torch.rand((3, shape[0], 1, 1, 1), generator=rng).unbind()

    def apply(image: Tensor) -> Tensor:
        image = image + (shift - 0.5).to(image.device)
        grey = image.mean(dim=1, keepdim=True)
        image = (image - grey) * (2 * saturation).to(image.device) + grey
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        return (image - mean) * (contrast + 0.5).to(image.device) + mean

    return apply


def _translation(shape: Sequence[int], rng: torch.Generator) -> Step:
    count, _, height, width = shape
    down, right = round(height / 8), round(width / 8)
    tops = torch.randint(2 * down + 1, (count,), generator=rng).tolist()
    lefts = torch.randint(2 * right + 1, (count,), generator=rng).tolist()

    def apply(image: Tensor) -> Tensor:
        padded = F.pad(image, (right, right, down, down))
        corners = enumerate(zip(tops, lefts, strict=True))
        parts = [padded[i : i + 1, :, y : y + height, x : x + width] for i, (y, x) in corners]
        return torch.cat(parts)

    return apply


def _cutout(shape: Sequence[int], rng: torch.Generator) -> Step:
    count, _, height, width = shape
    rows, columns = _half_of(height, count, rng), _half_of(width, count, rng)
    kept = ~(rows[:, None, :, None] & columns[:, None, None, :])

    def apply(image: Tensor) -> Tensor:
        return image * kept.to(image.device)

    return apply


def _half_of(side: int, count: int, rng: torch.Generator) -> Tensor:
    """For each of `count` images, which of `side` pixels in a row are near a centre drawn among them."""
    starts = torch.randint(side, (count, 1), generator=rng) - side // 4
    places = torch.arange(side)
    return (places >= starts) & (places < starts + side // 2)
