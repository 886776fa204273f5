"""Earlier fakes of one generator, so that its discriminator does not forget what fooled it before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Up to `size` images (C,H,W) of one shape (Zhu et al. 2017, section 4)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._images: list[Tensor] = []

    def exchange(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Put (B,C,H,W) in, and return as many images for a discriminator to see.

        While there is room an image is kept and returned. After that, one time in two a kept one is returned
        in its place, and gives its own place up. A pool of size 0 returns what it is given.
        """
        if self.size == 0:
            return images
        shown = images.clone()
        for number, image in enumerate(images):
            if len(self._images) < self.size:
                self._images.append(image.clone())
            elif torch.rand((), generator=rng) < 0.5:
                place = int(torch.randint(self.size, (), generator=rng))
                shown[number] = self._images[place]
                self._images[place] = image.clone()
        return shown

    def state_dict(self) -> dict[str, Any]:
        """Return what is in the pool."""
        return {"images": list(self._images)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what another pool held."""
        self._images = list(state["images"])
