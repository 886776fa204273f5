"""Segmentation score: can a segmenter that knows only real photos read the labels off a translated one?

The FCN score of Isola et al. 2017, section 4.1: if a photo made from labels looks real, a network trained
on real photos finds the labels in it again. The paper's network, FCN-8s trained on Cityscapes, is not used
here: a small one is trained on the data set at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge

from i2i.core.metrics.labels import Labels
from i2i.core.metrics.segmenter import train
from i2i.errors import DataError
from i2i.images import as_saved, normalise, resize
from i2i.kinds import Colour
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Direction, ImageSpec


class SegmentationScore:
    """Labels found again in translated photos by a small segmenter that was trained on the real ones.

    Over all pixels of the split: `pixel_accuracy`, the share of pixels whose label is found;
    `class_accuracy`, the mean of that share over the classes that occur; `class_iou`, their mean
    intersection over union. The `_ceiling` of each is what the real photos of the same split score, and
    the most to expect. i2i trains the segmenter on this data, so these figures are not comparable with the
    paper's, nor with those of another data set or another size.

    Args:
        colours: the label colours as [R, G, B], where sources are colour images; by default all distinct
            colours of the training sources.
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

    def __init__(
        self,
        *,
        colours: tuple[Colour, ...] = (),
        size: Annotated[int, Ge(16)] = 128,
        width: Count = 16,
        epochs: Count = 20,
        pairs: Count = 1000,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self._colours, self._size, self._width = colours, size, width
        self._epochs, self._pairs, self._seed = epochs, pairs, seed

    def prepare(self, train_data: Any) -> None:
        """Train the segmenter on the training split; raise DataError where its sources show no labels."""
        sources = (source for source, _ in self._seen(train_data))
        self._labels = Labels(train_data.spec.source, self._colours, sources)
        pairs = [
            ((self._reduced(photo) * 255).round().to(torch.uint8), self._classes(source))
            for source, photo in self._seen(train_data)
        ]
        photos, labels = (torch.cat(side) for side in zip(*pairs, strict=True))
        self._network = train(
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
        self._on_fake: Tensor | None = None
        self._on_real: Tensor | None = None

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> Mapping[str, Tensor]:
        """Count a batch in and return the pixel accuracy of each translation, (B,), over its draws."""
        truth = self._classes(source)
        draws = fake.reshape(-1, *real.shape)
        found = torch.stack([self._read(draw) for draw in draws])
        self._on_fake = self._count(self._on_fake, found, truth.expand_as(found))
        self._on_real = self._count(self._on_real, self._read(real), truth)
        return {"pixel_accuracy": (found == truth).float().mean(dim=(0, 2, 3))}

    def compute(self) -> Mapping[str, float]:
        """Return the figures over all images since `reset`, and their ceilings."""
        if self._on_fake is None or self._on_real is None:
            raise DataError(
                "segmentation-score has no image to count: score at least one before computing it"
            )
        ceilings = {f"{name}_ceiling": value for name, value in scores(self._on_real).items()}
        return scores(self._on_fake) | ceilings

    def _seen(self, data: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield sources and photos of the chosen pairs as metrics see them, each (1,C,H,W)."""
        count = min(self._pairs, len(data))
        for place in range(count):
            item, spec = data[place * len(data) // count], data.spec
            yield _judged(item["source"], spec.source), _judged(item["target"], spec.target)

    def _classes(self, source: Tensor) -> Tensor:
        """Return the class of each pixel at the size that photos are judged at, (B,h,w) uint8."""
        labels = self._labels(source)
        size = self._judged_size(source)
        return resize(labels[:, None].float(), size, labels=True)[:, 0].round().to(torch.uint8)

    def _reduced(self, photo: Tensor) -> Tensor:
        return resize(photo, self._judged_size(photo), labels=False)

    def _judged_size(self, image: Tensor) -> tuple[int, int]:
        height, width = image.shape[-2:]
        scale = min(1.0, self._size / min(height, width))
        return round(height * scale), round(width * scale)

    def _read(self, photo: Tensor) -> Tensor:
        found: Tensor = self._network(self._reduced(photo)).argmax(dim=1).to(torch.uint8)
        return found

    def _count(self, so_far: Tensor | None, found: Tensor, truth: Tensor) -> Tensor:
        """Add pixels to a table of (true class, found class)."""
        classes = self._labels.classes
        places = truth.flatten().long() * classes + found.flatten().long()
        counts = torch.bincount(places, minlength=classes**2).reshape(classes, classes)
        return counts if so_far is None else so_far + counts


def scores(table: Tensor) -> dict[str, float]:
    """Return the three figures of a table of pixels (true class, found class), of classes that occur."""
    pixels = table.double()
    hits, true, found = pixels.diagonal(), pixels.sum(dim=1), pixels.sum(dim=0)
    there = true > 0
    return {
        "pixel_accuracy": (hits.sum() / pixels.sum()).item(),
        "class_accuracy": (hits / true)[there].mean().item(),
        "class_iou": (hits / (true + found - hits))[there].mean().item(),
    }


def _judged(stored: Tensor, spec: ImageSpec) -> Tensor:
    """Return an image of a data set (C,H,W) as metrics see it: (1,C,h,w) in [0,1], of the size of `spec`."""
    image = resize(normalise(stored, spec), spec.size, labels=spec.labels)
    return as_saved(image[None], spec)
