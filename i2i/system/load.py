"""How busy the computer is with other things than this process, where the system tells."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Moment:
    """What had been computed up to some time, in seconds: by all of the machine, by this process's family."""

    at: float
    all: float
    own: float


class Load:
    """Measures, between two questions, how many cores other programs kept busy."""

    def __init__(self) -> None:
        self._last = _now()

    def others(self) -> float | None:
        """Return how many cores others kept busy since the last question, None where that is not known."""
        before, self._last = self._last, _now()
        now = self._last
        if before is None or now is None or now.at <= before.at:
            return None
        return max(0.0, (now.all - before.all) - (now.own - before.own)) / (now.at - before.at)


def _now() -> _Moment | None:
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        # user, nice, system, then idle and waiting, which are no work; interrupts after them are.
        user, nice, system, _, _, irq, softirq = map(int, first[1:8])
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):  # not Linux: there is no one question for it
        return None
    spent = os.times()
    own = spent.user + spent.system + _of_children()
    return _Moment(time.monotonic(), (user + nice + system + irq + softirq) / ticks, own)


def _of_children() -> float:
    """Return the seconds that living children have computed, such as workers that load data."""
    seconds, ticks = 0.0, os.sysconf("SC_CLK_TCK")
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
            for child in children:
                # What follows the name, which may hold anything: state is the third field, utime the 14th.
                fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / ticks
        except (OSError, ValueError, IndexError):  # it has ended meanwhile
            continue
    return seconds
