"""What a process keeps of a run whose folder another one holds: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from i2i.engine.session import Session


class NoRecorder:
    """Stands where the first process has its `Recorder`."""

    show = keep = tell = staticmethod(lambda *about: None)

    def open(self, *about: Any, **more: Any) -> list[str]:
        return []

    def end(self, *about: Any, **more: Any) -> dict[str, Any]:
        return {}

    def disagreement(self, session: Session) -> str | None:
        return None

    def keep_traceback(self, error: BaseException) -> None: ...

    def keep_scores(self, session: Session) -> None: ...

    def begin(self, *about: Any) -> None: ...

    def progress(self, *about: Any) -> None: ...

    def train(self, *about: Any) -> None: ...

    def validation(self, *about: Any) -> None: ...

    def write_report(self, *about: Any, **more: Any) -> None: ...


class NoSaver:
    """Stands where the first process has its `Saver`."""

    def __init__(self) -> None:
        self.saved_at = 0

    def take(self, session: Session, *about: Any, others: Mapping[str, Any], **more: Any) -> None:
        # As the first process does before it writes: where that ends the training, it ends alike everywhere.
        session.run.check_finite(session.networks.modules())
        self.saved_at = session.step

    def take_best(self, session: Session) -> None: ...

    def keep_networks(self, session: Session) -> str:
        return ""

    def look(self) -> None: ...

    def wait(self) -> None: ...

    def give_up(self) -> None: ...
