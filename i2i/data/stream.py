"""The stream of batches: its order a pure function of (seed, epoch), augmentation of
(seed, transform, epoch, index), whether it happens in a worker or on the device.

So a run that starts at step 1,000 sees what it would have seen had it started at step 0, and any
number of worker processes delivers the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from i2i.augmentation import apply, like, other_than, transformed
from i2i.data.arrival import Failed, arrive, failed
from i2i.data.extra import (
    Extra,
    Fields,
    check_fields,
    extra_of,
    fitted,
    image_fields,
    images_of,
    stacked,
)
from i2i.data.extra import value_fields as _values
from i2i.data.values import check_values
from i2i.errors import DataError, I2IError, PluginError
from i2i.images import DTYPES, normalise
from i2i.images.resizing import resize_side
from i2i.kind_table import asks_another
from i2i.kinds import Batch, Data, ExtraSpec, ImageSpec, Pair, PairSpec, Scale, Side, Transform
from i2i.seeds import generator_for
from i2i.slot_keys import DataSettings
from i2i.system.beside import helper, made_ahead
from i2i.system.signals import leave_to_parent

Key = tuple[int, int]
"""Epoch and index: all that an item of the training stream depends on, beside the seed."""

Item = tuple[Tensor, Tensor, str, Fields]
"""Source, target, id and further fields of one pair, ready for a batch."""


def epoch_order(count: int, *, seed: int, epoch: int) -> list[int]:
    """Return the order in which `epoch` visits `count` items."""
    order: list[int] = torch.randperm(count, generator=generator_for(seed, "order", epoch)).tolist()
    return order


@dataclass(frozen=True)
class Epochs:
    """Cuts the endless sequence of epochs into batches; the odd items at an epoch's end are left out.

    Of several processes each takes its share of every batch, of so many `shares` the one with that number.
    """

    count: int
    batch_size: int
    seed: int
    share: int = 0
    shares: int = 1

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return self.count // self.batch_size

    def keys(self, first: int, last: int) -> Iterator[list[Key]]:
        """Yield the items of the batches numbered from `first` up to `last`, counted over all epochs."""
        epoch, order = -1, []
        size = self.batch_size // self.shares
        for number in range(first, last):
            if number // self.batches != epoch:
                epoch = number // self.batches
                order = epoch_order(self.count, seed=self.seed, epoch=epoch)
            start = number % self.batches * self.batch_size + self.share * size
            yield [(epoch, index) for index in order[start : start + size]]


class TrainingPairs(Dataset[Item | Failed]):
    """The training split as the engine sees it: augmented, normalised, of one size."""

    def __init__(self, data: Data, transforms: Mapping[str, Transform], *, seed: int) -> None:
        self._data = data
        self._transforms = transforms
        self._asking = {name for name, transform in transforms.items() if asks_another(transform)}
        self._seed = seed

    def __getitem__(self, key: Key) -> Item | Failed:
        try:
            return self._item(key)
        except I2IError as error:
            return failed(error)

    def _item(self, key: Key) -> Item:
        pair, item = self._pair(key, len(self._transforms))
        return _ready(pair, item, pair.spec, extra_of(self._data))

    def _pair(self, key: Key, count: int) -> tuple[Pair, Mapping[str, Any]]:
        """Return a pair as the first `count` transforms make it, and the item that it is made of."""
        epoch, index = key
        if hasattr(self._data, "draw"):
            item = self._data.draw(index, generator_for(self._seed, "draw", epoch, index))
        else:
            item = self._data[index]
        spec: PairSpec = self._data.spec
        pair = as_pair(item, spec, extra_of(self._data))
        for place, (name, transform) in enumerate(islice(self._transforms.items(), count)):
            rng = generator_for(self._seed, "augment", name, epoch, index)
            others = partial(self._another, pair, key, place, rng) if name in self._asking else None
            pair = apply(name, transform, pair, size=spec.target.size, rng=rng, another=others)
        return replace(pair, spec=spec), item

    def _another(self, pair: Pair, key: Key, count: int, rng: torch.Generator) -> Pair:
        """Return another, drawn by `rng`, as the first `count` transforms make it, as large as `pair`."""
        epoch, index = key
        other, _ = self._pair((epoch, other_than(index, len(self._data), rng)), count)
        return like(other, pair)


class HeldOutPairs:
    """A split as it is evaluated, without augmentation: resized to the size of the data.

    At the `scale` "own" pairs come whole, at the target's own size; where they are not aligned, as the middle
    that both sides fill, since no other size would leave each at its scale.
    """

    def __init__(self, data: Data, *, scale: Scale = "shrunk") -> None:
        self._data = data
        self._scale = scale

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Item:
        item, spec = self._data[index], self._data.spec
        extra = extra_of(self._data)
        pair = as_pair(item, spec, extra)
        if self._scale == "own" and not spec.aligned:
            common = _common(pair)
            fields = {name: _middle(field, common) for name, field in pair.extra.items()}
            return (
                _middle(pair.source, common),
                _middle(pair.target, common),
                item["id"],
                _values(item, extra) | fields,
            )
        if self._scale == "own":
            size = (pair.target.shape[-2], pair.target.shape[-1])
            source = resize_side(pair.source, size, spec.source)
            return source, pair.target, item["id"], {**_values(item, extra), **pair.extra}
        return _ready(pair, item, spec, extra)

    def spread(self, count: int) -> list[Item]:
        """Return `count` pairs, spread evenly over the split, all of the size of the data.

        Of pairs at their own scale that is a window from the middle.
        """
        count = min(count, len(self))
        return [self._window(self[place * len(self) // count]) for place in range(count)]

    def _window(self, item: Item) -> Item:
        source, target, name, fields = item
        spec, images = self._data.spec, images_of(extra_of(self._data))
        fields = {
            key: _window(value, replace(spec.target, labels=True)) if key in images else value
            for key, value in fields.items()
        }
        return _window(source, spec.source), _window(target, spec.target), name, fields


def _ready(pair: Pair, item: Mapping[str, Any], spec: PairSpec, extra: Extra) -> Item:
    """Return a pair at the size of the data, with the id of its item and its further fields."""
    fields = _values(item, extra) | fitted(pair.extra, spec.target.size)
    return _fitted(pair.source, spec.source), _fitted(pair.target, spec.target), item["id"], fields


def as_pair(item: Any, spec: PairSpec, extra: Mapping[str, ExtraSpec] = {}) -> Pair:
    """Return an item of a data set with both sides as float32 in [-1,1], and with its `extra` images.

    Raises DataError when its channels, its depth or its values are not what the data set said.
    """
    check_item(item, spec, extra)
    check_values(item, spec)
    target = normalise(item["target"], spec.target)
    size = (target.shape[-2], target.shape[-1])
    return Pair(normalise(item["source"], spec.source), target, spec, image_fields(item, extra, size))


def check_item(item: Any, spec: PairSpec, extra: Mapping[str, ExtraSpec] = {}) -> None:
    """Raise PluginError for what is no item, DataError for other channels or another depth than said."""
    sides: tuple[Side, Side] = ("source", "target")
    if not isinstance(item, Mapping) or not item.keys() >= {*sides, "id"}:
        told = (
            f"with {', '.join(map(str, item))}" if isinstance(item, Mapping) else f"a {type(item).__name__}"
        )
        raise PluginError(f"an item of the data is {told}, and has to be a mapping of source, target and id.")
    for side in sides:
        image, said = item[side], spec.side(side)
        if not isinstance(image, Tensor) or image.dim() != 3:
            told = f"of shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise PluginError(f"the {side} of '{item['id']}' is {told}, and has to be a tensor (C,H,W).")
        if (image.shape[0], image.dtype) != (said.channels, DTYPES[said.depth]):
            raise DataError(
                f"the {side} of '{item['id']}' has {image.shape[0]} channels of {image.dtype}, and the "
                f"data set says {said.channels} of {said.depth}."
            )
    check_fields(item, extra)


def _fitted(image: Tensor, spec: ImageSpec) -> Tensor:
    if tuple(image.shape[-2:]) == spec.size:
        return image
    return resize_side(image, spec.size, spec)


def _window(image: Tensor, spec: ImageSpec) -> Tensor:
    """Return the middle of an image, at the size of `spec`; a smaller one is enlarged until it fills it."""
    height, width = image.shape[-2:]
    factor = max(1.0, spec.height / height, spec.width / width)
    whole = max(spec.height, round(height * factor)), max(spec.width, round(width * factor))
    return _middle(resize_side(image, whole, spec), spec.size)


def _middle(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle of an image, of a size that it has or exceeds."""
    top, left = ((whole - wanted) // 2 for whole, wanted in zip(image.shape[-2:], size, strict=True))
    return image[..., top : top + size[0], left : left + size[1]]


def _common(pair: Pair) -> tuple[int, int]:
    """Return the height and the width that both sides of a pair have."""
    return (
        min(pair.source.shape[-2], pair.target.shape[-2]),
        min(pair.source.shape[-1], pair.target.shape[-1]),
    )


def collate(items: Sequence[Item]) -> Batch:
    """Stack items to a batch."""
    sources, targets, ids, fields = zip(*items, strict=True)
    return Batch(torch.stack(sources), torch.stack(targets), ids, stacked(fields, ids))


def _collate_or_failed(items: Sequence[Item | Failed]) -> Batch | Failed:
    sound = [item for item in items if not isinstance(item, Failed)]
    return next((item for item in items if isinstance(item, Failed)), None) or collate(sound)


def training_batches(
    data: Data,
    transforms: Mapping[str, Transform],
    settings: DataSettings,
    *,
    seed: int,
    first: int,
    last: int,
    on_device: Mapping[str, Transform] = {},
    place: Callable[[Batch], Batch] = lambda batch: batch,
    share: int = 0,
    shares: int = 1,
) -> Iterator[Batch]:
    """Yield the batches numbered from `first` up to `last`, in `settings.workers` processes if any.

    `place` brings a batch to the device, where the transforms of `on_device` follow those of the loading.
    They draw what they would draw there, so that for pairs of one size the place makes no difference. Of so
    many `shares` of each batch that with the number `share` is loaded.
    """
    epochs = Epochs(len(data), settings.batch_size, seed, share, shares)
    loader = DataLoader(
        TrainingPairs(data, transforms, seed=seed),
        batch_sampler=epochs.keys(first, last),
        num_workers=settings.workers,
        collate_fn=_collate_or_failed,
        worker_init_fn=leave_to_parent,
        pin_memory=torch.cuda.is_available(),
        # Without a generator of its own, a loader draws from torch's global one.
        generator=generator_for(seed, "loader"),
    )
    for batch, keys in zip(loader, epochs.keys(first, last), strict=True):
        if isinstance(batch, Failed):
            arrive(batch)
        placed = place(batch)
        yield place(_augmented(placed, data, on_device, keys, seed=seed)) if on_device else placed


def _augmented(
    batch: Batch, data: Data, transforms: Mapping[str, Transform], keys: Sequence[Key], *, seed: int
) -> Batch:
    def rng(name: str, place: int) -> torch.Generator:
        return generator_for(seed, "augment", name, *keys[place])

    images = {name: batch.extra[name] for name in images_of(extra_of(data))}
    source, target, moved = transformed(batch.source, batch.target, data.spec, transforms, rng, extra=images)
    return Batch(source, target, batch.ids, {**batch.extra, **moved})


def held_out_batches(
    data: Data, settings: DataSettings, *, limit: int | None = None, scale: Scale = "shrunk"
) -> Iterator[Batch]:
    """Yield the whole split, or its first `limit` items, in order; a batch holds pairs of one size.

    While one is made use of, the next is read in another thread.
    """
    pairs = HeldOutPairs(data, scale=scale)
    count = len(pairs) if limit is None else min(limit, len(pairs))
    batch: list[Item] = []
    most = settings.batch_size + 1
    with (
        helper() as reader,
        closing(made_ahead(reader, pairs.__getitem__, range(count), most=lambda _: most)) as ahead,
    ):
        for item in ahead:
            if batch and batch[0][1].shape != item[1].shape:
                yield collate(batch)
                batch = []
            batch.append(item)
            if len(batch) == settings.batch_size:
                yield collate(batch)
                batch = []
    if batch:
        yield collate(batch)
