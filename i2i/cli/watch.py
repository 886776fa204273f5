"""A bar on the terminal while something goes by that takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from i2i.cli.progress import error_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")


class Watch:
    """Passes on what goes by, (things, how many, what for), and shows how many went by."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tuple[Progress, TaskID] | None = None
        self._gone = 0

    def __call__(self, things: Iterable[T], count: int, what: str, /) -> Iterable[T]:
        from rich.progress import Progress

        console = error_console(quiet=self._quiet)
        with Progress(console=console, transient=True, disable=console.quiet) as progress:
            self._bar, self._gone = (progress, progress.add_task(what, total=count)), 0
            for thing in things:
                yield thing
                self._gone += 1
                self.part(0)

    def part(self, share: float) -> None:
        """Show how much is done of the next thing, from 0 to 1, where one alone takes a while."""
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=self._gone + share)

    def end(self) -> None:
        """Take the bar away, also where what goes by is left before its end."""
        if self._bar is not None:
            self._bar[0].stop()


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watch]:
    """Give what passes things on with a bar on the terminal, if there is one; no bar outlives this."""
    watch = Watch(quiet=quiet)
    try:
        yield watch
    finally:
        watch.end()
