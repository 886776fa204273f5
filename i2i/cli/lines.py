"""A run in plain lines, for what is no terminal; and the last ones alone, for `--quiet`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from i2i.cli.run_words import (
    aligned,
    headline,
    last_sentence,
    pace_of,
    print_last,
    print_whole,
    stopping,
    told,
)
from i2i.cli.streams import write_at_once
from i2i.engine.observer import Record, RunStart, Silent, Status
from i2i.pages.numbers import Standings, short

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN_LINES = 10.0


class Lines:
    """One line a report, without colour or control codes; train records at most every ten seconds.

    The first and the last train record are always printed.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float] = time.monotonic,
        last: Console | None = None,
        stamp: Callable[[], str] = str,
    ) -> None:
        self.started = False
        self._console, self._last = console, last or console
        self._now = now
        self._stamp = stamp
        self._standings = Standings({})
        self._total = 0
        self._step = 0
        self._started = self._staged = now()
        self._printed: float | None = None
        self._waiting: Record | None = None

    def start(self, run: RunStart) -> None:
        self.started = True
        self._started, self._step, self._total = self._now(), run.first_step, run.total_steps
        self._standings = Standings(run.directions)
        self._say(headline(run))
        for label, text in aligned([("folder", str(run.folder)), *run.facts.items()]):
            self._say(f"  {label}  {text}")

    def note(self, text: str) -> None:
        self._say(text)

    def stage(self, text: str) -> None:
        if self._now() - self._staged >= SECONDS_BETWEEN_LINES:  # else something was said a moment ago
            self._staged = self._now()
            self._say(text)

    def stopping(self, waits_for: str) -> None:
        write_at_once(self._console.file, f"{self._stamp()}{stopping(waits_for)}\n")

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self._step = step

    def train(self, record: Record) -> None:
        now = self._now()
        self._step, self._waiting = record["step"], record
        due = self._printed is None or now - self._printed >= SECONDS_BETWEEN_LINES
        if due or record["step"] >= self._total:
            self._printed = now
            self._print_waiting()

    def validation(self, record: Record) -> None:
        self._standings.add(record)
        scores = [told(score, record["step"]) for score in self._standings]
        self._say("  ".join([f"validation at step {record['step']:,}", *scores]))

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        self._print_waiting()
        sentence = last_sentence(status, self._step, self._total, self._now() - self._started)
        print_last(self._last, [sentence] if self._total else [], lines, self._standings)

    def close(self) -> None: ...

    def _print_waiting(self) -> None:
        if self._waiting is not None:
            record, self._waiting = self._waiting, None
            losses = [f"{name} {short(value)}" for name, value in record["losses"].items()]
            self._say("  ".join([f"step {record['step']:,} of {self._total:,}", *pace_of(record), *losses]))

    def _say(self, text: str) -> None:
        print_whole(self._console, f"{self._stamp()}{text}")


class LastLines(Silent):
    """What `--quiet` leaves: how the run ended, and that it is about to."""

    def __init__(self, console: Console, last: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self.started = False
        self._console, self._last, self._now = console, last, now
        self._total = self._step = 0
        self._started = now()
        self._standings = Standings({})

    def start(self, run: RunStart) -> None:
        self.started = True
        self._started, self._step, self._total = self._now(), run.first_step, run.total_steps
        self._standings = Standings(run.directions)

    def validation(self, record: Record) -> None:
        self._standings.add(record)

    def stopping(self, waits_for: str) -> None:
        write_at_once(self._console.file, f"{stopping(waits_for)}\n")

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self._step = step

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        sentence = last_sentence(status, self._step, self._total, self._now() - self._started)
        print_last(self._last, [sentence] if self._total else [], lines, self._standings)

    def close(self) -> None: ...
