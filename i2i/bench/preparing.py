"""What is settled before the first cell of a benchmark is trained: variants are checked, tried and timed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i.bench.benchmark_file import State
from i2i.bench.budget import settled, steps_of
from i2i.bench.cells import Cell, Conditions, Matrix
from i2i.bench.data_files import files_digest
from i2i.bench.definition import Definition
from i2i.bench.executors import build_executor
from i2i.bench.figures import Wanted
from i2i.bench.keys import digest_of
from i2i.bench.observer import BenchmarkObserver
from i2i.bench.records import CellRecord
from i2i.bench.results import ReportedMetric
from i2i.bench.trials import Trials
from i2i.errors import RecipeError, did_you_mean
from i2i.plugins.catalog import Catalog

if TYPE_CHECKING:
    from i2i.bench.rehearsal import Rehearsal
    from i2i.kinds import Executor


@dataclass(frozen=True)
class Preparation:
    """All that is settled before the first cell is trained."""

    matrix: Matrix
    executor: Executor
    conditions: Conditions
    rehearsals: Mapping[str, Rehearsal]
    metrics: Sequence[ReportedMetric]
    cells: Sequence[Cell]
    wanted: Mapping[str, Wanted]

    def lacking(self, cell: Cell, record: CellRecord) -> list[str]:
        """Return the metrics that a finished cell has to be scored by, to have all that is reported."""
        if record.status != "done":
            return []
        return self.wanted[cell.variant].lacking(record, [metric.name for metric in self.metrics])


@dataclass(frozen=True)
class Preparing:
    """A benchmark in the folder `root`, as it is asked for; `state` is what earlier calls left."""

    definition: Definition
    root: Path
    catalog: Catalog
    observer: BenchmarkObserver
    settings: Sequence[str]
    device: str
    plugin: str | None
    state: State

    def prepare(self) -> tuple[Preparation, State]:
        """Check and try every variant, and settle the cells; return that, and what to remember from now on.

        Raises RecipeError, PluginError, DataError or ResourceError.
        """
        matrix = Matrix(self.definition, self.catalog, settings=self.settings)
        executor = build_executor(self.definition.executor, self.catalog)
        conditions = self._conditions(executor, matrix)
        tried = {variant.name: digest_of(variant.recipe) for variant in matrix.variants}
        files = files_digest(variant.recipe.table for variant in matrix.variants)
        if self._is_tried(tried, files):
            rehearsals = self.state.rehearsals
        else:
            trials = Trials(matrix, self.observer, self.plugin)
            if self.definition.resources.processes > 1:
                self.observer.note("What a step costs is measured in one process that has the whole batch.")
            rehearsals = trials.rehearse(conditions)
            first = self.state.runtime is None
            alone = self.definition.resources.processes == 1
            so_far = self._settled(matrix, conditions, tried, files, rehearsals)
            if first and alone and self._pays(matrix, so_far):
                conditions, rehearsals = trials.with_fewer_threads(
                    conditions, rehearsals, at_once=executor.at_once
                )
        metrics = reported(self.definition, rehearsals, baseline=matrix.baseline)
        state = self._settled(matrix, conditions, tried, files, rehearsals)
        cells = matrix.cells(
            steps=steps_of(self.definition.budget, state, matrix.trainings),
            precision=conditions.precision,
            data={name: found.data for name, found in rehearsals.items()},
        )
        wanted = {
            variant.name: Wanted.by(variant.recipe, rehearsals[variant.name].owners)
            for variant in matrix.variants
        }
        return Preparation(matrix, executor, conditions, rehearsals, metrics, cells, wanted), state

    def _is_tried(self, tried: Mapping[str, str], files: str) -> bool:
        """Whether the variants were tried as they are, over these data."""
        state = self.state
        if state.tried != tried or not all(found.owners for found in state.rehearsals.values()):
            return False
        if state.files not in ("", files):  # an earlier i2i did not look
            self.observer.note("Files of the data were written since the variants were tried: once more.")
        return state.files in ("", files)

    def _settled(
        self,
        matrix: Matrix,
        conditions: Conditions,
        tried: Mapping[str, str],
        files: str,
        rehearsals: Mapping[str, Rehearsal],
    ) -> State:
        """Return what is remembered from now on, with a budget of seconds turned into steps."""
        state = replace(self.state, runtime=conditions, tried=tried, files=files, rehearsals=rehearsals)
        budget = self.definition.budget
        return settled(budget, state, baseline=matrix.baseline, trainings=matrix.trainings)

    def _pays(self, matrix: Matrix, state: State) -> bool:
        """Whether the cells take so long that another number of threads could pay."""
        from i2i.engine.cost import SHORT

        trainings, seeds = matrix.trainings, len(self.definition.seeds)
        steps = steps_of(self.definition.budget, state, trainings)
        seconds = {trainings[name]: steps[name] * f.step_seconds for name, f in state.rehearsals.items()}
        return seeds * sum(seconds.values()) >= SHORT

    def _conditions(self, executor: Executor, matrix: Matrix) -> Conditions:
        """Return what an earlier call trained with, or choose."""
        kept = self.state.runtime
        if kept is not None:
            if self.device not in ("auto", kept.device):
                raise RecipeError(
                    f"{self.root} was begun on {kept.device}, and --device asks for {self.device}: "
                    "choose another --out."
                )
            return kept
        from i2i.system.device import resolve

        # Each cell at work has its share of the cores. Kept, as other threads give other last bits.
        asked = matrix.by_name(matrix.baseline).recipe.train.threads
        computing = executor.at_once * self.definition.resources.processes
        threads = asked or max(1, (os.cpu_count() or 1) // computing)
        runtime = resolve(self.device, "auto")
        return Conditions(runtime.device, runtime.precision, threads)


def reported(
    definition: Definition, rehearsals: Mapping[str, Rehearsal], *, baseline: str
) -> list[ReportedMetric]:
    """Return the metrics to report.

    They are those asked for; else those that can be better or worse, with what their metrics give to
    compare them with; else all. Raises RecipeError.
    """
    from i2i.bench.rehearsal import common_figures

    common = common_figures(rehearsals)
    if not common:
        raise RecipeError("the variants have no metric in common: add one to all of them.")
    for name in definition.metrics:
        if name not in common:
            close = did_you_mean(name, common) or f"; there are {', '.join(common)}"
            raise RecipeError(f"'{name}' is no figure that every variant gives{close}")
    definitions = rehearsals[baseline].definitions
    ranked = [name for name in common if common[name]]
    ranked += [name for name in rehearsals[baseline].references if name in common]
    wanted = definition.metrics or ranked or common
    return [ReportedMetric(name, common[name], definitions.get(name, "")) for name in dict.fromkeys(wanted)]
