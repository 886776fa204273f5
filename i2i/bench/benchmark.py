"""Running a benchmark in a folder: check, rehearse, train what is not trained yet, and write the answer.

The folder is enough to go on: what is finished is never trained again, and what was chosen at the
start (precision, threads, steps) stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from i2i._version import __version__
from i2i.bench.benchmark_file import SecondsAsSteps, State, read_state, write_state
from i2i.bench.cells import Cell, Conditions, Matrix, Variant, key_of
from i2i.bench.definition import Definition
from i2i.bench.jobs import Event, Job
from i2i.bench.outcomes import RunOutcome, read_outcome
from i2i.bench.results import SCHEMA, ReportedMetric, Results, read_results
from i2i.errors import Interrupted, Problem, RecipeError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.recipe.layers import read_settings
from i2i.recipe.merge import read_draft
from i2i.recipe.origins import Findings
from i2i.system.atomic import write_text
from i2i.system.signals import Signals, watched

if TYPE_CHECKING:
    from i2i.bench.rehearsal import Rehearsal
    from i2i.kinds import Executor


@dataclass(frozen=True)
class PlannedCell:
    """A cell that is about to be trained, and the `seconds` that it may take."""

    variant: str
    seed: int
    steps: int
    seconds: float


class BenchmarkObserver(Protocol):
    """Whoever watches a benchmark. `begin` comes once, before the first `event`; `end` ends what it began."""

    def stage(self, text: str) -> None:
        """Something begins that may take a while, before the first cell or after the last."""

    def stopping(self) -> None:
        """A signal asks for the end, which comes once the cells at work have saved."""

    def note(self, text: str) -> None:
        """Take a sentence for the person."""

    def tried(self, variant: str) -> None:
        """A variant went through its dry pass."""

    def begin(self, cells: Mapping[str, PlannedCell]) -> None:
        """These cells, by key, are about to be trained."""

    def event(self, event: Event) -> None:
        """Take what an executor reports of a cell."""

    def end(self) -> None:
        """Leave the terminal as it was."""


@dataclass(frozen=True)
class Answer:
    """What a benchmark found, which is written in its folder; `code` is 0 where every cell was trained."""

    results: Results
    code: int = 0


@dataclass(frozen=True)
class _Preparation:
    """All that is settled before the first cell is trained."""

    matrix: Matrix
    executor: Executor
    conditions: Conditions
    rehearsals: Mapping[str, Rehearsal]
    metrics: Sequence[ReportedMetric]
    cells: Sequence[Cell]
    jobs: Mapping[str, Job]


class Benchmark:
    """One benchmark in its folder."""

    def __init__(
        self,
        definition: Definition,
        root: Path,
        *,
        catalog: Catalog,
        observer: BenchmarkObserver,
        settings: Sequence[str] = (),
        device: str = "auto",
        plugin: Path | None = None,
    ) -> None:
        self._definition, self._root, self._catalog, self._observer = definition, root, catalog, observer
        self._settings, self._device = settings, device
        self._plugin = str(plugin.expanduser().resolve()) if plugin else None
        base = Path(definition.base).name if str(definition.base).endswith(".toml") else str(definition.base)
        self._state = read_state(root, name=definition.name, base=base)
        # What executors told of cells that left no summary to read it from.
        self._codes: dict[str, int] = {}
        self._errors: dict[str, str] = {}

    # --- the fast way ---------------------------------------------------------------------------

    def known(self) -> Answer | None:
        """Return the answer that stands in the folder, if nothing has changed and no cell is left.

        It imports no torch.
        """
        if self._state.fingerprint != self._fingerprint():
            return None
        try:
            results = read_results(json.loads((self._root / "results.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None
        if (results.schema, results.kind, results.status) != (SCHEMA, "benchmark", "done"):
            return None
        cells = [read_outcome(cell.variant, cell.seed, self._root / cell.folder) for cell in results.cells]
        if not all(cell.ended for cell in cells) or not (self._root / "report.html").is_file():
            return None
        return Answer(results, code=_code_of(cells, {}))

    def _fingerprint(self) -> str:
        """Return a hash of all that decides the answer and can be known without a component."""
        definition = self._definition
        settings = read_settings(self._settings)
        tables = []
        for variation in definition.variants:
            over = [*definition.common, settings, *variation.layers]
            draft = read_draft(definition.base, self._catalog, Findings(), over=over)
            tables.append([variation.name, draft.table])
        plugins = [self._catalog.record(name) for name in self._catalog.namespaces()]
        about = [
            tables,
            [definition.summary, definition.seeds, definition.metrics, definition.baseline],
            asdict(definition.budget),
            [(plugin.namespace, plugin.distribution, plugin.version) for plugin in plugins if plugin],
            [self._device, __version__, SCHEMA],
            Path(self._plugin).read_bytes().hex() if self._plugin else "",
        ]
        # The order counts: of the variants and of the metrics, the first one is special.
        return hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()

    # --- the whole way --------------------------------------------------------------------------

    def plan(self) -> list[str]:
        """Return the commands that would train the cells that are left. Raises as `run` does."""
        ready = self._prepare()
        return [ready.jobs[cell.key].command() for cell in self._left(ready)]

    def run(self) -> Answer:
        """Train what is left and write the answer.

        Raises RecipeError, PluginError, DataError or ResourceError before anything is trained,
        Interrupted when a signal ended it after the cells at work had saved.
        """
        asked = self._fingerprint()
        ready = self._prepare()
        left = self._left(ready)
        with watched() as signals:
            if left:
                self._train(ready, left, signals)
            # Read from the folders, whoever trained the cells and when: an executor's word is no evidence.
            self._observer.stage("comparing what was trained")
            outcomes = [self._outcome(cell) for cell in ready.cells]
            results = self._conclude(ready, outcomes)
            self._save(replace(self._state, fingerprint=asked))
        if signals.received is not None and not all(outcome.ended for outcome in outcomes):
            done = sum(outcome.ended for outcome in outcomes)
            raise Interrupted(
                signals.received,
                f"interrupted with {done} of {len(outcomes)} cells done; the state is saved. "
                f"To go on, run the same command again, with --out {self._root}",
            )
        return Answer(results, code=_code_of(outcomes, self._codes))

    def _prepare(self) -> _Preparation:
        """Check and try every variant, and settle the cells."""
        matrix = Matrix(self._definition, self._catalog, settings=self._settings)
        executor = self._executor()
        conditions = self._conditions(executor, matrix)
        tried = {variant.name: key_of(variant.recipe) for variant in matrix.variants}
        if self._state.tried == tried:
            rehearsals = self._state.rehearsals
        else:
            rehearsals = self._rehearse(matrix, conditions)
            if self._state.runtime is None and self._pays(
                self._settled(matrix, conditions, tried, rehearsals)
            ):
                conditions, rehearsals = self._with_fewer_threads(matrix, executor, conditions, rehearsals)
        metrics = self._metrics(matrix, rehearsals)
        state = self._settled(matrix, conditions, tried, rehearsals)
        cells = matrix.cells(steps=self._steps(state), precision=conditions.precision)
        # From here on the answer that stands in the folder, if any, is not to this.
        self._save(replace(state, fingerprint=None))
        jobs = {cell.key: self._job(cell, conditions) for cell in cells}
        return _Preparation(matrix, executor, conditions, rehearsals, metrics, cells, jobs)

    def _settled(
        self,
        matrix: Matrix,
        conditions: Conditions,
        tried: Mapping[str, str],
        rehearsals: Mapping[str, Rehearsal],
    ) -> State:
        """Return what is remembered from now on, with a budget of seconds turned into steps."""
        state = replace(self._state, runtime=conditions, tried=tried, rehearsals=rehearsals)
        if self._definition.budget.seconds is None:
            return state
        return replace(state, seconds=self._seconds_as_steps(state, matrix.baseline))

    def _left(self, ready: _Preparation) -> list[Cell]:
        return [cell for cell in ready.cells if not self._outcome(cell).ended]

    def _train(self, ready: _Preparation, left: Sequence[Cell], signals: Signals) -> None:
        planned = {}
        for cell in left:
            steps = ready.jobs[cell.key].steps
            seconds = steps * ready.rehearsals[cell.variant].step_seconds
            planned[cell.key] = PlannedCell(cell.variant, cell.seed, steps, seconds)
        self._observer.begin(planned)

        def report(event: Event) -> None:
            if event.status in ("failed", "diverged"):
                self._codes[event.key], self._errors[event.key] = event.code, event.error
            self._observer.event(event)

        told = False

        def stopped() -> bool:
            nonlocal told
            if signals.received is not None and not told:
                told = True
                self._observer.stopping()
            return signals.received is not None

        try:
            ready.executor.run([ready.jobs[cell.key] for cell in left], report=report, stopped=stopped)
        finally:
            self._observer.end()

    # --- its parts ------------------------------------------------------------------------------

    def _executor(self) -> Executor:
        """Build the executor that the benchmark names."""
        from i2i.plugins.schema import bind

        table = self._definition.executor
        ref = table.get("use", "local")
        if not isinstance(ref, str):
            raise RecipeError(Problem("`use` is the name of an executor, in quotes", "executor.use"))
        entry = self._catalog.get(("executor",), ref)
        bound = bind(entry, table)
        names = bound.schema.names
        problems = [Problem(message, f"executor.{key}") for key, message in bound.errors.items()]
        for key in bound.unknown:
            message = f"unknown key '{key}' for {entry.ref}{did_you_mean(key, names)}"
            problems.append(Problem(message, f"executor.{key}", hint=f"keys: {', '.join(names)}"))
        if problems:
            raise RecipeError(*problems)
        try:
            executor: Executor = bound.call()
        except ValueError as error:
            raise RecipeError(Problem(f"{entry.ref}: {error}", "executor")) from error
        return executor

    def _conditions(self, executor: Executor, matrix: Matrix) -> Conditions:
        """Return what an earlier call trained with, or choose."""
        kept = self._state.runtime
        if kept is not None:
            if self._device not in ("auto", kept.device):
                raise RecipeError(
                    f"{self._root} was begun on {kept.device}, and --device asks for {self._device}: "
                    "choose another --out."
                )
            return kept
        from i2i.system.device import resolve

        # Each cell at work has its share of the cores. Kept, as other threads give other last bits.
        asked = matrix.by_name(matrix.baseline).recipe.train.threads
        threads = asked or max(1, (os.cpu_count() or 1) // executor.at_once)
        runtime = resolve(self._device, "auto")
        return Conditions(runtime.device, runtime.precision, threads)

    def _rehearse(self, matrix: Matrix, conditions: Conditions) -> Mapping[str, Rehearsal]:
        """Try every variant."""
        from i2i.bench.rehearsal import rehearse

        for note in dict.fromkeys(note for variant in matrix.variants for note in variant.recipe.notes):
            self._observer.note(note)
        count = len(matrix.variants)
        self._observer.stage(f"trying {count} variant{'s' if count > 1 else ''}, and timing a step of each")
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            jobs = {
                variant.name: self._trial(matrix, variant, conditions, Path(folder) / f"{number}.toml")
                for number, variant in enumerate(matrix.variants)
            }
            return rehearse(jobs, log=Path(folder) / "log", tried=self._observer.tried)

    def _trial(self, matrix: Matrix, variant: Variant, conditions: Conditions, path: Path) -> Job:
        """Return the job that tries a variant; its recipe is written to `path`."""
        write_text(path, matrix.tried(variant, precision=conditions.precision).to_toml())
        place = str(path), "", os.getcwd(), conditions.device, conditions.threads
        return Job(variant.name, *place, 0, self._plugin)

    def _pays(self, state: State) -> bool:
        """Whether the cells take so long that another number of threads could pay."""
        from i2i.engine.cost import SHORT

        steps, seeds = self._steps(state), len(self._definition.seeds)
        return seeds * sum(steps[name] * f.step_seconds for name, f in state.rehearsals.items()) >= SHORT

    def _with_fewer_threads(
        self,
        matrix: Matrix,
        executor: Executor,
        conditions: Conditions,
        rehearsals: Mapping[str, Rehearsal],
    ) -> tuple[Conditions, Mapping[str, Rehearsal]]:
        """Return what all cells are trained with, and the rehearsals under that.

        Where many threads are slow with as many cells at work as will be, each cell gets fewer.
        """
        from i2i.bench.rehearsal import threads_beside

        baseline = matrix.by_name(matrix.baseline)
        if baseline.recipe.train.threads is not None or conditions.threads == 1 or conditions.device != "cpu":
            return conditions, rehearsals
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            threads = threads_beside(
                self._trial(matrix, baseline, conditions, Path(folder) / "baseline.toml"),
                at_once=executor.at_once,
                step_seconds=rehearsals[baseline.name].step_seconds,
                log=Path(folder) / "log",
            )
        if not threads.note:
            return conditions, rehearsals
        self._observer.note(threads.note)
        conditions = replace(conditions, threads=threads.count)
        return conditions, self._rehearse(matrix, conditions)  # their times were those of more threads

    def _metrics(self, matrix: Matrix, rehearsals: Mapping[str, Rehearsal]) -> list[ReportedMetric]:
        """Return the metrics to report.

        They are those asked for; else those that can be better or worse, with what their metrics give to
        compare them with; else all.
        """
        from i2i.bench.rehearsal import common_figures

        common = common_figures(rehearsals)
        if not common:
            raise RecipeError("the variants have no metric in common: add one to all of them.")
        for name in self._definition.metrics:
            if name not in common:
                close = did_you_mean(name, common) or f"; there are {', '.join(common)}"
                raise RecipeError(f"'{name}' is no figure that every variant gives{close}")
        definitions = rehearsals[matrix.baseline].definitions
        ranked = [name for name in common if common[name]]
        ranked += [name for name in rehearsals[matrix.baseline].references if name in common]
        wanted = self._definition.metrics or ranked or common
        return [
            ReportedMetric(name, common[name], definitions.get(name, "")) for name in dict.fromkeys(wanted)
        ]

    def _seconds_as_steps(self, state: State, baseline: str) -> SecondsAsSteps:
        """Turn a budget of seconds into steps of the baseline, once: its time is another at every trial."""
        seconds = self._definition.budget.seconds
        assert seconds is not None
        asked, kept = (seconds, state.tried[baseline]), state.seconds
        if kept is not None and (kept.seconds, kept.baseline) == asked:
            return kept
        return SecondsAsSteps(*asked, steps=max(1, int(seconds / state.rehearsals[baseline].step_seconds)))

    def _steps(self, state: State) -> dict[str, int]:
        """Turn the budget into steps of each variant."""
        budget = self._definition.budget
        lengths = {}
        for name, found in state.rehearsals.items():
            if budget.seconds is not None and state.seconds is not None:
                lengths[name] = state.seconds.steps
            elif budget.steps is not None:
                lengths[name] = budget.steps
            elif budget.epochs is not None:
                lengths[name] = math.ceil(budget.epochs * found.steps_per_epoch)
            elif budget.images is not None:
                lengths[name] = -(-budget.images // found.images_per_step)
            else:
                lengths[name] = found.total_steps
        return lengths

    def _save(self, state: State) -> None:
        self._state = state
        write_state(self._root, state)

    def _job(self, cell: Cell, conditions: Conditions) -> Job:
        # A file, so that any process, also one on another machine, or a person can train the cell. Its name
        # is a hash of the recipe, so one that is there holds the same.
        path = self._root / f"{cell.folder}.toml"
        if not path.is_file():
            write_text(path, cell.recipe.to_toml())
        assert cell.recipe.train.steps is not None
        return Job(
            key=cell.key,
            recipe=str(path.resolve()),
            out=str((self._root / cell.folder).resolve()),
            folder=os.getcwd(),
            device=conditions.device,
            threads=conditions.threads,
            steps=cell.recipe.train.steps,
            plugin=self._plugin,
        )

    def _outcome(self, cell: Cell) -> RunOutcome:
        error = self._errors.get(cell.key, "")
        return read_outcome(cell.variant, cell.seed, self._root / cell.folder, error=error)

    def _conclude(self, ready: _Preparation, outcomes: Sequence[RunOutcome]) -> Results:
        """Write results.json, results.csv, the pictures and the page, and return the results."""
        from i2i.bench.answer import conclude

        return conclude(
            self._definition,
            ready.matrix,
            self._root,
            outcomes,
            metrics=ready.metrics,
            rehearsals=ready.rehearsals,
            conditions=ready.conditions,
            catalog=self._catalog,
        )


def _code_of(outcomes: Sequence[RunOutcome], codes: Mapping[str, int]) -> int:
    """Return the exit code of the first cell that failed, 0 where none did."""
    from i2i.errors import EXIT_DIVERGED, EXIT_RESOURCES

    for outcome in outcomes:
        if outcome.status == "diverged":
            return EXIT_DIVERGED
        if outcome.status != "done":
            return codes.get(outcome.folder.name, EXIT_RESOURCES)
    return 0
