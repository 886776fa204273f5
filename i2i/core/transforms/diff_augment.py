"""Differentiable augmentation of all that a discriminator sees, for training on few images.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv 2006.10738), section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import MinLen
from torch.nn import functional as F

from i2i.slot_keys import Place

if TYPE_CHECKING:
    from torch import Tensor

    from i2i.kinds import Pair

Step = Literal["colour", "translation", "cutout"]


class DiffAugment:
    """Change what discriminators see at random, alike in real and fake; for `at = "judging"` alone.

    The image is the pair's target, and what is beside it the source, which moves with it and keeps its
    colours. In the order of `policy`:

    * "colour": brightness by up to .5 either way (of a range of 2), saturation by 0 to 2, contrast by .5
      to 1.5. Values may leave [-1,1]: cut off, they would have no gradient.
    * "translation": up to an eighth of the size in both directions; what comes in from outside is 0.
    * "cutout": a square of half the size, centred anywhere in the image, becomes 0.

    Args:
        policy: what is changed, in this order.
    """

    places: ClassVar[tuple[Place, ...]] = ("judging",)

    def __init__(
        self, *, policy: Annotated[tuple[Step, ...], MinLen(1)] = ("colour", "translation", "cutout")
    ) -> None:
        self.policy = policy

    def __call__(self, pair: Pair, *, size: tuple[int, int], rng: torch.Generator) -> Pair:
        """Return the pair, changed by one draw."""
        for step in self.policy:
            pair = STEPS[step](pair, rng)
        return pair


def _colour(pair: Pair, rng: torch.Generator) -> Pair:
    shift, saturation, contrast = torch.rand(3, generator=rng).tolist()
    image = pair.target + (shift - 0.5)
    grey = image.mean(dim=0, keepdim=True)
    image = (image - grey) * (2 * saturation) + grey
    mean = image.mean()
    return replace(pair, target=(image - mean) * (contrast + 0.5) + mean)


def _translation(pair: Pair, rng: torch.Generator) -> Pair:
    height, width = pair.target.shape[-2:]
    down, right = round(height / 8), round(width / 8)
    top, left = (int(torch.randint(2 * most + 1, (), generator=rng)) for most in (down, right))

    def move(image: Tensor) -> Tensor:
        padded = F.pad(image, (right, right, down, down))
        return padded[:, top : top + height, left : left + width]

    return replace(pair, source=move(pair.source), target=move(pair.target))


def _cutout(pair: Pair, rng: torch.Generator) -> Pair:
    height, width = pair.target.shape[-2:]
    device = pair.target.device
    rows, columns = _half_of(height, rng, device), _half_of(width, rng, device)
    kept = ~(rows[:, None] & columns[None, :])
    return replace(pair, source=pair.source * kept, target=pair.target * kept)


def _half_of(side: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Say on `device` which of `side` pixels in a row are near a centre that is drawn among them."""
    start = int(torch.randint(side, (), generator=rng)) - side // 4
    places = torch.arange(side, device=device)  # copied there, it would have to be waited for
    return (places >= start) & (places < start + side // 2)


STEPS: dict[Step, Callable[[Pair, torch.Generator], Pair]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
