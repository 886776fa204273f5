"""A pool of earlier fakes, so that the discriminator is not only shown the generator's latest habits.

Shrivastava et al. 2017, "Learning from Simulated and Unsupervised Images through Adversarial Training"
(arXiv 1612.07828), section 2.3, in the form of Zhu et al. 2017 (arXiv 1703.10593), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Up to `size` fakes, each with the source it was made from, all of one shape.

    Its state is a mapping of tensors.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._fakes: list[Tensor] = []
        self._sources: list[Tensor] = []

    def exchange(self, fakes: Tensor, sources: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Put a batch in, and return a batch of the same shape of what a discriminator shall see.

        While the pool is not full an image is kept and also returned; after that, one time in two a kept
        one is returned in its place and gives its place up. A pool of size 0 returns what it is given.
        """
        if self.size == 0:
            return fakes, sources
        # Copied into clones, so that the layout in memory is that of the batch, resumed or not.
        shown, beside = fakes.clone(), sources.clone()
        for i in range(len(fakes)):
            if len(self._fakes) < self.size:
                self._fakes.append(fakes[i].clone())
                self._sources.append(sources[i].clone())
            elif torch.rand((), generator=rng) < 0.5:
                place = int(torch.randint(self.size, (), generator=rng))
                shown[i], beside[i] = self._fakes[place], self._sources[place]
                self._fakes[place], self._sources[place] = fakes[i].clone(), sources[i].clone()
        return shown, beside

    def state_dict(self) -> dict[str, Any]:
        """Return what is in the pool."""
        return {"fakes": list(self._fakes), "sources": list(self._sources)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Fill the pool with what was in another."""
        self._fakes, self._sources = list(state["fakes"]), list(state["sources"])
