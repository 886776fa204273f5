"""What the command line does where a launcher has started several processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from i2i.errors import EXIT_RECIPE, EndedTogether, I2IError, Interrupted, RecipeError
from i2i.processes.launch import LET_TELL, launched


def refuse_several(what: str) -> None:
    """Raise RecipeError in the first of several processes, in words that begin with `what`; the others end.

    Each would do the same work again, and write over what the others write.
    """
    launch = launched()
    if launch.size == 1:
        return
    if launch.rank:
        time.sleep(LET_TELL)
        raise EndedTogether(EXIT_RECIPE)
    raise RecipeError(
        f"{what} for one process, and a launcher has started {launch.size}: leave the launcher out. Only "
        "`i2i run` trains in several."
    )


@contextmanager
def ending_together() -> Iterator[None]:
    """Let what is wrong in one of several processes end all of them, before they have met: the first says it.

    Else the others would wait for it, and each would say what is wrong everywhere.
    """
    launch = launched()
    try:
        yield
    except I2IError as error:
        if launch.size == 1 or isinstance(error, (EndedTogether, Interrupted)):
            raise
        from i2i.processes.meeting import met

        with met(launch) as meeting:
            meeting.fail(error)


def is_first() -> bool:
    """Whether this process is the one that prints: the only one, or the first of several."""
    try:
        return launched().rank == 0
    except RecipeError:  # which is told in its place
        return True
