"""Data sets made of another data set: without what cannot be used, its first items, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from i2i.records import PairSpec


class Usable:
    """A data set without the items that cannot be used."""

    def __init__(self, data: Any, indices: Sequence[int]) -> None:
        self._data, self._indices = data, tuple(indices)
        self.spec: PairSpec = data.spec
        self.credit: str = getattr(data, "credit", "")
        self.scale = getattr(data, "scale", None)
        if hasattr(data, "draw"):
            self.draw = self._draw

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> Any:
        return self._data[self._indices[index]]

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the items, where the data set offers them."""
        ids = self._data.ids
        return [ids[index] for index in self._indices]

    @property
    def file_sizes(self) -> Sequence[Any]:
        """The sizes of the items' files, where the data set offers them."""
        sizes = self._data.file_sizes
        return [sizes[index] for index in self._indices]

    def _draw(self, index: int, rng: Any) -> Any:
        return self._data.draw(self._indices[index], rng)


class First:
    """The first items of a data set, as a data set."""

    def __init__(self, data: Any, count: int) -> None:
        self._data, self._count = data, min(count, len(data))
        self.spec: PairSpec = data.spec

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._data[index]


class Cached:
    """A data set whose decoded items stay in memory after their first use."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._items: dict[int, Any] = {}
        self.spec: PairSpec = data.spec
        self.credit: str = getattr(data, "credit", "")
        self.scale = getattr(data, "scale", None)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        if index not in self._items:
            self._items[index] = self._data[index]
        return self._items[index]

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the items, where the data set offers them."""
        ids: Sequence[str] = self._data.ids
        return ids

    @property
    def file_sizes(self) -> Sequence[Any]:
        """The sizes of the items' files, where the data set offers them."""
        sizes: Sequence[Any] = self._data.file_sizes
        return sizes

    def fill(self, note: Callable[[str], None]) -> None:
        """Decode everything now, so that worker processes share it."""
        note(f"Decoding {len(self):,} pairs into memory.")
        for index in range(len(self)):
            self[index]
