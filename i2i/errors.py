"""Errors for people: what is wrong, where, and what to do.

Each error carries one or more `Problem`s, so that a recipe with three mistakes is mended in one go,
and the exit code of the command line. Nothing here is for bugs: those stay ordinary exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

EXIT_BUG = 1
EXIT_RECIPE = 2
EXIT_DATA = 3
EXIT_RESOURCES = 4
EXIT_DIVERGED = 5
EXIT_PLUGIN = 6

EXIT_CODES = {
    "0": "done",
    "1": "a bug of i2i or of a component",
    "2": "a wrong command line or recipe",
    "3": "data that are missing, unreadable or do not fit",
    "4": "no room, memory, network or device, or cells of a benchmark that were not trained",
    "5": "training left the finite numbers",
    "6": "a plug-in that is missing, broken or does not pass its checks",
    "129, 130, 143": "ended by SIGHUP, Ctrl-C or SIGTERM; a run has saved its state",
}
"""What the command line ends with, and what each code says."""

MOST_TOLD = 20
"""Problems that are spelled out before the others are only counted."""

LONGEST_REASON = 400
"""How many characters of a foreign exception's text are told."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in a sentence, with its place.

    `where` is a dotted key (``generator.depth``), `file` and `line` say where that key stands, and
    `hint` is added in brackets.
    """

    message: str
    where: str = ""
    file: str = ""
    line: int | None = None
    hint: str = ""

    def render(self) -> str:
        """Return the place on one line, if there is one, and the sentence below it."""
        text = f"{self.message}   ({self.hint})" if self.hint else self.message
        spot = f"{self.file}:{self.line}" if self.file and self.line else self.file
        place = "  ".join(part for part in (spot, self.where) if part)
        return f"{place}\n  {text}" if place else text


class I2IError(Exception):
    """Something a person can mend; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(problem.render() for problem in self.problems))


class RecipeError(I2IError):
    """A recipe or a command-line value that cannot be used."""

    exit_code = EXIT_RECIPE


class InUseError(RecipeError):
    """A folder that another run holds."""


class DataError(I2IError):
    """Images or folders that are missing, unreadable or do not fit."""

    exit_code = EXIT_DATA


class MissingSplitError(DataError):
    """A split that a data set does not have."""


class NoUsablePairError(DataError):
    """A split with pairs, `pairs` of them, none of which can be used."""

    def __init__(self, *problems: Problem | str, pairs: int = 0) -> None:
        super().__init__(*problems)
        self.pairs = pairs


class ResourceError(I2IError):
    """Disk, memory, network or a file that is needed and cannot be had."""

    exit_code = EXIT_RESOURCES


class DivergedError(I2IError):
    """Training produced a loss or gradient that is not finite."""

    exit_code = EXIT_DIVERGED


class PluginError(I2IError):
    """A plug-in that is missing, broken, or in conflict with another."""

    exit_code = EXIT_PLUGIN


class Interrupted(I2IError):
    """A signal ended the run after its state was saved; the exit code is 128 + the signal."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class EndedTogether(I2IError):
    """One of several processes ends since another one does, with its exit code `code`; that one says why."""

    def __init__(self, code: int, *problems: Problem | str) -> None:
        super().__init__(*problems)
        self.code = code


def exit_code_of(error: I2IError) -> int:
    """Return the process exit code for `error`."""
    if isinstance(error, EndedTogether):
        return error.code
    return 128 + error.signum if isinstance(error, Interrupted) else error.exit_code


def in_a_line(error: BaseException) -> str:
    """Return the name and text of what somebody else's code raised, on one line of bearable length."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # its __str__ is somebody else's code too
        text = ""
    if len(text) > LONGEST_REASON:
        text = f"{text[:LONGEST_REASON]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shortened(problems: Sequence[Problem], *, rest: str) -> list[Problem]:
    """Return the first of `problems`, and a last one that counts the others; `rest` says what of them."""
    told = list(problems[:MOST_TOLD])
    if others := len(problems) - len(told):
        told.append(Problem(f"and {others:,} more; {rest}."))
    return told


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" - did you mean 'x'?"`` for the closest of `known`, or an empty string."""
    close = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" - did you mean '{close[0]}'?" if close else ""


def with_article(word: str) -> str:
    """Return the name of a kind with its article, such as "an adversarial-loss"."""
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out; torch's allocators say so in words alone on some devices."""
    words = str(error).lower()
    told = "out of memory" in words or "allocate memory" in words
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and told)


def printable(text: str) -> str:
    """Return `text` with control characters written out, which could steer a terminal; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def described(value: object) -> str:
    """Say what was given where something else was wanted: "of shape (2, 3)", or "a list"."""
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" if shape is None else f"of shape {tuple(shape)}"
