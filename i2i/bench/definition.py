"""What a benchmark compares: a recipe, its variants, seeds and a budget, from a file or the command line.

A variant is a recipe's base with some keys set over it, so its tables have a recipe's form and its
mistakes are told with the line they stand on.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len, Lt

from i2i.errors import Problem, RecipeError, did_you_mean
from i2i.plugins.schema import Schema, schema_of
from i2i.recipe.layers import MAX_DEPTH, Layer, from_part, read_settings, read_text
from i2i.recipe.origins import Origin, dotted
from i2i.recipe.requires import SECTION as REQUIRES
from i2i.recipe.toml_lines import KeyPath, TooDeepError, key_lines

FORMAT = 1
MOST_VARIANTS = 200
LONGEST_NAME = 100  # of a variant
TABLES = ("requires", "budget", "common", "variants", "swap", "executor", "resources")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VALUE = r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,\[\]"'])+"""
_VALUES = re.compile(rf"{_VALUE}(?:,{_VALUE})*")

Seed = Annotated[int, Ge(0), Lt(2**32)]


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """The keys above the first table of a benchmark's file.

    Args:
        benchmark: the format of the file, 1.
        name: what its folder and page are called.
        summary: the question, in a line.
        base: the recipe that is varied: a file beside this one, or a shipped name.
        seeds: how many seeds, from 0 up, or a list of them.
        metrics: the figures to report; the first decides the order. All of the recipe by default.
        baseline: the variant that others are compared with; the first by default.
        cells: the folder of trained cells, seen from this file, which several benchmarks may share.
        one_at_a_time: each value of `swap` alone against the recipe, rather than all combinations.
    """

    benchmark: int
    name: str
    summary: str = ""
    base: str
    seeds: Annotated[int, Ge(1), Lt(1000)] | Annotated[tuple[Seed, ...], Len(1, 1000)] = 3
    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    cells: Annotated[str, Len(1)] | None = None
    one_at_a_time: bool = False


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long each variant is trained, in one unit; none of them means as long as the recipe says.

    Args:
        steps: so many optimizer steps.
        epochs: so many times through the training pairs.
        images: so many training images, whatever the batch size.
        seconds: as many steps as the baseline takes in this time.
        each_seconds: as many steps as each variant takes in this time, by the time of its own steps.
    """

    steps: Annotated[int, Ge(1)] | None = None
    epochs: Annotated[float, Gt(0)] | None = None
    images: Annotated[int, Ge(1)] | None = None
    seconds: Annotated[float, Gt(0)] | None = None
    each_seconds: Annotated[float, Gt(0)] | None = None

    def as_table(self) -> dict[str, float]:
        """Return the one key that is set, if any."""
        table = {each.name: getattr(self, each.name) for each in fields(self)}
        return {key: value for key, value in table.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each cell is trained with; on CUDA each of its processes has a GPU of its own.

    Args:
        processes: so many processes train a cell as one; each has its share of every batch.
        nodes: so many machines share the processes of a cell, equally many each; only Slurm starts these.
        threads: of each process, on a CPU; without it `train.threads`, or its share of the cores.
    """

    processes: Annotated[int, Ge(1), Le(4096)] = 1
    nodes: Annotated[int, Ge(1), Le(4096)] = 1
    threads: Annotated[int, Ge(1), Le(1024)] | None = None


HEAD = schema_of(HeadSettings, owner="a benchmark")
BUDGET = schema_of(Budget, owner="[budget]")
RESOURCES = schema_of(Resources, owner="[resources]")


@dataclass(frozen=True)
class Variation:
    """One variant: its name, and what is laid over the base for it."""

    name: str
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Definition:
    """A benchmark as it was asked for; nothing of it has been checked against components yet.

    `base` is what `load_recipe` takes; `common` is laid over it for every variant. Where `swapped`, the
    variant that equals the base recipe, if there is one, is the baseline. `executor` is a component's
    table. `cells` is where trained cells are kept; None for the benchmark's own folder. `requires` holds
    the table of that name, with where each of its keys stands.
    """

    name: str
    summary: str
    base: str | Path
    variants: tuple[Variation, ...]
    seeds: tuple[int, ...]
    budget: Budget = field(default_factory=Budget)
    common: tuple[Layer, ...] = ()
    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    swapped: bool = False
    executor: Mapping[str, Any] = field(default_factory=lambda: {"use": "local"})
    cells: Path | None = None
    resources: Resources = field(default_factory=Resources)
    requires: Layer = field(default_factory=Layer)


def is_benchmark(path: Path) -> bool:
    """Whether a file is a benchmark's, rather than a recipe's. Raises RecipeError when it cannot be read."""
    return "benchmark" in _parse(path)[0]


def read_benchmark(path: Path) -> Definition:
    """Read a benchmark's file; raise RecipeError with every mistake in its own keys."""
    table, lines = _parse(path)
    shown = str(path)
    reader = _Reader(table, lines, shown)
    head = reader.read(HEAD, (), tables=TABLES)
    budget = reader.read(BUDGET, ("budget",))
    if len(budget) - list(budget.values()).count(None) > 1:
        reader.wrong(("budget",), "a budget is in one unit: steps, epochs, images, seconds or each_seconds")
    resources = reader.read(RESOURCES, ("resources",))
    if resources.get("processes", 1) % resources.get("nodes", 1):
        reader.wrong(("resources", "nodes"), "each node has as many processes of a cell: choose a divisor")
    if head.get("benchmark", FORMAT) != FORMAT:
        reader.wrong(("benchmark",), f"there is no such format of benchmarks; write `benchmark = {FORMAT}`")
    if not _NAME.fullmatch(head.get("name", "x")):
        reader.wrong(("name",), "a name becomes a folder's: letters, digits, '.', '_' and '-', at most 64")
    common = reader.layer(("common",), rank=-1)
    variants = [
        Variation(name, (reader.layer(("variants", name), rank=-2),)) for name in reader.tables("variants")
    ]
    for variant in variants:
        if not variant.name.strip() or not variant.name.isprintable() or len(variant.name) > LONGEST_NAME:
            message = f"a variant's name is plain words, at most {LONGEST_NAME} characters"
            reader.wrong(("variants", variant.name), message)
    swaps = reader.swaps()
    if bool(variants) == bool(swaps):
        have = "both" if variants else "neither"
        reader.wrong(("variants",), f"a benchmark has either [variants.NAME] or [swap]; here it has {have}")
    executor = reader.plain_table("executor", default={"use": "local"})
    names = [variant.name for variant in variants]
    baseline = head.get("baseline")
    if baseline is not None and variants and baseline not in names:
        close = did_you_mean(baseline, names) or f"; there are {', '.join(names)}"
        reader.wrong(("baseline",), f"no variant is called '{baseline}'{close}")
    reader.raise_any()
    beside = path.parent / head["base"]
    return Definition(
        name=head["name"],
        summary=head["summary"],
        base=beside if head["base"].endswith(".toml") else head["base"],
        variants=tuple(variants) or combinations(swaps, one_at_a_time=head["one_at_a_time"]),
        seeds=seeds_of(head["seeds"]),
        budget=Budget(**budget),
        common=(common,),
        metrics=head["metrics"],
        baseline=baseline or (variants[0].name if variants else None),
        swapped=bool(swaps),
        executor=executor,
        cells=None if head["cells"] is None else path.parent / head["cells"],
        resources=Resources(**resources),
        requires=reader.as_written(REQUIRES),
    )


def swapped(recipe: str, name: str, swaps: Sequence[str], *, one_at_a_time: bool) -> Definition:
    """Return the benchmark of ``KEY=VALUE,VALUE…`` texts over a recipe. Raises RecipeError."""
    read = [read_swap(text) for text in swaps]
    doubled = [key for key, _ in read if [other for other, _ in read].count(key) > 1]
    if doubled:
        raise RecipeError(f"--swap {doubled[0]} is given twice: write all of its values in one.")
    parts = [re.sub(r"[^A-Za-z0-9_-]+", "-", _label(key)) for key, _ in read]
    return Definition(
        name="-".join([name, *parts])[:64].rstrip("-"),
        summary="",
        base=recipe,
        variants=combinations(read, one_at_a_time=one_at_a_time),
        seeds=(0, 1, 2),
        swapped=True,
    )


Swap = tuple[str, Sequence[tuple[str, Layer]]]
"""A key, and for each of its values how it is written and the layer that sets it."""


def read_swap(text: str) -> Swap:
    """Read ``a.b=V1,V2``: TOML values or plain words; commas inside brackets and quotes do not split."""
    key, equals, values = text.partition("=")
    spot = f"--swap {text if len(text) <= 60 else text[:57] + '...'}"
    if not equals or not _VALUES.fullmatch(values):
        raise RecipeError(Problem("write it as KEY=VALUE,VALUE", file=spot))
    words = [word.strip() for word in re.findall(_VALUE, values)]
    return key.strip(), [(word, read_settings([f"{key}={word}"], option="--swap")) for word in words]


def combinations(swaps: Sequence[Swap], *, one_at_a_time: bool) -> tuple[Variation, ...]:
    """Return a variant for each combination of values, or for each value alone and the recipe as it is."""
    sizes = [len(values) for _, values in swaps]
    count = 1 + sum(sizes) if one_at_a_time else math.prod(sizes)
    if count > MOST_VARIANTS:
        raise RecipeError(
            f"that makes {count:,} variants, and at most {MOST_VARIANTS} can be compared: "
            "swap fewer values, or use --one-at-a-time."
        )
    long = len({_label(key) for key, _ in swaps}) < len(swaps)

    def named(key: str, written: str) -> str:
        value = written.strip("\"'")
        return value if key.endswith(".use") and not long else f"{key if long else _label(key)}={value}"

    if one_at_a_time:
        variants = [Variation("base")]
        variants += [
            Variation(named(key, value), (layer,)) for key, values in swaps for value, layer in values
        ]
    else:
        grid = itertools.product(*([(key, *value) for value in values] for key, values in swaps))
        variants = [
            Variation(
                ", ".join(named(key, value) for key, value, _ in cell), tuple(layer for *_, layer in cell)
            )
            for cell in grid
        ]
    return tuple(variants)


def seeds_of(given: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that a number or a list of them stands for."""
    seeds = tuple(range(given)) if isinstance(given, int) else tuple(given)
    if len(set(seeds)) < len(seeds):
        raise RecipeError("a seed is listed twice: the same run would be counted as two.")
    return seeds


def _label(key: str) -> str:
    """Return the short name of a key: its last part, or for `use` the table's."""
    parts = key.split(".")
    return parts[-2] if parts[-1] == "use" and len(parts) > 1 else parts[-1]


def _parse(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    text = read_text(path, str(path))
    try:
        lines = key_lines(text, depth=MAX_DEPTH)
        return tomllib.loads(text), lines
    except TooDeepError as error:
        raise RecipeError(Problem(str(error), file=str(path), line=error.line)) from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(Problem(f"this is not TOML: {error}", file=str(path))) from None


class _Reader:
    """Reads the parts of one file and gathers what is wrong with them."""

    def __init__(self, table: dict[str, Any], lines: Mapping[KeyPath, int], shown: str) -> None:
        self._table, self._lines, self._shown = table, lines, shown
        self._problems: list[Problem] = []

    def wrong(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a mistake at `path`."""
        origin = Origin(dotted(path), self._shown, self._lines.get(path))
        self._problems.append(origin.problem(message, hint))

    def raise_any(self) -> None:
        """Raise all that was noted, in the order of the lines."""
        if self._problems:
            raise RecipeError(*sorted(self._problems, key=lambda problem: problem.line or 0))

    def read(self, schema: Schema, path: KeyPath, *, tables: Sequence[str] = ()) -> dict[str, Any]:
        """Return the values of `schema`'s keys in the table at `path`."""
        table = self.plain_table(path[0], default={}) if path else self._table
        for key in table:
            if key not in schema.names and key not in tables:
                known = [*schema.names, *tables]
                message = f"unknown key '{key}' for {schema.owner}{did_you_mean(key, known)}"
                self.wrong((*path, key), message, f"keys: {', '.join(known)}")
        reading = schema.read(table)
        for key, message in reading.errors.items():
            self.wrong((*path, key), message)
        return reading.values

    def plain_table(self, name: str, *, default: dict[str, Any]) -> dict[str, Any]:
        """Return the table `name`, or the default where there is none."""
        table = self._table.get(name, default)
        if not isinstance(table, dict):
            self.wrong((name,), f"'{name}' is a table: write [{name}]")
            return default
        return table

    def tables(self, name: str) -> list[str]:
        """Return the names of the tables inside table `name`."""
        inside = self.plain_table(name, default={})
        for key, value in inside.items():
            if not isinstance(value, dict):
                self.wrong((name, key), f"[{name}] holds tables alone: write [{name}.NAME]")
        return [key for key, value in inside.items() if isinstance(value, dict)]

    def layer(self, path: KeyPath, *, rank: int) -> Layer:
        """Return the tables at `path` as something to lay over a recipe."""
        table: Any = self._table
        for part in path:
            table = table.get(part, {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            self.wrong(path, f"'{dotted(path)}' is a table: write [{dotted(path)}]")
            return Layer()
        try:
            return from_part(table, path, shown=self._shown, lines=self._lines, rank=rank)
        except RecipeError as error:
            self._problems.extend(error.problems)
            return Layer()

    def as_written(self, name: str) -> Layer:
        """Return the table `name`, if there is one, with where its keys stand: nothing of it is judged."""
        table = {name: self._table[name]} if name in self._table else {}
        lines = {path: line for path, line in self._lines.items() if path[0] == name}
        return Layer(table, {path: Origin(dotted(path), self._shown, line) for path, line in lines.items()})

    def swaps(self) -> list[Swap]:
        """Return what [swap] says: ``"a.b" = [V1, V2]``."""
        swaps: list[Swap] = []
        for key, values in self.plain_table("swap", default={}).items():
            if not isinstance(values, list) or not values:
                self.wrong(("swap", key), 'write the key in quotes and its values as a list: "a.b" = [1, 2]')
                continue
            layers = [(_written(value), read_settings({key: value})) for value in values]
            swaps.append((key, layers))
        return swaps


def _written(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
