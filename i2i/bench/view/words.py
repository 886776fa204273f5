"""What a benchmark found, in words and short numbers, for people; programs read results.json.

The answer in words is made of verdicts alone: whatever may be noise is never said to win.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from i2i.bench.results import MetricResult, ReportedMetric, Results, VariantResult
from i2i.bench.statistics import MOST_SEEDS, Difference
from i2i.bench.tabulate import ranked
from i2i.pages.numbers import against_copying, clock, listed

NOTHING = "-"
SIGNS: Mapping[str, str] = {
    "better": "▲",
    "worse": "▼",
    "within noise": "≈",
    "cannot tell": "?",
    "differs": "≠",
    "baseline": "●",
}
MOST_NAMES = 3  # in a row
SHORT = 99.5  # seconds of a training, up to which they are told as such


def answer(results: Results) -> str:
    """Return the answer in sentences: how far it has come, what beats the baseline, what is no good."""
    unfinished = ""
    if results.status == "incomplete":
        unfinished = f"Unfinished: {results.ended} of {len(results.cells)} cells have ended."
    return " ".join(filter(None, [unfinished, _against_baseline(results), _worse_than_copying(results)]))


def _against_baseline(results: Results) -> str:
    """Return one sentence on the first metric: what beats the baseline, what does not, what is noise."""
    if not results.metrics:
        return "There is no metric to tell by."
    metric, baseline = results.metrics[0].name, results.baseline
    groups: dict[str, list[str]] = {}
    for row in ranked(results.table, results.metrics[0]):
        if not row.baseline:
            found = row.metrics[metric]
            groups.setdefault("" if found.mean is None else found.verdict, []).append(row.variant)
    others = sum(map(len, groups.values()))
    if not others:
        return f"There is nothing to compare {baseline} with."
    better, worse = groups.pop("better", []), groups.pop("worse", [])
    noise, differs = groups.pop("within noise", []), groups.pop("differs", [])
    unknown, missing = groups.pop("cannot tell", []), groups.pop("", [])
    if len(unknown) == others:
        return f"With these runs nothing can be told apart from {baseline} on {metric}."
    if len(noise) == others:
        return f"Within noise on {metric}: nothing can be told apart from {baseline}."
    if len(worse) == others:
        return f"{baseline} beats {_names(worse)} on {metric}."
    clauses = []
    if better:
        clauses.append(f"{_names(better)} {'beats' if len(better) == 1 else 'beat'} {baseline} on {metric}")
    if differs:
        clauses.append(
            f"{_names(differs)} {'differs' if len(differs) == 1 else 'differ'} from {baseline} on {metric}"
        )
    if not clauses:
        clauses.append(f"nothing beats {baseline} on {metric}")
    clauses += [
        _are(worse, "worse"),
        _are(noise, "within noise"),
        _are(unknown, "not to be told apart"),
        f"{_names(missing)} {'has' if len(missing) == 1 else 'have'} no figure" if missing else "",
    ]
    text = "; ".join(filter(None, clauses))
    return (text if better or differs else text[0].upper() + text[1:]) + "."


def _worse_than_copying(results: Results) -> str:
    """Return a sentence on the variants whose mean is worse than what the input itself scores, if any is."""
    metrics_of: dict[tuple[str, ...], list[str]] = {}
    scored = {row.variant for row in results.table if row.n}
    for metric in results.metrics:
        copied = results.copied.get(metric.name)
        worse = tuple(
            row.variant
            for row in results.table
            if _is_worse_than_copying(row.metrics[metric.name], metric, copied)
        )
        if worse:
            metrics_of.setdefault(worse, []).append(metric.name)
    clauses: list[str] = []
    for names, metrics in metrics_of.items():
        told = "all variants" if len(names) == len(scored) > 1 else _names(names)
        are = "" if clauses else f" {'is' if len(names) == 1 else 'are'} worse than copying the input"
        clauses.append(f"{told}{are} on {listed(metrics)}")
    text = "; ".join(clauses)
    return f"{text.replace('all', 'All', 1) if text.startswith('all variants') else text}." if text else ""


def _is_worse_than_copying(found: MetricResult, metric: ReportedMetric, copied: float | None) -> bool:
    stands = against_copying(found.mean, copied, metric.better) or found.against_copying
    return stands == "worse than copying"


def _names(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"]
    return listed(names)


def _are(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    return f"{names[0]} is {what}" if len(names) == 1 else f"{len(names)} others are {what}"


# --- how it was judged ------------------------------------------------------------------------------


def how_judged(results: Results) -> list[str]:
    """Return in sentences how verdicts were made, and what would lead to others; nothing without verdicts."""
    found = [result for row in results.table for result in row.metrics.values()]
    counts = {
        sum(row.metrics[metric.name].corrected is not None for row in results.table)
        for metric in results.metrics
    } - {0}
    if not counts:
        return []
    if counts == {1}:
        said, level = "Verdicts are made at 5 %, with one comparison for each figure.", "5 %"
    elif len(counts) == 1:
        (count,) = counts
        said = (
            f"Verdicts are made at 5 % after Holm's correction over the {count} comparisons of each figure."
        )
        level = f"{5 / count:.3g} % (5 % / {count})"
    else:
        said = "Verdicts are made at 5 % after Holm's correction over the comparisons of each figure."
        level = "5 % / their number"
    if any(result.verdict == "within noise" and _leaves_out_zero(result.difference) for result in found):
        said = f"{said[:-1]}, so a difference may be within noise whose own interval leaves out zero."
    if all(result.seeds_needed is None for result in found):
        return [said]
    return [said, f"Seeds needed: to tell a difference of the size found four times in five, at {level}."]


def _leaves_out_zero(away: Difference | None) -> bool:
    return away is not None and away.low is not None and away.high is not None and away.low * away.high > 0


def seeds_needed(found: MetricResult) -> str:
    """Return how many seeds would tell a difference of the size found: ``about 12 seeds``."""
    if found.seeds_needed is None:
        return ""
    return f"> {MOST_SEEDS} seeds" if found.seeds_needed > MOST_SEEDS else f"about {found.seeds_needed} seeds"


def all_seeds_needed(results: Results) -> str:
    """Return in a sentence how many seeds the variants need that are within noise on the first metric."""
    if not results.metrics:
        return ""
    metric = results.metrics[0].name
    needed = [(row.variant, seeds_needed(row.metrics[metric])) for row in results.table]
    told = [f"{seeds} for {variant}" for variant, seeds in needed if seeds]
    return f"To tell a difference as large as that found on {metric}: {', '.join(told)}." if told else ""


def steps_of(results: Results) -> str:
    """Return how many steps the variants were trained for: ``300``, ``100 to 300``, nothing if none ended."""
    steps = sorted({variant.steps for variant in results.variants if variant.steps})
    return " to ".join(f"{value:,}" for value in dict.fromkeys((*steps[:1], *steps[-1:])))


BUDGETS: Mapping[str, str] = {
    "seconds": "{} seconds of the baseline's steps",
    "each_seconds": "{} seconds of each variant's own steps",
}
"""How a budget is told whose unit does not speak for itself."""


def length_of(results: Results) -> str:
    """Return how long the variants were trained, by the budget and in steps; nothing if nothing is known.

    ``1,200 steps``, ``300 seconds of each variant's own steps (900 to 2,100 steps)``.
    """
    length = ", ".join(
        BUDGETS.get(unit, f"{{}} {unit}").format(f"{n:,}") for unit, n in results.budget.items()
    )
    span = steps_of(results)
    if not span or set(results.budget) == {"steps"}:
        return length
    return f"{length} ({span} steps)" if length else f"{span} steps"


# --- numbers ----------------------------------------------------------------------------------------


def decimals(table: Sequence[VariantResult], metric: str) -> int:
    """Return how many decimals the column of a metric deserves."""
    found = [row.metrics[metric] for row in table]
    return places([each.mean for each in found], [each.deviation for each in found])


def places(means: Iterable[float | None], deviations: Iterable[float | None]) -> int:
    """Return how many decimals a column of means deserves: two digits of a usual deviation.

    That is three significant digits of a usual mean at least, and at most five.
    """
    sizes = [abs(mean) for mean in means if mean]
    spreads = [abs(spread) for spread in deviations if spread]
    least = 2 - _power(median(sizes)) if sizes else 2
    wanted = 1 - _power(median(spreads)) if spreads else least + 1
    return min(max(0, min(max(wanted, least), least + 2)), 12)


def _power(value: float) -> int:
    return math.floor(math.log10(value))


def fixed(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """Return a number with so many decimals, or with an exponent where it is out of all proportion."""
    if value is None:
        return NOTHING
    plus = "+" if sign and value > 0 else ""
    if abs(value) >= 1e9:
        return f"{plus}{value:.2e}"
    text = f"{value:,.{decimals}f}"
    # A minus before nothing but zeros says less than the zeros.
    return f"{plus}{text}" if float(text.replace(",", "")) else f"{0:.{decimals}f}"


def measured(mean: float | None, deviation: float | None, decimals: int) -> str:
    """Return a mean with its deviation, if it has one: ``0.0610 ± 0.0010``."""
    if mean is None or deviation is None:
        return fixed(mean, decimals)
    # A deviation that would show as nothing but zeros gets the digits that it needs.
    finest = max(decimals, -_power(deviation)) if deviation else decimals
    return f"{fixed(mean, decimals)} ± {fixed(deviation, min(finest, 12))}"


def difference(found: Difference | None, decimals: int) -> str:
    """Return a difference with its interval, if it has one: ``-0.0020 (-3.1 %) [-0.0040, +0.0001]``."""
    if found is None:
        return NOTHING
    return " ".join(filter(None, [effect(found, decimals), interval(found, decimals)]))


def effect(found: Difference, decimals: int) -> str:
    """Return a mean difference, in percent of the baseline too where that is known: ``-0.0020 (-3.1 %)``."""
    mean = fixed(found.mean, decimals, sign=True)
    if found.percent is None:
        return mean
    return f"{mean} ({fixed(found.percent, 1 if abs(found.percent) < 100 else 0, sign=True)} %)"


def interval(found: Difference, decimals: int) -> str:
    """Return the interval of a difference, nothing where it has none: ``[-0.0040, +0.0001]``."""
    if found.low is None or found.high is None:
        return ""
    low, high = (fixed(end, decimals, sign=True) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def compact(value: float | None) -> str:
    """Return a large number with three digits and a unit: ``54.4 M``."""
    if value is None:
        return NOTHING
    for unit in ("", " k", " M", " G", " T"):
        if abs(value) < 999.5 or unit == " T":
            break
        value /= 1000
    return f"{value:,.0f}{unit}" if not unit or abs(value) >= 100 else f"{value:#.3g}{unit}"


def trained(seconds: float | None) -> str:
    """Return the time of a training: ``48 s``, ``5:02``."""
    if seconds is None:
        return NOTHING
    return f"{seconds:#.2g} s".replace(". ", " ") if seconds < SHORT else clock(seconds)


def duration(seconds: float | None, deviation: float | None = None) -> str:
    """Return the time of a step: ``66.0 ms``, ``1.20 s``; with its deviation ``66.0 ms ± 1.2 ms``."""
    if seconds is None:
        return NOTHING
    if deviation is not None:
        return f"{duration(seconds)} ± {duration(deviation)}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:#.3g} ms".replace(". ", " ")
