"""What most pairs are like: a few of them, spread over all, are read, and the others are held to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from i2i.kinds import PairSpec

SAMPLE = 9
"""Pairs, spread over all of them, of which the most frequent kind is what the others must be like."""

SideFiles = tuple[list[Path], list[Path]]
"""The files of a source and those of its target."""

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Seen:
    """What one pair is: its files, and the spec that it alone would have."""

    files: SideFiles
    spec: PairSpec


def places(count: int) -> tuple[list[int], Iterator[int]]:
    """Return the places of the sample among `count` pairs, and those of all the others."""
    spread = sorted({number * (count - 1) // (SAMPLE - 1) for number in range(SAMPLE)})
    return spread, (place for place in range(count) if place not in spread)


def usual(seen: Sequence[Seen], size: tuple[int, int] | None) -> tuple[PairSpec, SideFiles]:
    """Return the spec that most pairs have, at `size` or theirs, and files of each side that are like it."""
    sources = [replace(pair.spec.source, height=0, width=0) for pair in seen]
    targets = [replace(pair.spec.target, height=0, width=0) for pair in seen]
    source, target = most_frequent(sources), most_frequent(targets)
    sizes = most_frequent([(pair.spec.source.size, pair.spec.target.size) for pair in seen])
    (height, width), (target_height, target_width) = (size, size) if size else sizes
    spec = PairSpec(
        replace(source, height=height, width=width),
        replace(target, height=target_height, width=target_width),
    )
    return spec, (seen[sources.index(source)].files[0], seen[targets.index(target)].files[1])


def most_frequent(values: Sequence[T]) -> T:
    """Return the most frequent value; of several, the one that comes first."""
    return Counter(values).most_common(1)[0][0]
