"""Class maps from the source side of a data set, which shows its labels in one of two ways.

As a label map, one channel a class; or as a picture, where each pixel goes to the nearest of a list of
colours: compression and resizing blur colours where labels meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from i2i.errors import DataError
from i2i.kinds import Colour, ImageSpec

MOST_COLOURS = 64


class Labels:
    """Turns sources as metrics see them, (N,C,H,W) in [0,1], into class numbers (N,H,W).

    `colours` are the label colours of an RGB source; without them they are looked up in `examples`.
    `classes` says how many classes there are.

    Raises DataError where the sources show no labels, or too many colours to be labels.
    """

    def __init__(self, spec: ImageSpec, colours: Sequence[Colour], examples: Iterable[Tensor]) -> None:
        self._palette: Tensor | None = None
        self.classes = spec.channels
        if spec.one_hot:
            return
        if spec.channels != 3:
            raise DataError(
                f"segmentation-score reads labels off the source side, and {spec.channels} channel(s) of "
                "plain pixels show none: use it where they are label maps, or colours that stand for labels"
            )
        found = colours or distinct_colours(examples)
        self._palette = torch.tensor(found, dtype=torch.float32) / 255
        self.classes = len(found)

    def __call__(self, source: Tensor) -> Tensor:
        """Return the class of each pixel, (N,H,W) int64."""
        if self._palette is None:
            return source.argmax(dim=1)
        pixels = source.permute(0, 2, 3, 1)
        distances = [(pixels - colour).square().sum(dim=-1) for colour in self._palette.to(source.device)]
        return torch.stack(distances).argmin(dim=0)


def distinct_colours(examples: Iterable[Tensor]) -> list[Colour]:
    """Return the colours of RGB images (N,3,H,W) in [0,1], in order; raise DataError for more than 64."""
    found: set[Colour] = set()
    for image in examples:
        levels = (image * 255).round().long().permute(0, 2, 3, 1).reshape(-1, 3)
        found |= {(red, green, blue) for red, green, blue in torch.unique(levels, dim=0).tolist()}
        if len(found) > MOST_COLOURS:
            raise DataError(
                f"segmentation-score found more than {MOST_COLOURS} colours in the sources: compression or "
                "resizing has blurred them, so list those of labels in its table: colours = [[R, G, B], ...]"
            )
    return sorted(found)
