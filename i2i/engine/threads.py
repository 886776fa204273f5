"""How many threads to compute with on a CPU: all cores, unless fewer are much faster at this time.

Torch's threads wait for each other at every operation. Where another program keeps a core busy, each of
them waits for the one that has lost its core, and one thread may be ten times as fast as two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

GAIN = 1.25
"""How much faster fewer threads have to be: bits depend on the choice, so noise must not make it."""


@dataclass(frozen=True)
class Threads:
    """A number of threads, the seconds that a step took with it, and `most`, what could have been taken."""

    count: int
    step_seconds: float
    most: int
    most_seconds: float

    @property
    def note(self) -> str:
        """What to tell the person of a choice of fewer threads; empty where all compute."""
        if self.count == self.most:
            return ""
        return (
            f"{self.count} of {self.most} threads compute: a step takes {self.step_seconds:.3g} s with that, "
            f"and {self.most_seconds:.3g} s with {self.most}, as something else keeps this machine busy or "
            f"the networks are small. train.threads = {self.most} takes all."
        )


def choose(most: int, seconds_a_step: Callable[[int], float]) -> Threads:
    """Return the number of threads to take, `most` or fewer; `seconds_a_step` measures one.

    Halves are tried until it gets slower. What looks slow with `most` is measured a second time, for the
    machine may have been busy for that moment only.
    """
    times = {most: seconds_a_step(most)}
    count = most
    while count > 1:
        count //= 2
        times[count] = seconds_a_step(count)
        if times[count] > min(times.values()):
            break
    best = min(times, key=lambda number: times[number])
    if times[most] > GAIN * times[best]:
        times[most] = min(times[most], seconds_a_step(most))
    chosen = best if times[most] > GAIN * times[best] else most
    return Threads(chosen, times[chosen], most, times[most])
