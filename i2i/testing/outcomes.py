"""What a check of the kit is, and what came of one: plain records, and how a check is written down.

A check is a small function that returns when a promise is kept and raises `Broken` when it is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from i2i.errors import I2IError
from i2i.kinds import KINDS

Status = Literal["passed", "failed", "expected", "not run"]

PLUGIN = "plug-in"
"""What stands in the place of a kind for checks of the plug-in itself."""


class Broken(Exception):
    """Raised inside a check: one sentence that says what is wrong and how to mend it."""


@dataclass(frozen=True)
class Check:
    """One promise that components of some kinds make.

    `kinds` are those it applies to ("plug-in" is the plug-in itself); `needs` are the checks without
    which this one means nothing. `run` is given a subject and raises `Broken` when the promise is not kept.
    """

    name: str
    kinds: frozenset[str]
    purpose: str
    needs: tuple[str, ...]
    run: Callable[[Any], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one check of one component.

    `component` is its kind and reference (``generator shiny/net``), or ``plug-in shiny``. `sentence` says,
    of a failed check, what is wrong and how to mend it; of one that was not run, which other it waits for; of
    an expected failure, the reason that was given for it. `seconds` it took, without those it needs.
    """

    component: str
    check: str
    status: Status
    sentence: str = ""
    seconds: float = field(default=0.0, compare=False)


def check(
    name: str, *kinds: str, needs: Collection[str] = (), unless: Collection[str] = ()
) -> Callable[[Callable[[Any], None]], Check]:
    """Return a decorator that makes a function the check `name`; its docstring's first line is the purpose.

    Without `kinds` it applies to every kind that there is, but for those in `unless`.
    """

    def make(function: Callable[[Any], None]) -> Check:
        purpose = (inspect.getdoc(function) or "").partition("\n")[0]
        applies = frozenset(kinds or KINDS) - frozenset(unless)
        return Check(name, applies, purpose, tuple(needs), function)

    return make


def fail(sentence: str) -> NoReturn:
    """End a check: `sentence` says what is wrong and how to mend it."""
    raise Broken(sentence)


def require(kept: object, sentence: str) -> None:
    """End a check with `sentence` unless the promise is `kept`."""
    if not kept:
        fail(sentence)


def told(error: BaseException) -> str:
    """Return an exception's name and the first line of its text, for use within a sentence."""
    said = error.problems[0].message if isinstance(error, I2IError) else str(error)
    text = next((line.strip().rstrip(".:") for line in said.splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
