"""A bar on the terminal while something goes by that takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from i2i.cli.progress import error_console

T = TypeVar("T")


class Watch(Protocol):
    """Passes on what goes by: (things, how many, what for)."""

    def __call__(self, things: Iterable[T], count: int, what: str, /) -> Iterable[T]: ...


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watch]:
    """Give what passes things on with a bar on the terminal, if there is one; no bar outlives this."""
    with ExitStack() as bars:

        def watch(things: Iterable[T], count: int, what: str, /) -> Iterable[T]:
            from rich.progress import Progress

            console = error_console(quiet=quiet)
            progress = Progress(console=console, transient=True, disable=console.quiet)
            bars.callback(progress.stop)  # where what goes by is left before its end
            with progress:
                yield from progress.track(things, total=count, description=what)

        yield watch
