"""Noticing that a run has become much slower than it was, and saying once what may be the cause."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from i2i.engine.next_commands import going_on
from i2i.runs.folder import RunFolder
from i2i.system.load import Load

FACTOR = 4.0
STRETCH = 5.0
"""Seconds of training that are looked at as one."""

STRETCHES = 6
"""Stretches in a row that are slow before anything is said: half a minute."""


class Slowdown:
    """Watches the speed of training in stretches of some seconds, beside the fastest one so far."""

    def __init__(self, folder: Path, *, threads: int, on_cpu: bool) -> None:
        self._folder, self._threads, self._on_cpu = folder, threads, on_cpu
        self._seconds = self._waited = 0.0
        self._steps = 0
        self._fastest: float | None = None
        self._slow: deque[tuple[float, float]] = deque(maxlen=STRETCHES)
        self._load = Load()
        self._told = False

    def add(self, seconds: float, *, waited: float) -> str | None:
        """Count a step that took so long, of which it `waited` for data; return what is to be told, if now.

        Validations and saves are not to be counted.
        """
        self._seconds += seconds
        self._waited += waited
        self._steps += 1
        if self._told or self._seconds < STRETCH:
            return None
        step, waiting = self._seconds / self._steps, self._waited / self._seconds
        self._seconds = self._waited = 0.0
        self._steps = 0
        if self._fastest is None or step < FACTOR * self._fastest:
            self._fastest = min(step, self._fastest or step)
            self._slow.clear()
            self._load.others()  # what is asked later is of the slow stretches alone
            return None
        self._slow.append((step, waiting))
        if len(self._slow) < STRETCHES:
            return None
        self._told = True
        return self._sentence(self._fastest)

    def _sentence(self, fastest: float) -> str:
        step = sum(step for step, _ in self._slow) / len(self._slow)
        waiting = sum(waiting for _, waiting in self._slow) / len(self._slow)
        told = f"For half a minute a step has taken {step / fastest:.0f} times as long as it did: "
        others = self._load.others()
        if waiting > 0.5:
            return f"{told}{waiting:.0%} of the time goes by waiting for data."
        if others is None:
            return f"{told}another program may keep this machine busy.{self._way_out()}"
        if others < 0.5:
            return f"{told}no other program computes much, so why is not known."
        busy = "a core" if others < 1.5 else f"{others:.0f} cores"
        return f"{told}other programs keep {busy} busy.{self._way_out()}"

    def _way_out(self) -> str:
        if not self._on_cpu or self._threads == 1:
            return ""
        fewer = self._threads // 2
        return (
            " Threads wait for each other, so fewer are faster then: Ctrl-C, and then "
            f"{going_on(RunFolder(self._folder), ())} --threads {fewer}"
        )
