"""Work in a thread beside the one that computes: things are made before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@contextmanager
def helper() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for work beside the network's, in order; the end waits for what was given to it.

    It computes by itself: with a team of threads like the network's, the two would wait for each other.
    """
    with ThreadPoolExecutor(1, "beside", initializer=torch.set_num_threads, initargs=(1,)) as executor:
        yield executor


def made_ahead(
    thread: ThreadPoolExecutor,
    make: Callable[[_Item], _Made],
    items: Iterable[_Item],
    *,
    most: Callable[[_Made | None], int],
) -> Generator[_Made, None, None]:
    """Yield what `make` makes of each item, in order, while the `thread` makes the next ones.

    `most` says how many may be made or wait at once, by the last one that was; None before there is one.
    What goes wrong with an item is raised in its turn. Once it is closed, no item is begun any more.
    """
    ahead, coming, last = deque[Future[_Made]](), iter(items), None
    try:
        while True:
            ahead.extend(thread.submit(make, item) for item in _next(coming, most(last) - len(ahead)))
            if not ahead:
                return
            last = ahead.popleft().result()
            yield last
    finally:
        for future in ahead:  # nobody asks for them any more
            future.cancel()


def _next(items: Iterator[_Item], count: int) -> list[_Item]:
    return list(islice(items, max(0, count)))
