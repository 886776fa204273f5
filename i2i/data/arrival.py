"""What went wrong in a worker process, brought to the main one whole: its problems, and how it came to it.

A loader of torch would make a text of it instead, in which no component can be told any more.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import NoReturn

from torch.utils.data import get_worker_info

from i2i.errors import I2IError


class InWorker(Exception):
    """The traceback in a worker process, as a text: the cause of what is raised here."""


@dataclass(frozen=True)
class Failed:
    """What an item comes back as where it cannot be had; `story` is the traceback of what caused it."""

    error: I2IError
    story: str = ""


def failed(error: I2IError) -> Failed:
    """Return `error` as an item of a worker process; raise it where there is no such process."""
    if get_worker_info() is None:
        raise error
    cause = error.__cause__
    return Failed(error, "".join(traceback.format_exception(cause)) if cause else "")


def arrive(item: Failed) -> NoReturn:
    """Raise what an item failed with, with what caused it."""
    raise item.error from (InWorker(f"in a worker process:\n{item.story}") if item.story else None)
