"""What seeds and images say about a difference: paired, with its uncertainty, and what may be said of it.

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

ALPHA = 0.05
"""How often, at most, chance alone may lead to a verdict."""
CONFIDENCE = 0.95
"""Of each interval by itself, which knows nothing of other comparisons."""
POWER = 0.8
"""How often a difference of the size found is to be told, with the seeds that are said to be needed."""
MOST_SEEDS = 100
"""Up to so many seeds are counted; whoever needs more will not train them."""
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
    """A mean paired difference over `n` seeds and its 95 % interval, which one pair alone does not give.

    `percent` is the mean in percent of the other side's mean, None where that is 0. `deviation` (n - 1) is
    that of the paired differences, and `p` the two-sided p-value of Student's paired test, not corrected for
    other comparisons; both are None with one pair.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    percent: float | None = None
    deviation: float | None = None
    p: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Return the mean of ``ours - theirs``, pair by pair, with Student's interval and test (Student 1908)."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, n, base = fmean(differences), len(differences), abs(fmean(theirs))
    percent = 100 * mean / base if base else None
    if n < 2 or not math.isfinite(mean):
        return Difference(mean, None, None, n, percent)
    deviation = stdev(differences)
    reach = t_quantile(n - 1) * deviation / math.sqrt(n)
    p = p_value(mean, deviation, n)
    return Difference(mean, mean - reach, mean + reach, n, percent, deviation, p)


def p_value(mean: float, deviation: float, n: int) -> float:
    """Return how often pairs without any difference give a mean at least as far from zero; `n` from 2 up."""
    if deviation == 0:
        return 0.0 if mean else 1.0
    return max(0.0, 1 - _within(abs(mean) * math.sqrt(n) / deviation, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for there being several of them (Holm 1979), in the same order.

    Where those below `ALPHA` are taken for differences, the chance that any of them is none is at most
    `ALPHA`. The smallest is multiplied by their number, the next by one less, and so on; none may come out
    below a smaller one, or above 1.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, least = [0.0] * len(order), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


def verdict(mean: float, corrected: float | None, better: Direction | None) -> Verdict:
    """Return what a mean difference may be called, by its corrected p-value; without one, nothing."""
    if corrected is None:
        return "cannot tell"
    if corrected >= ALPHA:
        return "within noise"
    if better is None:
        return "differs"
    return "better" if (mean < 0) == (better == "min") else "worse"


def seeds_needed(mean: float, deviation: float, *, level: float) -> int:
    """Return about how many seeds tell a paired difference of this size from noise, with `POWER`.

    `level` is that of the two-sided test. One more than `MOST_SEEDS` stands for all that are more. It is the
    least n with ``mean >= (t(1 - level / 2) + t(POWER)) * deviation / sqrt(n)``, of n - 1 degrees of freedom.
    """
    for n in range(2, MOST_SEEDS + 1):
        reach = t_quantile(n - 1, within=1 - level) + t_quantile(n - 1, within=2 * POWER - 1)
        if abs(mean) * math.sqrt(n) >= reach * deviation:
            return n
    return MOST_SEEDS + 1


def bootstrap(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over images (Efron 1979), the same each time."""
    draw = random.Random(0)
    count = len(differences)
    means = sorted(fmean(draw.choices(differences, k=count)) for _ in range(RESAMPLES))
    cut = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return means[cut], means[-1 - cut]


def t_quantile(degrees: int, *, within: float = CONFIDENCE) -> float:
    """Return t with the share `within` of Student's distribution from -t to t; `degrees` from 1 up."""
    low, high = 0.0, 1.0
    while _within(high, degrees) < within:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < within else (low, middle)
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
