"""Pairs that are in a data set more than once: the same value by value, and nearly the same by their look.

The look of an image is its dHash: grey, shrunk to 9x8 pixels, one bit for each pixel that is brighter than
its right neighbour. Two pairs are nearly the same where the 128 bits of source and target differ in six at
most. What is in several splits makes figures look better than they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

ALIKE = 6
"""Bits out of 128 in which two pairs that are nearly the same may differ."""

TELLING = 10
"""Bits that must be set in the look of each source: of a nearly plain picture it says too little."""

MOST = 20_000
"""Pairs up to which each is compared with each."""

TOLD = 3
"""Groups that are spelled out before the others are only counted."""


def look(image: Tensor) -> int:
    """Return the dHash of an image (C,H,W), 64 bits; a stack of classes is looked at by its class numbers."""
    values = image.to(torch.float32)
    classes = bool((values.sum(0) == 1).all()) and len(values) > 1
    grey = values.argmax(0).to(torch.float32) if classes else values.mean(0)
    small = interpolate(grey[None, None], size=(8, 9), mode="area")[0, 0]
    brighter = (small[:, :-1] > small[:, 1:]).flatten().tolist()
    return sum(1 << place for place, is_set in enumerate(brighter) if is_set)


@dataclass
class Doubles:
    """Takes the pairs of all splits, and tells which of them are the same or nearly so."""

    _names: list[str] = field(default_factory=list)
    _splits: list[str] = field(default_factory=list)
    _looks: list[tuple[int, int]] = field(default_factory=list)
    _exact: dict[bytes, list[int]] = field(default_factory=dict)

    def add(self, split: str, name: str, digest: bytes, looks: tuple[int, int]) -> None:
        """Take in one pair: its digest, and the looks of its source and its target."""
        self._exact.setdefault(digest, []).append(len(self._names))
        self._names.append(f"{name} ({split})")
        self._splits.append(split)
        self._looks.append(looks)

    def remarks(self) -> Iterator[str]:
        """Yield a sentence for each kind of doubles that there is; those in several splits come first."""
        exact = [group for group in self._exact.values() if len(group) > 1]
        yield from self._told(exact, "the same pair, value by value")
        yield from self._told(self._near(), "nearly the same pair, by dHash of source and target")

    def _told(self, groups: Sequence[Sequence[int]], what: str) -> Iterator[str]:
        across = sorted(groups, key=lambda group: len({self._splits[place] for place in group}) == 1)
        for group in across[:TOLD]:
            names = [self._names[place] for place in group]
            more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
            yield f"{what}: {', '.join(names[:6])}{more}"
        if len(groups) > TOLD:
            several = sum(len({self._splits[place] for place in group}) > 1 for group in groups)
            yield f"{what}: {len(groups):,} times in all, {several:,} of them across splits"

    def _near(self) -> list[list[int]]:
        """Return the groups of pairs that look alike; of those that are the same only the first counts."""
        firsts = [group[0] for group in self._exact.values()]
        places = [place for place in firsts if self._looks[place][0].bit_count() >= TELLING]
        if len(places) > MOST:
            return []
        looks = np.array([self._looks[place] for place in places], np.uint64).reshape(-1, 2)
        groups: dict[int, list[int]] = {}
        taken: set[int] = set()
        for row in range(len(places)):
            if row in taken:
                continue
            apart = np.bitwise_count(looks[row + 1 :] ^ looks[row]).sum(axis=1, dtype=int)
            alike = [row + 1 + int(other) for other in np.flatnonzero(apart <= ALIKE)]
            if alike := [other for other in alike if other not in taken]:
                taken.update(alike)
                groups[row] = [places[row], *(places[other] for other in alike)]
        return list(groups.values())
