"""Whoever watches a run: what the engine tells of it, and to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from i2i.records import Direction

Record = Mapping[str, Any]
"""One object of metrics.jsonl."""

Status = Literal["done", "interrupted", "failed"]


@dataclass(frozen=True)
class RunStart:
    """What is about to run: after `first_step` steps of `total_steps`, into `folder`.

    `facts` are label and sentence, for people; `directions` says for each figure which way is better, and
    without it no value is called best.
    """

    name: str
    folder: Path
    first_step: int
    total_steps: int
    facts: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)


class Observer(Protocol):
    """Whoever watches a run. The engine calls `start` once, then the others, and always `end`.

    `note`, `stage` and `stopping` may come before `start`.
    """

    def start(self, run: RunStart) -> None:
        """Training is about to begin, or to go on."""

    def note(self, text: str) -> None:
        """Take a sentence for the person."""

    def stage(self, text: str) -> None:
        """Something begins that is no step and may take a while: "opening the data", "validating"."""

    def stopping(self, waits_for: str) -> None:
        """A signal asks for the end, which comes after `waits_for`, like "this step".

        Called by a signal handler, in the midst of whatever runs, drawing too: no lock, no buffer.
        """

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        """Take note of the step just made; `data_wait` is the share of time spent on waiting for data."""

    def train(self, record: Record) -> None:
        """Take one ``"kind": "train"`` object of metrics.jsonl."""

    def validation(self, record: Record) -> None:
        """Take one ``"kind": "val"`` object of metrics.jsonl."""

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        """Leave the terminal as it was; `lines` (label, path) are the last that is printed.

        May come without `start`.
        """


class Silent:
    """An observer that shows nothing."""

    def start(self, run: RunStart) -> None: ...

    def note(self, text: str) -> None: ...

    def stage(self, text: str) -> None: ...

    def stopping(self, waits_for: str) -> None: ...

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None: ...

    def train(self, record: Record) -> None: ...

    def validation(self, record: Record) -> None: ...

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None: ...
