"""A bar on the terminal while batches go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i.kinds import Batch


def watch(batches: Iterable[Batch], count: int, what: str) -> Iterable[Batch]:
    """Pass batches on, with a bar on the terminal, if there is one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    console.quiet = not console.is_terminal
    return track(batches, description=what, total=count, console=console, transient=True)
