"""The scale that pictures are trained at: brought to the size of the data, or at their own resolution.

A trained model must be shown pictures at the scale it knows, so the model file says which one that is.
"""

from __future__ import annotations

import math
from typing import Any, cast, get_args

from i2i.errors import I2IError
from i2i.kinds import Data
from i2i.recipe.recipe import Recipe
from i2i.records import PairSpec, Pictures, Scale

SAMPLED = 8
"""Pictures that are looked at to tell what all are like."""

ALIKE = 1.05
"""Two proportions whose quotient is below this are the same: sizes are whole pixels."""


def scale_of(recipe: Recipe, data: Data | None = None) -> Scale:
    """Return the scale that pictures are trained at.

    The first transform at "loading" that has a `scale` decides, else the data set's; without any the engine
    brings every picture to the size of the data, which is "shrunk". `data` is the opened data set, whose
    class stands for it otherwise.
    """
    loading = [slot for slot in recipe.section("transforms") if slot.settings.at == "loading"]
    parts = (*(slot.factory for slot in loading), recipe.data.factory if data is None else data)
    for part in parts:
        scale: Any = getattr(part, "scale", None)
        # Other components may mean anything by this name, a factor for instance.
        if isinstance(scale, str) and scale in get_args(Scale):
            return cast("Scale", scale)
    return "shrunk"


def pictures_of(data: Data) -> Pictures | None:
    """Return what the sources of a data set are like, from at most `SAMPLED` spread over it.

    One that cannot be read is left out: its turn in the training will name it. None where all are so.
    """
    spec: PairSpec = data.spec
    count = min(SAMPLED, len(data))
    sizes: list[tuple[int, int]] = []
    for place in range(count):
        try:
            height, width = data[place * len(data) // count]["source"].shape[-2:]
        except I2IError:
            continue
        sizes.append((height, width))
    if not sizes:
        return None
    wanted = spec.source.height / spec.source.width
    stretch = [abs(math.log(height / width / wanted)) for height, width in sizes]
    height, width = sorted(sizes, key=lambda size: size[0] * size[1])[len(sizes) // 2]
    return Pictures(height, width, squashed=max(stretch) > math.log(ALIKE))
