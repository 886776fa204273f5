"""What seeds and images say about a difference: paired, with its uncertainty, and a verdict in words.

Runs of the same seed share their data order, augmentation and all initial weights that were not
swapped, so differences are taken seed by seed. Seeds decide; images of one training only inform, as
they say nothing of what another seed would have learnt.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from i2i.kinds import Direction

CONFIDENCE = 0.95
RESAMPLES = 1000

Verdict = Literal["baseline", "better", "worse", "differs", "within noise", "cannot tell"]


@dataclass(frozen=True)
class Spread:
    """Values of one figure over seeds; `deviation` (n - 1) is None with one."""

    mean: float
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and its 95 % interval, which one pair alone does not give."""

    mean: float
    low: float | None
    high: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Return the mean of ``ours - theirs``, pair by pair, with Student's interval (Student 1908)."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, n = fmean(differences), len(differences)
    if n < 2:
        return Difference(mean, None, None, n)
    reach = t_quantile(n - 1) * stdev(differences) / math.sqrt(n)
    return Difference(mean, mean - reach, mean + reach, n)


def verdict(difference: Difference, better: Direction | None) -> Verdict:
    """Return what an interval allows to say; with one seed that is nothing."""
    if difference.low is None or difference.high is None:
        return "cannot tell"
    if not (math.isfinite(difference.low) and math.isfinite(difference.high)):
        return "cannot tell"
    if difference.low <= 0 <= difference.high:
        return "within noise"
    if better is None:
        return "differs"
    return "better" if (difference.mean < 0) == (better == "min") else "worse"


def bootstrap(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over images (Efron 1979), the same each time."""
    draw = random.Random(0)
    count = len(differences)
    means = sorted(fmean(draw.choices(differences, k=count)) for _ in range(RESAMPLES))
    cut = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return means[cut], means[-1 - cut]


def t_quantile(degrees: int) -> float:
    """Return t with 95 % of Student's distribution between -t and t; `degrees` of freedom from 1 up."""
    low, high = 0.0, 1.0
    while _within(high, degrees) < CONFIDENCE:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < CONFIDENCE else (low, middle)
    return (low + high) / 2


def _within(t: float, degrees: int) -> float:
    """Return the share of Student's distribution between -t and t (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if odd else 2, degrees, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
