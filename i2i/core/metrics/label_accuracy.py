"""Label accuracy: the figures of semantic segmentation, where the translation itself is a map of labels.

Isola et al. 2017, section 4.1 and table 6, which translates photos to labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i.core.metrics.confusion import Confusion
from i2i.core.metrics.labels import (
    DOUBTFUL,
    MOST_DOUBTFUL,
    TOLERANCE,
    Labels,
    Share,
    Tolerance,
    as_metrics_see,
    check_colours,
    spread,
)
from i2i.core.metrics.pixel import needs_pairs
from i2i.errors import DataError
from i2i.kinds import Colour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Data, Direction

LOOKED_AT = 1000
"""Training targets in which label colours are looked up, or compared with those that are given, at most."""


class LabelAccuracy:
    """Labels of the translations beside the true ones, where targets are label maps or colours for labels.

    Over all pixels of the split whose true label is known: `pixel_accuracy`, the share of pixels of the true
    label; `class_accuracy`, the mean of that share over the classes that occur; `class_iou`, their mean
    intersection over union. Where labels are colours, a pixel of a translation is of the nearest one, however
    far; a true pixel that lies beyond the tolerance from all of them is doubtful and not scored, and
    `doubtful_pixels` is the share of these.

    Args:
        colours: the label colours as [R, G, B], where targets are colour images; by default all distinct
            colours of the training targets.
        tolerance: how far a true pixel may lie from the nearest label colour and still count as it, in levels
            of 255: the Euclidean distance in RGB.
        most_doubtful: the share of doubtful pixels above which the data is refused.
    """

    directions: Mapping[str, Direction] = {
        "pixel_accuracy": "max",
        "class_accuracy": "max",
        "class_iou": "max",
    }
    references: tuple[str, ...] = ("doubtful_pixels",)
    requires = needs_pairs("label-accuracy")

    def __init__(
        self,
        *,
        colours: tuple[Colour, ...] = (),
        tolerance: Tolerance = TOLERANCE,
        most_doubtful: Share = MOST_DOUBTFUL,
    ) -> None:
        check_colours(colours)
        self._colours, self._tolerance, self._most_doubtful = colours, tolerance, most_doubtful

    def prepare(self, train_data: Data) -> None:
        """Learn what the labels are; raise DataError where the targets show none or too few."""
        spec = train_data.spec.target

        def targets() -> Iterator[Tensor]:
            return (as_metrics_see(item["target"], spec) for item in spread(train_data, LOOKED_AT))

        self._labels = Labels(
            "target",
            spec,
            metric="label-accuracy",
            colours=self._colours,
            tolerance=self._tolerance,
            most_doubtful=self._most_doubtful,
            examples=targets(),
        )
        if self._colours and not spec.one_hot:  # those that were looked up are all there are
            doubtful = [(self._labels(target) == DOUBTFUL).double().mean().item() for target in targets()]
            self._labels.check(sum(doubtful) / len(doubtful), images="training pairs")
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._counted = Confusion(self._labels.classes)

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> Mapping[str, Tensor]:
        """Count a batch in and return the pixel accuracy of each translation, (B,), over its draws."""
        draws = fake.reshape(-1, *real.shape)
        answers = self._labels.answered(draws.flatten(0, 1)).reshape(*draws.shape[:2], *real.shape[2:])
        return {"pixel_accuracy": self._counted.add(answers, self._labels(real))}

    def compute(self) -> Mapping[str, float]:
        """Return the figures over all images since `reset`.

        Raises DataError where there was no image, or where too many pixels are doubtful.
        """
        if not self._counted.pixels:
            raise DataError("label-accuracy has no image to count: score at least one before computing it")
        self._labels.check(self._counted.unknown, images="scored pairs")
        return self._counted.scores() | {"doubtful_pixels": self._counted.unknown}
