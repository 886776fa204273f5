"""Times of things that are compared, taken in turns: what else the machine does slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch

Step = Callable[[], object]
"""Does once what is measured."""


def wait_for(device: str) -> None:
    """Wait until `device` has done all that it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class Turns:
    """Contenders by name, and the seconds that a step of each took, one number a stretch.

    Each stretch is of so many `steps`, one number for all or one by name. Who begins a round changes, so that
    none always follows the same other.
    """

    def __init__(
        self, contenders: Mapping[str, Step], *, device: str, steps: int | Mapping[str, int]
    ) -> None:
        self._contenders, self._device, self._steps = contenders, device, steps
        self.times: dict[str, list[float]] = {name: [] for name in contenders}
        self._rounds = 0

    def warm_up(self, steps: int) -> None:
        """Let each do what it does only once, such as choosing algorithms; untimed."""
        for step in self._contenders.values():
            for _ in range(steps):
                step()
        wait_for(self._device)

    def round(self) -> None:
        """Give each a stretch."""
        names = list(self._contenders)
        begin = self._rounds % len(names)
        for name in names[begin:] + names[:begin]:
            count = self._steps if isinstance(self._steps, int) else self._steps[name]
            self.times[name].append(seconds_a_step(self._contenders[name], count, device=self._device))
        self._rounds += 1

    def medians(self) -> dict[str, float]:
        """Return the median stretch of each, in seconds a step; one that was disturbed says nothing."""
        return {name: median(times) for name, times in self.times.items()}


def seconds_a_step(step: Step, count: int, *, device: str) -> float:
    """Return the mean over `count` steps, all of their work on the device done."""
    wait_for(device)
    began = time.perf_counter()
    for _ in range(count):
        step()
    wait_for(device)
    return (time.perf_counter() - began) / count


def stretch(step: Step, *, seconds: float, device: str, most: int = 200) -> int:
    """Return how many steps of a contender that is warm take about so many `seconds`."""
    once = seconds_a_step(step, 2, device=device)
    return max(1, min(most, round(seconds / once)))


def cycled(step: Callable[..., object], items: list[tuple[object, ...]]) -> Step:
    """Return a step that takes the next of `items` each time, from the first again after the last."""

    def forever() -> Iterator[tuple[object, ...]]:
        while True:
            yield from items

    following = forever()
    return lambda: step(*next(following))
