"""A bar on the terminal while something goes by that takes a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from i2i.cli.progress import error_console

T = TypeVar("T")


class Watch(Protocol):
    """Passes on what goes by: (things, how many, what for)."""

    def __call__(self, things: Iterable[T], count: int, what: str, /) -> Iterable[T]: ...


def watching(*, quiet: bool = False) -> Watch:
    """Return what passes things on with a bar on the terminal, if there is one."""

    def watch(things: Iterable[T], count: int, what: str, /) -> Iterable[T]:
        from rich.progress import track

        console = error_console(quiet=quiet)
        return track(things, description=what, total=count, console=console, transient=True)

    return watch
