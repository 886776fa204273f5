"""Scoring translations of a split, and what copying the input would score on the same pairs.

Metrics see images as they would be saved: quantised to the target's stored depth, in [0,1].
"""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2i.abilities import NeedsImages, Prepares
from i2i.errors import DataError, PluginError, RecipeError, described
from i2i.images import as_saved
from i2i.kinds import Metric
from i2i.networks import asked_of
from i2i.processes.group import ALONE, Group
from i2i.records import Batch, Direction, PairSpec, Split
from i2i.seeds import seeded
from i2i.system.device import Runtime

SEEN = 4
"""How many arguments the `update` of every metric is given: sources, translations, truths, ids."""

Translate = Callable[[Tensor], Tensor]

Spectator = Callable[[Batch, Tensor, Mapping[str, list[float]]], None]
"""Sees each batch as it is scored: its answers, and each figure of its images."""


@dataclass(frozen=True)
class Scores:
    """What metrics found: each figure over all images, and one value an image where a metric has any.

    `images` holds a list for each such figure, in the order of `ids`.
    """

    figures: dict[str, float] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    images: dict[str, list[float]] = field(default_factory=dict)

    def csv(self, *, beside: Mapping[str, Sequence[str]] | None = None) -> str:
        """Return a row for each image: its id, each figure of its own, and the columns `beside` these."""
        columns = {**self.images, **(beside or {})}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *columns])
        writer.writerows(zip(self.ids, *columns.values(), strict=True))
        return text.getvalue()


class Scorer:
    """Scores answers by the metrics of a recipe, the same way whoever asks.

    `draws` says for each metric how many answers to a source it sees: with more than one they come stacked,
    (draws,B,C,H,W). `directions` says for each figure which way is better.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        spec: PairSpec,
        runtime: Runtime,
        *,
        seed: int,
        draws: Mapping[str, int],
    ) -> None:
        self.metrics = metrics
        self.directions = directions(metrics)
        self._spec, self._runtime = spec, runtime
        self._seed, self._draws = seed, draws

    @property
    def unprepared(self) -> dict[str, Prepares]:
        """The metrics that look at the training split before they can score."""
        return {name: metric for name, metric in self.metrics.items() if isinstance(metric, Prepares)}

    def without(self, names: Collection[str]) -> Scorer:
        """Return a scorer that leaves some metrics out."""
        metrics = {name: metric for name, metric in self.metrics.items() if name not in names}
        return Scorer(metrics, self._spec, self._runtime, seed=self._seed, draws=self._draws)

    def check_count(self, split: Split, count: int) -> None:
        """Raise DataError where metrics of sets need more images than the `count` that a split has."""
        problems = [
            f"metrics.{name} needs at least {metric.fewest} images, and the split '{split}' has {count}: "
            "give it more, set the metric to fewer, or leave it out."
            for name, metric in self.metrics.items()
            if isinstance(metric, NeedsImages) and metric.fewest > count
        ]
        if problems:
            raise DataError(*problems)

    @torch.no_grad()
    def score(
        self,
        translate: Translate,
        batches: Iterable[Batch],
        *,
        spectator: Spectator | None = None,
        trial: bool = False,
        group: Group = ALONE,
    ) -> Scores:
        """Return every figure, by its name, over all batches; a `spectator` sees the first answer to each.

        The processes of a `group` translate batches in turns, and the first one scores them all in their
        order, so that the figures are those of one process, whatever a metric does; the others return none.

        Each answer is drawn under a seed of its own, so that two evaluations of the same weights agree. In a
        `trial` of few images metrics of sets are shown them, and asked for no figure.
        """
        scores = Scores()
        most = max((self._draws[name] for name in self.metrics), default=1)
        for metric in self.metrics.values() if group.rank == 0 else ():
            metric.reset()  # which may be of what it was prepared with: in the first process alone
        for number, batch in enumerate(batches):
            drawn = group.by_turns(number, partial(self._drawn, translate, batch, number, most))
            if drawn is None:
                continue
            real = as_saved(batch.target, self._spec.target)
            seen = as_saved(batch.source, self._spec.source)
            figures = dict[str, list[float]]()
            first = next(iter(drawn), batch.source)
            answers = [as_saved(answer, self._spec.target) for answer in drawn]
            scores.ids.extend(batch.ids)
            for name, metric in self.metrics.items():
                draws = self._draws[name]
                fake = torch.stack(answers[:draws]) if draws > 1 else answers[0]
                own = metric.update(seen, fake, real, batch.ids, **_fields_for(metric, batch))
                for figure, values in (own or {}).items():
                    figures[figure] = _one_each(name, figure, values, len(batch.ids))
                    scores.images.setdefault(figure, []).extend(figures[figure])
            if spectator is not None:
                spectator(batch, first, figures)
        group.sent()
        if group.rank:
            return scores
        for name, metric in self.metrics.items():
            if not (trial and isinstance(metric, NeedsImages)):
                scores.figures.update(_figures(name, metric))
        return scores

    def _drawn(self, translate: Translate, batch: Batch, number: int, draws: int) -> list[Tensor]:
        """Return so many answers to the batch with this number, each drawn under its own seed, on the CPU."""
        source, answers = self._runtime.place(batch.source), []
        for draw in range(draws):
            with seeded(self._seed, "evaluate", number, draw):
                answers.append(translate(source).cpu())
        return answers

    def copy_input(self, batches: Iterable[Batch], *, trial: bool = False) -> Scores:
        """Return what the source itself scores, by what is a score.

        Empty where it could not be a target, and where targets do not belong to their sources.
        """
        source, target = (
            (side.size, *((file.channels, file.one_hot) for file in side.files))
            for side in (self._spec.source, self._spec.target)
        )
        if source != target or not self._spec.aligned:
            return Scores()
        found = self.score(lambda image: image, batches, trial=trial)
        beside = {name for metric in self.metrics.values() for name in references_of(metric)}
        figures = {name: value for name, value in found.figures.items() if name not in beside}
        return replace(found, figures=figures)


def _fields_for(metric: Metric, batch: Batch) -> dict[str, Tensor]:
    """Return those of a batch's further fields that the `update` of a metric takes by name."""
    if not batch.extra:
        return {}
    return {name: batch.extra[name] for name in asked_of(metric, "update", SEEN) if name in batch.extra}


def _one_each(table: str, figure: str, values: Any, count: int) -> list[float]:
    """Return the values of a figure for the images of a batch, as numbers."""
    if not isinstance(values, Tensor) or tuple(values.shape) != (count,):
        told = described(values) if isinstance(values, Tensor) else f"as {described(values)}"
        raise PluginError(
            f"metrics.{table}: its update() gave '{figure}' {told} for {count} images: give a tensor with "
            "one number for each image, whatever the draws, or none at all."
        )
    numbers: list[float] = values.tolist()
    return numbers


def _figures(table: str, metric: Metric) -> dict[str, float]:
    """Return what a metric computed: a number for each figure that it declares, and maybe others."""
    computed = metric.compute()
    if not isinstance(computed, Mapping) or not metric.directions.keys() <= computed.keys():
        gave = (
            ", ".join(map(str, computed)) if isinstance(computed, Mapping) else f"a {type(computed).__name__}"
        )
        raise PluginError(
            f"metrics.{table}: its compute() gave {gave or 'nothing'}, and its `directions` declares "
            f"{', '.join(metric.directions)}: each of those has to be there."
        )
    figures = {}
    for name, value in computed.items():
        try:
            figures[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise PluginError(
                f"metrics.{table}: its compute() gave no number for '{name}': {error}."
            ) from error
    return figures


def definition(metric: Any) -> str:
    """Return how a metric defines its figures: its `definition`, else its class's docstring."""
    written = getattr(metric, "definition", "") or inspect.cleandoc(type(metric).__doc__ or "")
    return " ".join(written.partition("\nArgs:")[0].split())


def references_of(metric: Metric) -> tuple[str, ...]:
    """Return the names of the figures that a metric declares for its others to be compared with."""
    return tuple(getattr(metric, "references", ()))


def directions(metrics: Mapping[str, Metric]) -> dict[str, Direction]:
    """Return which way each figure is better: "min" or "max".

    Raises RecipeError when two metrics give a figure of one name, PluginError when one does not say.
    """
    found: dict[str, Direction] = {}
    owners: dict[str, str] = {}
    for table, metric in metrics.items():
        declared = getattr(metric, "directions", None)
        if not isinstance(declared, Mapping) or not set(declared.values()) <= {"min", "max"}:
            raise PluginError(
                f"metrics.{table}: its `directions` is {declared!r}: map the name of each figure to 'min' or "
                "'max'."
            )
        for name, way in declared.items():
            if name in owners:
                raise RecipeError(
                    f"metrics.{owners[name]} and metrics.{table} both give a figure '{name}': take one out."
                )
            owners[name], found[name] = table, way
    return found
