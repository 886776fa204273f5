"""Segmentation score: can a segmenter that knows only real photos read the labels off a translated one?

The FCN score of Isola et al. 2017, section 4.1: if a photo made from labels looks real, a network trained
on real photos finds the labels in it again. The paper's network, FCN-8s trained on Cityscapes, is not used
here: a small one is trained on the data set at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge

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
from i2i.core.metrics.segmenter import trained
from i2i.errors import DataError
from i2i.images import resize
from i2i.kinds import Colour
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Data, Direction


class SegmentationScore:
    """Labels found again in translated photos by a small segmenter that was trained on the real ones.

    Over all pixels of the split whose label is known: `pixel_accuracy`, the share of pixels whose label is
    found; `class_accuracy`, the mean of that share over the classes that occur; `class_iou`, their mean
    intersection over union. The `_ceiling` of each is what the real photos of the same split score, and
    the most to expect. Where labels are colours, a pixel whose colour lies beyond the tolerance from all of
    them is doubtful: it is neither learnt from nor scored, and `doubtful_pixels` is the share of these. i2i
    trains the segmenter on this data, once, and keeps it in the cache folder; so these figures are not
    comparable with the paper's, nor with those of another data set or another size.

    Args:
        colours: the label colours as [R, G, B], where sources are colour images; by default all distinct
            colours of the training sources.
        tolerance: how far a pixel may lie from the nearest label colour and still count as it, in levels of
            255: the Euclidean distance in RGB.
        most_doubtful: the share of doubtful pixels above which the data is refused.
        size: photos whose shorter side is longer than this are reduced to it before they are judged.
        width: channels of the segmenter at half size.
        epochs: how often it sees the training photos.
        pairs: the most training pairs to use, spread evenly over the split.
        seed: decides its initial weights and the order of training.
    """

    directions: Mapping[str, Direction] = {
        "pixel_accuracy": "max",
        "class_accuracy": "max",
        "class_iou": "max",
    }
    references: tuple[str, ...] = (*(f"{name}_ceiling" for name in directions), "doubtful_pixels")
    requires = needs_pairs("segmentation-score")

    def __init__(
        self,
        *,
        colours: tuple[Colour, ...] = (),
        tolerance: Tolerance = TOLERANCE,
        most_doubtful: Share = MOST_DOUBTFUL,
        size: Annotated[int, Ge(16)] = 128,
        width: Count = 16,
        epochs: Count = 20,
        pairs: Count = 1000,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        check_colours(colours)
        self._colours, self._tolerance, self._most_doubtful = colours, tolerance, most_doubtful
        self._size, self._width = size, width
        self._epochs, self._pairs, self._seed = epochs, pairs, seed

    def prepare(self, train_data: Data) -> None:
        """Train the segmenter on the training split; raise DataError where its sources show no labels."""
        self._labels = Labels(
            "source",
            train_data.spec.source,
            metric="segmentation-score",
            colours=self._colours,
            tolerance=self._tolerance,
            most_doubtful=self._most_doubtful,
            examples=(source for source, _ in self._seen(train_data)),
        )
        pairs = [
            ((self._reduced(photo) * 255).round().to(torch.uint8), self._classes(source))
            for source, photo in self._seen(train_data)
        ]
        photos, labels = (torch.cat(side) for side in zip(*pairs, strict=True))
        self._labels.check((labels == DOUBTFUL).double().mean().item(), images="training pairs")
        self._network = trained(
            photos,
            labels,
            classes=self._labels.classes,
            width=self._width,
            epochs=self._epochs,
            seed=self._seed,
        )
        self.reset()

    def reset(self) -> None:
        """Forget all images, not what was learnt."""
        self._on_fake, self._on_real = (Confusion(self._labels.classes) for _ in range(2))

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> Mapping[str, Tensor]:
        """Count a batch in and return the pixel accuracy of each translation, (B,), over its draws."""
        truth = self._classes(source)
        draws = fake.reshape(-1, *real.shape)
        self._on_real.add(self._read(real)[None], truth)
        return {"pixel_accuracy": self._on_fake.add(torch.stack([self._read(draw) for draw in draws]), truth)}

    def compute(self) -> Mapping[str, float]:
        """Return the figures over all images since `reset`, and their ceilings.

        Raises DataError where there was no image, or where too many pixels are doubtful.
        """
        if not self._on_real.pixels:
            raise DataError(
                "segmentation-score has no image to count: score at least one before computing it"
            )
        doubtful = self._on_real.unknown
        self._labels.check(doubtful, images="scored pairs")
        figures, ceilings = self._on_fake.scores(), self._on_real.scores()
        beside = {
            figure: value
            for name in figures
            for figure, value in ((name, figures[name]), (f"{name}_ceiling", ceilings[name]))
        }
        return beside | {"doubtful_pixels": doubtful}

    def _seen(self, data: Data) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield sources and photos of the chosen pairs as metrics see them, each (1,C,H,W)."""
        for item in spread(data, self._pairs):
            yield (
                as_metrics_see(item["source"], data.spec.source),
                as_metrics_see(item["target"], data.spec.target),
            )

    def _classes(self, source: Tensor) -> Tensor:
        """Return the class of each pixel at the size that photos are judged at, (B,h,w) int16."""
        labels = self._labels(source)
        size = self._judged_size(source)
        return resize(labels[:, None].float(), size, labels=True)[:, 0].round().to(torch.int16)

    def _reduced(self, photo: Tensor) -> Tensor:
        return resize(photo, self._judged_size(photo), labels=False)

    def _judged_size(self, image: Tensor) -> tuple[int, int]:
        height, width = image.shape[-2:]
        scale = min(1.0, self._size / min(height, width))
        return round(height * scale), round(width * scale)

    def _read(self, photo: Tensor) -> Tensor:
        """Return the class that the segmenter finds in each pixel, (B,h,w)."""
        found: Tensor = self._network(self._reduced(photo)).argmax(dim=1)
        return found
