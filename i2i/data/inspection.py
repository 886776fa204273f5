"""Reading every item of a data set, in several processes, to say what is there and what cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from i2i.data.arrival import Failed, arrive, failed
from i2i.data.belonging import Edges, edges, is_compared
from i2i.data.duplicates import look
from i2i.data.extra import extra_of
from i2i.data.stream import check_item
from i2i.data.values import check_values, least_and_most
from i2i.errors import DataError, PluginError, Problem
from i2i.images import DEPTHS, by_file
from i2i.kinds import Data, Depth, ImageSpec
from i2i.seeds import generator_for
from i2i.system.facts import usable_cores
from i2i.system.signals import leave_to_parent

A_BATCH = 16  # items that a process hands over at a time
WORTH_A_PROCESS = 200  # items; starting a process takes about as long as reading so many


@dataclass(frozen=True)
class ImageFacts:
    """What one image of an item is: its shape, how it is stored, and its least and greatest value.

    Of a side of several files `parts` are what each of them is, in the values that it stores.
    """

    channels: int
    height: int
    width: int
    depth: Depth
    least: float
    most: float
    parts: tuple[ImageFacts, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def by_part(self, spec: ImageSpec) -> list[tuple[str, ImageFacts]]:
        """Return the facts of each file of the side of `spec`, with the part's name: "" for the only one."""
        if not spec.parts:
            return [("", self)]
        return [(part.name, facts) for part, facts in zip(spec.parts, self.parts, strict=True)]


@dataclass(frozen=True)
class Finding:
    """One item: its id and both of its images, or the problems for which it cannot be used.

    Items with the same `digests` of source and target are the same, value by value; `looks` and `edges` are
    those of source and target, the latter of some items only.
    """

    index: int
    id: str = ""
    source: ImageFacts | None = None
    target: ImageFacts | None = None
    digests: tuple[bytes, bytes] = (b"", b"")
    looks: tuple[int, int] = (0, 0)
    edges: tuple[Edges, Edges] | None = None
    problems: tuple[Problem, ...] = ()


def inspect(data: Data) -> Iterator[Finding]:
    """Yield a finding for each item of `data`, in order; PluginError where the data set itself fails."""
    processes = min(usable_cores(), len(data) // WORTH_A_PROCESS)
    loader = DataLoader(
        _Findings(data),
        batch_size=A_BATCH,
        num_workers=processes if processes > 1 else 0,
        collate_fn=list,
        worker_init_fn=leave_to_parent,
        generator=generator_for(0, "inspection"),
    )
    for findings in loader:
        for finding in findings:
            if isinstance(finding, Failed):
                arrive(finding)
            yield finding


class _Findings(Dataset[Finding | Failed]):
    def __init__(self, data: Data) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Finding | Failed:
        try:
            item = self._data[index]
            check_item(item, self._data.spec, extra_of(self._data))
            check_values(item, self._data.spec)
        except DataError as error:
            return Finding(index, problems=error.problems)
        except PluginError as error:
            return failed(error)
        source, target = item["source"], item["target"]
        looks = (look(source), look(target))
        both = (edges(source), edges(target)) if is_compared(index, len(self)) else None
        spec = self._data.spec
        facts = facts_of(source, spec.source), facts_of(target, spec.target)
        return Finding(index, item["id"], *facts, (_digest(source), _digest(target)), looks, both)


def _digest(image: Tensor) -> bytes:
    digest = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
    digest.update(image.contiguous().numpy().data)
    return digest.digest()


def facts_of(image: Tensor, spec: ImageSpec) -> ImageFacts:
    """Return what a stored image (C,H,W) of a side is, and each of its parts."""
    channels, height, width = image.shape
    parts = tuple(_part(piece, file, spec) for file, piece in by_file(image, spec)) if spec.parts else ()
    return ImageFacts(channels, height, width, DEPTHS[image.dtype], *least_and_most(image), parts)


def _part(piece: Tensor, file: ImageSpec, side: ImageSpec) -> ImageFacts:
    """Return what a part of a stored `side` is, in its own values, wherever the side's go from -1 to 1."""
    facts = facts_of(piece, file)
    if (file.depth, file.low, file.high) == (side.depth, side.low, side.high):
        return facts
    shares = ((bound - side.low) / (side.high - side.low) for bound in (facts.least, facts.most))
    least, most = (file.low + share * (file.high - file.low) for share in shares)
    if file.depth != "float32":  # float32 holds every whole number of 16 bits, and rounding left it near
        least, most = round(least), round(most)
    return replace(facts, depth=file.depth, least=least, most=most)
