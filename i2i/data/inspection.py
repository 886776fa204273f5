"""Reading every item of a data set, in several processes, to say what is there and what cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from i2i.data.arrival import Failed, arrive, failed
from i2i.data.duplicates import look
from i2i.data.extra import extra_of
from i2i.data.stream import check_item
from i2i.data.values import check_values, least_and_most
from i2i.errors import DataError, PluginError, Problem
from i2i.images import DEPTHS
from i2i.kinds import Data, Depth
from i2i.seeds import generator_for
from i2i.system.facts import usable_cores
from i2i.system.signals import leave_to_parent

A_BATCH = 16  # items that a process hands over at a time
WORTH_A_PROCESS = 200  # items; starting a process takes about as long as reading so many


@dataclass(frozen=True)
class ImageFacts:
    """What one image of an item is: its shape, how it is stored, and its least and greatest value."""

    channels: int
    height: int
    width: int
    depth: Depth
    least: float
    most: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Finding:
    """One item: its id and both of its images, or the problems for which it cannot be used.

    Items with the same `digest` are the same, value by value; `looks` are those of source and target.
    """

    index: int
    id: str = ""
    source: ImageFacts | None = None
    target: ImageFacts | None = None
    digest: bytes = b""
    looks: tuple[int, int] = (0, 0)
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
        digest = hashlib.blake2b(digest_size=16)
        for image in (source, target):
            digest.update(repr(tuple(image.shape)).encode())
            digest.update(image.contiguous().numpy().data)
        looks = (look(source), look(target))
        return Finding(index, item["id"], _facts(source), _facts(target), digest.digest(), looks)


def _facts(image: Tensor) -> ImageFacts:
    channels, height, width = image.shape
    return ImageFacts(channels, height, width, DEPTHS[image.dtype], *least_and_most(image))
