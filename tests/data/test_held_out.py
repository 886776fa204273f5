"""Held-out pairs are read beside the one who scores them: in order, not too many, their errors as ever."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import torch

from i2i.data.stream import HeldOutPairs, collate, held_out_batches
from i2i.errors import DataError
from i2i.records import ImageSpec, PairSpec
from i2i.slot_keys import DataSettings


class Pairs:
    """Ten pairs, the last three of another size; `bad` cannot be had."""

    spec = PairSpec(ImageSpec(1, 4, 4), ImageSpec(1, 4, 4))

    def __init__(self, bad: int | None = None) -> None:
        self.bad = bad
        self.read: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index == self.bad:
            raise DataError(f"{index} is torn")
        image = torch.full((1, 4, 4 if index < 7 else 6), index, dtype=torch.uint8)
        self.read.append(index)
        return {"source": image, "target": 255 - image, "id": str(index)}


def settings(batch_size: int) -> DataSettings:
    return DataSettings(batch_size=batch_size)


def test_batches_are_those_that_one_thread_alone_would_stack():
    found = list(held_out_batches(Pairs(), settings(3), scale="own"))
    alone = HeldOutPairs(Pairs(), scale="own")
    wanted = [collate([alone[i] for i in places]) for places in ((0, 1, 2), (3, 4, 5), (6,), (7, 8, 9))]
    assert [batch.ids for batch in found] == [batch.ids for batch in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.target, other.target)


def test_the_next_batch_is_read_while_one_is_made_use_of_and_no_more():
    data = Pairs()
    batches = held_out_batches(data, settings(2))
    next(batches)
    deadline = time.monotonic() + 10
    while len(data.read) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert data.read == [0, 1, 2, 3]
    batches.close()
    assert not any(thread.name.startswith("beside") for thread in threading.enumerate())


def test_a_pair_that_cannot_be_had_is_told_after_the_batches_before_it():
    batches = held_out_batches(Pairs(bad=5), settings(2))
    assert [batch.ids for batch in itertools.islice(batches, 2)] == [("0", "1"), ("2", "3")]
    with pytest.raises(DataError, match=r"^5 is torn$"):
        next(batches)


def test_a_limit_reads_no_further():
    data = Pairs()
    assert [batch.ids for batch in held_out_batches(data, settings(2), limit=3)] == [("0", "1"), ("2",)]
    assert data.read == [0, 1, 2]


def test_who_stops_early_waits_for_the_pair_that_is_being_read_alone():
    class SlowPairs(Pairs):
        def __getitem__(self, index: int) -> dict:
            time.sleep(0.05)
            return super().__getitem__(index)

    data = SlowPairs()
    batches = held_out_batches(data, settings(3))
    next(batches)
    batches.close()
    assert len(data.read) < 6  # of a batch and three more that were asked for
