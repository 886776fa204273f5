"""Data sets made of another data set: named where it fails, without what cannot be used, its first items, its
sides exchanged, its pairs taken apart, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from i2i.building.blame import Suspect
from i2i.errors import DataError
from i2i.images import quantise
from i2i.kinds import Data
from i2i.records import GeneratorSlot, PairSpec

OPTIONAL = (
    "credit",
    "draw",
    "extra",
    "file_sizes",
    "ids",
    "layout",
    "notes",
    "optima",
    "problems",
    "scale",
    "unchanged_spec",
)
"""What a data set may have beside its spec, its length and its items."""

OF_EACH = ("file_sizes", "ids")
"""Those of them that have a value for each item."""


BESIDE_PIXELS = 1400
"""Bytes that an item takes beside its pixels: two tensors, a mapping and a name."""


def bytes_of(item: Mapping[str, Any]) -> int:
    """Return about what an item takes in memory."""
    return BESIDE_PIXELS + sum(value.nbytes for value in item.values() if isinstance(value, torch.Tensor))


class View:
    """A data set that shows another one: the same spec, and what it has of the optional attributes."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self.spec: PairSpec = data.spec

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        return self._data[self._place(index)]

    def __getattr__(self, name: str) -> Any:
        if name not in OPTIONAL:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        found = getattr(self._data, name)
        if name in OF_EACH and isinstance(found, Sequence) and len(found) == len(self._data):
            return [found[self._place(index)] for index in range(len(self))]
        return self._draw if name == "draw" else found

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        data: Any = self._data
        item: Mapping[str, Any] = data.draw(self._place(index), rng)
        return item

    def _place(self, index: int) -> int:
        """Return where the item at `index` is in the data set that is shown."""
        return index


class Blamed(View):
    """A data set that is named where it fails: in the item's own code, in whichever process that runs."""

    def __init__(self, data: Data, suspect: Suspect) -> None:
        super().__init__(data)
        self._suspect = suspect

    def __len__(self) -> int:
        with self._suspect.named():
            return len(self._data)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        with self._suspect.named():
            return self._data[index]

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        with self._suspect.named():
            return super()._draw(index, rng)


TRIES = 100
"""Draws of an item after which none is expected to be usable."""


class Usable(View):
    """A data set without the items that cannot be used; what is drawn and cannot be used is drawn anew."""

    def __init__(self, data: Data, indices: Sequence[int]) -> None:
        super().__init__(data)
        self._indices = tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def _place(self, index: int) -> int:
        return self._indices[index]

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        for _ in range(TRIES - 1):
            with suppress(DataError):
                return super()._draw(index, rng)
        return super()._draw(index, rng)


class First(View):
    """The first items of a data set, as a data set."""

    def __init__(self, data: Data, count: int) -> None:
        super().__init__(data)
        self._count = min(count, len(data))

    def __len__(self) -> int:
        return self._count

    def _place(self, index: int) -> int:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return index


class Turned(View):
    """A data set with its sides exchanged, as a generator from target to source sees it."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.spec = PairSpec(data.spec.target, data.spec.source, data.spec.aligned)

    def __getattr__(self, name: str) -> Any:
        if name == "optima":
            raise AttributeError("the best answers that a data set knows are of its targets")
        return super().__getattr__(name)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        return _turned(self._data[index])

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        return _turned(super()._draw(index, rng))


def _turned(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**item, "source": item["target"], "target": item["source"]}


def seen_by(role: GeneratorSlot, data: Data) -> Data:
    """Return a data set with the side that a generator writes as its target."""
    return Turned(data) if role.writes == "source" else data


class Unpaired(View):
    """Pairs to train on as if they were none: beside each source stands any target, drawn anew each time.

    Read by an index, its items are the pairs that they were.
    """

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.spec = replace(data.spec, aligned=False)
        # An attribute that the pairs lack; its presence is what makes the engine draw in training.
        self.draw = self._drawn

    def _drawn(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        place = int(torch.randint(len(self), (), generator=rng))
        return {**self._data[index], "target": self._data[place]["target"]}


class PartOfTarget(View):
    """A data set whose target is one part of another's, that of the `channels`, and else is the same."""

    def __init__(self, data: Data, channels: slice) -> None:
        super().__init__(data)
        whole = data.spec.target
        self._channels = channels
        self._stored_alike = all(
            (file.depth, file.low, file.high) == (whole.depth, whole.low, whole.high) for file in whole.files
        )
        places = {whole.channels_of(part.name).start: part.name for part in whole.parts}
        self._target = whole.part(places[channels.start])
        self.spec = replace(data.spec, target=self._target)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        return self._of_part(super().__getitem__(index))

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name != "optima":
            return found
        return {kind: picture[self._channels] for kind, picture in found.items()}

    def _draw(self, index: int, rng: torch.Generator) -> Mapping[str, Any]:
        return self._of_part(super()._draw(index, rng))

    def _of_part(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        target = item["target"][self._channels]
        return {**item, "target": target if self._stored_alike else quantise(target, self._target)}


class Cached(View):
    """A data set whose decoded items stay in memory after their first use."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._items: dict[int, Mapping[str, Any]] = {}

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        if index not in self._items:
            self._items[index] = self._data[index]
        return self._items[index]

    def bytes_to_come(self) -> int:
        """Return what the items that are not decoded yet will take, if they are as those that are."""
        taken = sum(map(bytes_of, self._items.values()))
        return taken * (len(self) - len(self._items)) // max(1, len(self._items))

    def fill(self, note: Callable[[str], None]) -> None:
        """Decode everything now, so that worker processes share it."""
        note(f"Decoding {len(self):,} pairs into memory.")
        for index in range(len(self)):
            self[index]
