"""Labels beside the points of a chart, placed so that none covers another.

Greedy: each label takes the nearest free place around its point. Where there is none, it takes the one
that covers least, so that any number of points is labelled, if not always well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

HEIGHT = 14.0
CHARACTER = 6.0  # the usual width of one, at the size of a chart's text
RINGS = (22.0, 36.0, 52.0, 72.0, 96.0, 124.0)
ANGLES = (0, 30, 330, 60, 300, 90, 270, 120, 240, 150, 210, 180)


@dataclass(frozen=True)
class Rect:
    """An area, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Rect) -> float:
        """Return the area that both cover."""
        if self.right <= other.left or other.right <= self.left:
            return 0.0
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def inside(self, other: Rect) -> bool:
        """Whether `other` covers all of it."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Label:
    """A text that begins at x, on the line y; `leader` is where its point's line ends, if it has one."""

    text: str
    x: float
    y: float
    leader: tuple[float, float] | None


def place(points: Sequence[tuple[float, float, str]], taken: Iterable[Rect], area: Rect) -> list[Label]:
    """Return a label for each (x, y, text), inside `area` and clear of the points and what is `taken`."""
    crowd = [*taken, *(Rect(x - 5, y - 5, x + 5, y + 5) for x, y, _ in points)]
    labels: dict[int, Label] = {}
    for index in sorted(range(len(points)), key=lambda index: points[index][1]):
        x, y, text = points[index]
        choices = list(_choices(x, y, CHARACTER * len(text)))
        place = _best([choice for choice in choices if choice.rect.inside(area)] or choices[:1], crowd)
        crowd += [place.rect, *place.leader]
        end = min(max(x, place.rect.left), place.rect.right), min(max(y, place.rect.top), place.rect.bottom)
        leader = (round(end[0], 1), round(end[1], 1)) if place.leader else None
        labels[index] = Label(text, round(place.rect.left, 1), round(place.rect.bottom - 3.5, 1), leader)
    return [labels[index] for index in range(len(points))]


@dataclass(frozen=True)
class _Choice:
    """A place for a label, and its line to the point as a row of dots, which must cover nothing either."""

    rect: Rect
    leader: tuple[Rect, ...] = ()


def _choices(x: float, y: float, width: float) -> Iterator[_Choice]:
    """Yield places for a label, the best ones first; those that touch the point need no line."""
    half = HEIGHT / 2
    for left, top in (
        (x + 8, y - half),
        (x - 8 - width, y - half),
        (x - width / 2, y - 8 - HEIGHT),
        (x - width / 2, y + 8),
        (x + 6, y - 6 - HEIGHT),
        (x + 6, y + 6),
        (x - 6 - width, y - 6 - HEIGHT),
        (x - 6 - width, y + 6),
    ):
        yield _Choice(Rect(left, top, left + width, top + HEIGHT))
    for ring in RINGS:
        for angle in ANGLES:
            across, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            left = x + ring * across - (width if across < -0.1 else 0 if across > 0.1 else width / 2)
            top = y + ring * down - half
            dots = ((x + reach * across, y + reach * down) for reach in range(10, round(ring) - 4, 8))
            yield _Choice(
                Rect(left, top, left + width, top + HEIGHT),
                tuple(Rect(a - 3, b - 3, a + 3, b + 3) for a, b in dots),
            )


def _best(choices: Sequence[_Choice], crowd: Sequence[Rect]) -> _Choice:
    """Return the first choice that covers nothing, or else the one that covers least."""
    least, best = math.inf, choices[0]
    for choice in choices:
        covered = 0.0
        for part, other in product((choice.rect, *choice.leader), crowd):
            covered += part.overlap(other)
            if covered >= least:
                break
        else:
            least, best = covered, choice
            if not covered:
                break
    return best
