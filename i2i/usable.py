"""What to do about items of a data set that cannot be used: refuse them, or go on without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from i2i.errors import DataError, Problem
from i2i.inspection import inspect
from i2i.kinds import ImageSpec, PairSpec, Side

MOST_TOLD = 20
"""Problems that are spelled out before the others are only counted."""


class Usable:
    """A data set without the items that cannot be used."""

    def __init__(self, data: Any, indices: Sequence[int]) -> None:
        self._data, self._indices = data, tuple(indices)
        self.spec: PairSpec = data.spec
        self.credit: str = getattr(data, "credit", "")
        if hasattr(data, "draw"):
            self.draw = self._draw

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> Any:
        return self._data[self._indices[index]]

    def _draw(self, index: int, rng: Any) -> Any:
        return self._data.draw(self._indices[index], rng)


def usable(data: Any, *, on_bad: Literal["refuse", "skip"], split: str, note: Callable[[str], None]) -> Any:
    """Return `data`, without what cannot be used if `on_bad` is "skip": a note counts and lists that.

    To "refuse" costs nothing: what was found wrong when the data was opened raises DataError, and an
    item that fails later does so then. To "skip" reads every item once.
    """
    known = tuple(getattr(data, "problems", ()))
    if on_bad == "refuse":
        if known:
            raise DataError(*shortened(known))
        return data
    findings = list(inspect(data))
    good = [finding.index for finding in findings if not finding.problems]
    problems = [*known, *(problem for finding in findings for problem in finding.problems)]
    if not good:
        raise DataError(*shortened(problems), f"nothing in the split '{split}' can be used.")
    if problems:
        told = "\n".join(problem.render() for problem in shortened(problems))
        note(f"The split '{split}' goes on with {len(good):,} pairs, and without these:\n{told}")
    return data if len(good) == len(findings) else Usable(data, good)


def shortened(problems: Sequence[Problem]) -> list[Problem]:
    """Return the first of `problems`, and a last one that counts the rest."""
    told = list(problems[:MOST_TOLD])
    rest = len(problems) - len(told)
    if rest > 0:
        told.append(Problem(f"and {rest:,} more; `i2i data check` lists all of them."))
    return told


def check_alike(spec: PairSpec, other: PairSpec, *, split: str) -> None:
    """Raise DataError when a split has other images than the training split, sizes apart."""
    sides: tuple[Side, Side] = ("source", "target")
    for side in sides:
        one, two = spec.side(side), other.side(side)
        kinds = [(s.channels, s.depth, s.low, s.high, s.palette, s.parts) for s in (one, two)]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"the {side} in the split '{split}' has {_kind(two)}, and in 'train' {_kind(one)}: "
                "convert one of them."
            )


def _kind(spec: ImageSpec) -> str:
    return f"{spec.channels} channel(s) of {spec.depth} from {spec.low:g} to {spec.high:g}"
