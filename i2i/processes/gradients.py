"""Gradients averaged over processes while the backward pass goes on: in flat buckets, the last weights first.

Modules stay as they are: no wrapper, whose buffers and hooks a network that is called twice would trip over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from i2i.errors import PluginError

if TYPE_CHECKING:
    from torch.distributed import Work

BUCKET = 25 * 2**20
"""Bytes of gradients that are averaged as one: small ones would wait for the network, large ones for each
other."""


class Gradients(Protocol):
    """What becomes of the gradients of each update: `begin`, `last` before the last backwards, `finish`."""

    def begin(self, slots: Sequence[Sequence[Tensor]]) -> None:
        """Begin an update of the parameters of these slots."""

    def last(self, slot: int) -> None:
        """The next backward pass is the last one into that slot's parameters."""

    def finish(self, unsound: Tensor) -> Tensor | None:
        """Return whether `unsound`, a number, is more than 0 in any process, once all gradients are averaged.

        That is None for a process by itself.
        """


class Own:
    """Of a process by itself, whose gradients stay as they are."""

    def begin(self, slots: Sequence[Sequence[Tensor]]) -> None: ...

    def last(self, slot: int) -> None: ...

    def finish(self, unsound: Tensor) -> Tensor | None:
        return None


class _Bucket:
    """Some parameters of one kind of numbers, and their gradients in a row."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=parameters[0].dtype).to(
            parameters[0].device
        )
        sizes = [p.numel() for p in parameters]
        self.views = [
            part.view(p.shape) for part, p in zip(torch.split(self.flat, sizes), parameters, strict=True)
        ]
        self.waiting: set[int] = set()
        self.work: Work | None = None

    def send(self) -> None:
        """Begin to add it up over the processes; a gradient that is missing counts as zeros."""
        there = [place for place, p in enumerate(self.parameters) if p.grad is not None]
        if len(there) < len(self.parameters):
            self.flat.zero_()
        if there:
            gradients = [self.parameters[place].grad for place in there]
            torch._foreach_copy_([self.views[place] for place in there], gradients)  # type: ignore[arg-type]
        self.work = torch.distributed.all_reduce(self.flat, async_op=True)

    def receive(self, size: int, present: Callable[[Tensor], bool]) -> None:
        """Put the means over `size` processes where the gradients are, also those that only others have."""
        assert self.work is not None
        self.work.wait()
        self.work = None
        self.flat.div_(size)
        for parameter in self.parameters:
            if parameter.grad is None and present(parameter):
                parameter.grad = torch.empty_like(parameter)
        pairs = [(p.grad, view) for p, view in zip(self.parameters, self.views, strict=True)]
        there = [(gradient, view) for gradient, view in pairs if gradient is not None]
        if there:
            torch._foreach_copy_([gradient for gradient, _ in there], [view for _, view in there])


class _Plan:
    """The buckets of one set of slots, in the order in which they go over the line; all processes have it."""

    def __init__(self, slots: Sequence[Sequence[Tensor]]) -> None:
        self.slots = slots  # which keeps their ids from being those of others
        self.last_slot = {id(p): number for number, slot in enumerate(slots) for p in slot}
        # A backward pass comes to a network's last weights first.
        order = {id(p): p for slot in slots for p in reversed(slot)}
        self.parameters = list(order.values())
        self.buckets = [_Bucket(parameters) for parameters in _in_buckets(self.parameters)]
        self.bucket_of = {id(p): bucket for bucket in self.buckets for p in bucket.parameters}
        self.next = 0

    def begin(self) -> None:
        self.next = 0
        for bucket in self.buckets:
            bucket.waiting = {id(p) for p in bucket.parameters}

    def arrived(self, parameter: Tensor) -> None:
        """Take note of a gradient that is complete, and send what is complete and has its turn."""
        self.bucket_of[id(parameter)].waiting.discard(id(parameter))
        while self.next < len(self.buckets) and not self.buckets[self.next].waiting:
            self.send_next()

    def send_next(self) -> None:
        self.buckets[self.next].send()
        self.next += 1


class Averaged:
    """Gradients as if one process had seen all batches: their means over so many processes.

    All processes have to make the same updates in the same order. `answered` turns what torch raises where
    another process is gone into words.
    """

    def __init__(self, size: int, answered: Callable[[], AbstractContextManager[None]]) -> None:
        self._size, self._answered = size, answered
        self._plans: dict[tuple[tuple[int, ...], ...], _Plan] = {}
        self._hooked: dict[int, Tensor] = {}
        self._plan: _Plan | None = None
        self._coming: set[int] = set()
        self._complete: set[int] = set()

    def begin(self, slots: Sequence[Sequence[Tensor]]) -> None:
        key = tuple(tuple(map(id, slot)) for slot in slots)
        if key not in self._plans:
            self._plans[key] = _Plan([list(slot) for slot in slots])
            self._look_on(p for slot in slots for p in slot)
        self._plan = self._plans[key]
        self._plan.begin()
        self._coming, self._complete = set(), set()

    def last(self, slot: int) -> None:
        assert self._plan is not None
        self._coming = {id(p) for p in self._plan.slots[slot] if self._plan.last_slot[id(p)] == slot}

    def finish(self, unsound: Tensor) -> Tensor | None:
        plan, self._plan = self._plan, None
        assert plan is not None
        with self._answered(), torch.no_grad():
            while plan.next < len(plan.buckets):
                plan.send_next()
            missing = [p.grad is None for p in plan.parameters]
            flags = torch.ones(1 + len(missing), device=unsound.device)
            if any(missing):
                flags[1:] = torch.tensor([float(not gone) for gone in missing])
            flags[0] = unsound > 0
            torch.distributed.all_reduce(flags)
            # Read from the device only where it matters: else there are gradients of all.
            counts = flags.tolist() if any(missing) else []
            nowhere = {id(p) for p, count in zip(plan.parameters, counts[1:], strict=False) if not count}
            for bucket in plan.buckets:
                bucket.receive(self._size, lambda p: id(p) not in nowhere)
        return flags[0] > 0

    def _look_on(self, parameters: Iterable[Tensor]) -> None:
        for parameter in parameters:
            if id(parameter) not in self._hooked:
                self._hooked[id(parameter)] = parameter
                hook = parameter.register_post_accumulate_grad_hook
                hook(self._arrived)  # type: ignore[no-untyped-call]

    def _arrived(self, parameter: Tensor) -> None:
        if self._plan is None:
            return
        if id(parameter) in self._complete:
            raise PluginError(
                "a network's gradients come more than once in one backward pass, as with checkpointing that "
                "is reentrant: several processes cannot average them (use_reentrant=False can)."
            )
        if id(parameter) in self._coming:
            self._coming.discard(id(parameter))
            self._complete.add(id(parameter))
            with self._answered(), torch.no_grad():
                self._plan.arrived(parameter)


def _in_buckets(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Return parameters in their order, in lists of one kind of numbers and of some `BUCKET` bytes."""
    found: list[list[Tensor]] = []
    filling: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for parameter in parameters:
        kind = parameter.dtype, parameter.device
        if kind not in filling:
            found.append(filling.setdefault(kind, []))
        filling[kind].append(parameter)
        if sum(p.nbytes for p in filling[kind]) >= BUCKET:
            del filling[kind]
    return found
