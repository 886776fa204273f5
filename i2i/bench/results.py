"""The answer of a benchmark or of a comparison, as records: what results.json holds and the views draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from i2i.bench.outcomes import ENDED
from i2i.bench.records import TrainedOn
from i2i.bench.statistics import Difference, Verdict
from i2i.records import Direction

SCHEMA = 1

Change = tuple[str, object, object]
"""A dotted key of a recipe, its value in the baseline and its value here; None where a recipe lacks it."""


@dataclass(frozen=True)
class ReportedMetric:
    """One figure that is reported: which way is better (None: neither), and how it is defined."""

    name: str
    better: Direction | None
    definition: str = ""


@dataclass(frozen=True)
class Interval:
    """The ends of a 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class MetricResult:
    """One metric of one variant: over its `n` seeds, and against the baseline.

    `values` has one for each seed, None where a run has no finite one; `mean` and `deviation` (n - 1) are
    None unless all are there. `difference` is paired by seed; `images` is the interval over images.
    `against_copying` says in words how the seeds stand to copying the input, nothing where none can tell.
    `corrected` is the difference's p-value after Holm's correction, by which `verdict` was found. Where it is
    within noise, `seeds_needed` would tell a difference of this size (`statistics.seeds_needed`).
    """

    values: Sequence[float | None] = ()
    mean: float | None = None
    deviation: float | None = None
    n: int = 0
    difference: Difference | None = None
    images: Interval | None = None
    verdict: Verdict = "cannot tell"
    against_copying: str = ""
    corrected: float | None = None
    seeds_needed: int | None = None


@dataclass(frozen=True)
class TimeToBaseline:
    """How long a variant takes to the `score` that the baseline ends with, as means over seeds.

    `seeds` of `of` shared seeds got there; `steps` and `seconds` are None unless all of them did.
    """

    metric: str
    score: float
    steps: float | None
    seconds: float | None
    seeds: int
    of: int


@dataclass(frozen=True)
class Cost:
    """What a variant costs; None is what nobody measured.

    Parameters are sums over networks. `receptive_field` is by discriminator, in pixels, 0 for the whole
    image. `flops_per_step` counts multiplications and additions, forward and backward. `step_seconds` is the
    median of several turns, and `step_deviation` their deviation (n - 1); `image_seconds` is what one image
    takes to be translated. `steps` are those of its runs, where all have as many, and `train_seconds` the
    mean time that these took in a run, without validating and saving.
    """

    generator_parameters: int | None = None
    discriminator_parameters: int | None = None
    receptive_field: Mapping[str, int | None] = field(default_factory=dict)
    flops_per_step: float | None = None
    step_seconds: float | None = None
    peak_memory_mb: float | None = None
    images_per_second: float | None = None
    reached: TimeToBaseline | None = None
    step_deviation: float | None = None
    image_seconds: float | None = None
    steps: int | None = None
    train_seconds: float | None = None


@dataclass(frozen=True)
class VariantResult:
    """A row of the table: one variant's metrics by name, over `n` finished runs, and its cost."""

    variant: str
    baseline: bool
    n: int
    metrics: Mapping[str, MetricResult]
    cost: Cost


@dataclass(frozen=True)
class ComparedVariant:
    """What a variant is: the keys in which its recipe differs, and its length if a run has ended."""

    name: str
    changes: Sequence[Change]
    steps: int | None


@dataclass(frozen=True)
class CellResult:
    """One run; `folder` is seen from that of results.json, `copy_input` is what the source itself scores.

    `images_per_second` and `peak_memory_mb` are as the run itself measured them; it took `seconds` as a
    whole, and its steps `train_seconds`, without validating and saving.
    """

    variant: str
    seed: int
    folder: str
    status: str
    error: str
    steps: int | None
    metrics: Mapping[str, float | None]
    copy_input: Mapping[str, float | None]
    seconds: float | None
    images_per_second: float | None = None
    peak_memory_mb: float | None = None
    trained_on: TrainedOn | None = None
    train_seconds: float | None = None


@dataclass(frozen=True)
class MetricCurve:
    """One metric of one variant at each validation: the mean over seeds, and the least and the most."""

    steps: Sequence[int] = ()
    mean: Sequence[float | None] = ()
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True)
class PicturedPair:
    """One held-out pair: its id, and the files of both sides."""

    id: str
    source: str
    target: str


@dataclass(frozen=True)
class Pictures:
    """The same held-out images, as the models of one seed translate them; files are seen from results.json.

    `outputs` has for each variant a file for each image, or None. `seed` is None for models of several.
    """

    images: Sequence[PicturedPair]
    outputs: Mapping[str, Sequence[str | None]]
    seed: int | None


@dataclass(frozen=True)
class Environment:
    """What was computed on, and with what; in a comparison each may name several, in one text."""

    i2i: str | None = None
    python: str | None = None
    torch: str | None = None
    platform: str | None = None
    processor: str | None = None
    cores: int | str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | str | None = None


@dataclass(frozen=True)
class UsedPlugin:
    """A plug-in whose components took part."""

    namespace: str
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that was found: of a benchmark, or of a comparison of runs that existed already.

    `table` begins with the best mean of the first of `metrics`; `curves` are by variant and metric.
    `go_on` is the command that goes on with a benchmark that is incomplete.
    """

    schema: int = SCHEMA
    kind: Literal["benchmark", "comparison"]
    name: str
    summary: str
    credit: str
    status: Literal["done", "incomplete"]
    baseline: str
    seeds: Sequence[int]
    budget: Mapping[str, int | float]
    environment: Environment
    plugins: Sequence[UsedPlugin]
    metrics: Sequence[ReportedMetric]
    notes: Sequence[str]
    variants: Sequence[ComparedVariant]
    cells: Sequence[CellResult]
    table: Sequence[VariantResult]
    curves: Mapping[str, Mapping[str, MetricCurve]]
    pictures: Pictures | None = None
    go_on: str = ""

    @property
    def ended(self) -> int:
        """How many cells have ended: training them again would change nothing."""
        return sum(cell.status in ENDED for cell in self.cells)

    @property
    def copied(self) -> dict[str, float]:
        """What copying the input scores, where all cells agree: it depends on the data alone."""
        found: dict[str, set[float | None]] = {}
        for cell in self.cells:
            for name, value in cell.copy_input.items():
                found.setdefault(name, set()).add(value)
        agreed = {name: values.pop() for name, values in found.items() if len(values) == 1}
        return {name: value for name, value in agreed.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, None for what is no finite number; keys keep the order they always had."""
        written: dict[str, Any] = _json_of(self)
        if self.kind == "comparison":
            for row in written["table"]:
                for key in ("peak_memory_mb", "reached"):
                    row["cost"][key] = row["cost"].pop(key)
        return written


def read_results(written: object) -> Results:
    """Return the results that JSON values hold. Raises ValueError when they hold no such thing."""
    return _RESULTS.validate_python(written)


_RESULTS = TypeAdapter(Results)

LATER: Mapping[type, frozenset[str]] = {
    Difference: frozenset({"percent", "deviation", "p"}),
    MetricResult: frozenset({"against_copying", "corrected", "seeds_needed"}),
    Cost: frozenset({"step_deviation", "image_seconds", "steps", "train_seconds"}),
    CellResult: frozenset({"images_per_second", "peak_memory_mb", "trained_on", "train_seconds"}),
    Results: frozenset({"go_on"}),
}
"""Fields that the first version's files do not have: they are left out where they say nothing."""


def _json_of(value: Any) -> Any:
    if is_dataclass(value):
        later = LATER.get(type(value), frozenset())
        told = {each.name: getattr(value, each.name) for each in fields(value)}
        return {key: _json_of(own) for key, own in told.items() if key not in later or own not in (None, "")}
    if isinstance(value, Mapping):
        return {key: _json_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_of(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
