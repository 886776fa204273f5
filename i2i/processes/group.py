"""What processes exchange while they train: tensors, and JSON as bytes; never pickled objects.

Whoever is alone has nobody to exchange anything with: then all of it costs nothing and changes no bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from i2i.errors import ResourceError, in_a_line
from i2i.processes.gradients import Averaged, Gradients, Own
from i2i.processes.launch import Launch
from i2i.seeds import seed_for

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store
    from torch.distributed import Work

SILENCE = 1800.0
"""Seconds that a process waits for another one in the midst of the training. One that has died is noticed at
once; the first may be busy for long with metrics that the others have no part in."""

MOST_BYTES = 1 << 30
"""Bytes that are sent as one."""


class LostError(ResourceError):
    """Another process is gone, or does not answer."""


class Group(Protocol):
    """The processes that train together: this one is `rank`, from 0, of `size`."""

    rank: int
    size: int

    def seed(self, seed: int) -> int:
        """Return the seed of this process's own draws; the first has the recipe's."""

    def gradients(self) -> Gradients:
        """Return what averages gradients over the processes."""

    def share(self, value: Any) -> Any:
        """Return the JSON `value` of the first process."""

    def share_bytes(self, data: bytes) -> bytearray:
        """Return the `data` of the first process."""

    def share_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process."""

    def collect(self, data: Callable[[], bytes]) -> list[bytearray]:
        """Return in the first process the data of each, by rank; elsewhere, and if alone, an empty list."""

    def mean(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the mean of each scalar over the processes that have one of that name."""

    def most(self, number: int) -> int:
        """Return the largest of all processes' numbers."""

    def by_turns(self, number: int, make: Callable[[], list[Tensor]]) -> list[Tensor] | None:
        """Return in the first process what the one whose turn `number` is makes: float32 on the CPU.

        Elsewhere None. To be called by each process for each number from 0, in order.
        """

    def sent(self) -> None:
        """Wait until what was made by turns is with the first process."""


class Alone:
    """A process with nobody to exchange anything with: the only one, or the first of `size` that rehearses.

    What it is given is what it returns.
    """

    rank = 0

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def seed(self, seed: int) -> int:
        return seed

    def gradients(self) -> Gradients:
        return Own()

    def share(self, value: Any) -> Any:
        return value

    def share_bytes(self, data: bytes) -> bytearray:
        return bytearray(data)

    def share_tensors(self, tensors: Iterable[Tensor]) -> None: ...

    def collect(self, data: Callable[[], bytes]) -> list[bytearray]:
        return []

    def mean(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return values

    def most(self, number: int) -> int:
        return number

    def by_turns(self, number: int, make: Callable[[], list[Tensor]]) -> list[Tensor] | None:
        return make()

    def sent(self) -> None: ...


ALONE = Alone()


class Joined:
    """One of the processes of torch's process group; where another is gone, all of it raises LostError."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._going: list[tuple[Work, Tensor]] = []

    def seed(self, seed: int) -> int:
        # In the range that a recipe's seed has, for whatever takes one.
        return seed_for(seed, "rank", self.rank) % 2**32 if self.rank else seed

    def gradients(self) -> Gradients:
        return Averaged(self.size, answered)

    def share(self, value: Any) -> Any:
        return json.loads(self.share_bytes(json.dumps(value).encode() if self.rank == 0 else b""))

    def share_bytes(self, data: bytes) -> bytearray:
        return self._from(0, data)

    def share_tensors(self, tensors: Iterable[Tensor]) -> None:
        with answered(), torch.no_grad():
            for tensor in tensors:
                sent = tensor.contiguous()
                torch.distributed.broadcast(sent, 0)
                if sent is not tensor:
                    tensor.copy_(sent)

    def collect(self, data: Callable[[], bytes]) -> list[bytearray]:
        own = data()
        sizes = self._all(torch.tensor(len(own)))
        if self.rank:
            with answered():
                for part in _parts(bytearray(own)):
                    torch.distributed.send(part, 0)
            return []
        found = [bytearray(own)]
        for rank in range(1, self.size):
            received = bytearray(int(sizes[rank]))
            with answered():
                for part in _parts(received):
                    torch.distributed.recv(part, rank)
            found.append(received)
        return found

    def mean(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        own = json.dumps({name: float(value) for name, value in values.items()}).encode()
        every = [json.loads(self._from(rank, own)) for rank in range(self.size)]
        found = {}
        for name in dict.fromkeys(name for logs in every for name in logs):
            there = [logs[name] for logs in every if name in logs]
            found[name] = torch.tensor(sum(there) / len(there))
        return found

    def most(self, number: int) -> int:
        largest = torch.tensor(number)
        with answered():
            torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return int(largest)

    def by_turns(self, number: int, make: Callable[[], list[Tensor]]) -> list[Tensor] | None:
        owner = number % self.size
        if owner == self.rank:
            made = make()
            if self.rank == 0:
                return made
            self.sent()  # one batch is on its way while the next is made
            stack = torch.stack(made).contiguous()
            shape = torch.tensor([*stack.shape])
            for tensor in (torch.tensor(len(shape)), shape, stack):
                with answered():
                    work = torch.distributed.isend(tensor, 0)
                assert work is not None
                self._going.append((work, tensor))
        if self.rank:
            return None
        dimensions = torch.zeros((), dtype=torch.int64)
        with answered():
            torch.distributed.recv(dimensions, owner)
            shape = torch.zeros(int(dimensions), dtype=torch.int64)
            torch.distributed.recv(shape, owner)
            stack = torch.empty(shape.tolist())
            torch.distributed.recv(stack, owner)
        return list(stack)

    def sent(self) -> None:
        with answered():
            while self._going:
                self._going.pop(0)[0].wait()

    def _from(self, rank: int, data: bytes) -> bytearray:
        """Return the data of one process."""
        size = torch.tensor(len(data))
        with answered():
            torch.distributed.broadcast(size, rank)
            buffer = bytearray(data) if self.rank == rank else bytearray(int(size))
            for part in _parts(buffer):
                torch.distributed.broadcast(part, rank)
        return buffer

    def _all(self, number: Tensor) -> Sequence[Tensor]:
        found = [torch.zeros_like(number) for _ in range(self.size)]
        with answered():
            torch.distributed.all_gather(found, number)
        return found


def _parts(data: bytearray) -> Iterator[Tensor]:
    """Yield the bytes, which tensors share, in pieces of a size that every transport takes."""
    for start in range(0, len(data), MOST_BYTES):
        count = min(MOST_BYTES, len(data) - start)
        yield torch.frombuffer(data, dtype=torch.uint8, count=count, offset=start)


@contextmanager
def joined(launch: Launch, store: Store, device: str) -> Iterator[Joined]:
    """Make a group of all launched processes, which compute on `device`, for a while."""
    from torch._C._distributed_c10d import PrefixStore

    on_cuda = torch.device(device).type == "cuda"
    with answered():
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "cpu:gloo",
            store=PrefixStore("group", store),
            rank=launch.rank,
            world_size=launch.size,
            timeout=timedelta(seconds=SILENCE),
        )
    try:
        yield Joined(launch.rank, launch.size)
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def answered() -> Iterator[None]:
    """Tell where torch cannot reach another process; its own words stand behind."""
    try:
        yield
    except RuntimeError as error:
        raise LostError(f"another process is gone or does not answer ({in_a_line(error)}).") from error
