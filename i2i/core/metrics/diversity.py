"""Diversity: how much the answers to one source differ, where a generator has any noise at all.

Isola et al. 2017, section 3.1: with dropout as its only noise, pix2pix shows little of it.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import torch

from i2i.core.metrics.pixel import PerImage
from i2i.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction


class Diversity(PerImage):
    """Mean absolute difference between two answers to one source, in [0,1], over all pairs of draws.

    More is more varied, whatever it is worth: noise is varied too. Needs `draws` of 2 or more.
    """

    name = "diversity"
    directions: Mapping[str, Direction] = {"diversity": "max"}

    def measure(self, draws: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return the mean distance between the draws for each image; raise RecipeError for a single one."""
        if len(draws) < 2:
            raise RecipeError("diversity compares the answers to one source: set its `draws` to 2 or more")
        distances = [(one - other).abs().mean(dim=(1, 2, 3)) for one, other in combinations(draws, 2)]
        return {self.name: torch.stack(distances).mean(dim=0)}
