"""What a benchmark tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from i2i.records import Event


@dataclass(frozen=True)
class PlannedCell:
    """A cell that is about to be trained, and the `seconds` that it may take."""

    variant: str
    seed: int
    steps: int
    seconds: float


class BenchmarkObserver(Protocol):
    """Whoever watches a benchmark. `begin` comes once, before the first `event`; `end` ends what it began."""

    def stage(self, text: str) -> None:
        """Something begins that may take a while, before the first cell or after the last."""

    def stopping(self) -> None:
        """A signal asks for the end, which comes once the cells at work have saved."""

    def note(self, text: str) -> None:
        """Take a sentence for the person."""

    def tried(self, variant: str) -> None:
        """A variant went through its dry pass."""

    def begin(self, cells: Mapping[str, PlannedCell]) -> None:
        """These cells, by key, are about to be trained."""

    def event(self, event: Event) -> None:
        """Take what an executor reports of a cell."""

    def end(self) -> None:
        """Leave the terminal as it was."""
