"""Training the cells that are left: handed to an executor, but for those that another process trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from i2i.bench.cells import Cell
from i2i.bench.jobs import Event, Job
from i2i.bench.observer import BenchmarkObserver
from i2i.bench.store import Store
from i2i.errors import InUseError
from i2i.system.lock import in_use

if TYPE_CHECKING:
    from i2i.kinds import Executor

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class CellTraining:
    """What the cells of a store are trained with."""

    store: Store
    executor: Executor
    observer: BenchmarkObserver
    ended: Callable[[Cell], None]
    stopped: Callable[[], bool]

    def train(self, cells: Sequence[Cell], jobs: Mapping[str, Job]) -> dict[str, Event]:
        """Train cells, by the `jobs` of their keys; return the last event of each that failed.

        A cell that another process is training is waited for, after all others.
        """
        by_key = {cell.key: cell for cell in cells}
        failed: dict[str, Event] = {}
        elsewhere: set[str] = set()

        def report(event: Event) -> None:
            if event.status == "failed" and self._is_elsewhere(event, by_key[event.key]):
                elsewhere.add(event.key)
                return
            if event.status in ("failed", "diverged"):
                failed[event.key] = event
            if event.status in ("done", "diverged"):
                self.ended(by_key[event.key])
            self.observer.event(event)

        left, told = list(cells), False
        while left and not self.stopped():
            free = [cell for cell in left if not in_use(self.store.folder(cell))]
            if free:
                elsewhere.clear()
                self.executor.run([jobs[cell.key] for cell in free], report=report, stopped=self.stopped)
                left = [cell for cell in left if cell not in free or cell.key in elsewhere]
                continue
            if not told:
                told = True
                count = f"{len(left)} cell{'s are' if len(left) > 1 else ' is'}"
                self.observer.note(f"{count} in training by another process: waiting for it.")
            time.sleep(SECONDS_BETWEEN_LOOKS)
            left = [cell for cell in left if self.store.record(cell) is None]
        return failed

    def _is_elsewhere(self, event: Event, cell: Cell) -> bool:
        """Whether a job failed because another process has its folder, which it took at the same moment."""
        return event.code == InUseError.exit_code and in_use(self.store.folder(cell))
