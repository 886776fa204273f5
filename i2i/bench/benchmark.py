"""Running a benchmark in a folder: check, rehearse, train what is not trained yet, and write the answer.

The folder is enough to go on: what is finished is never trained again, and what was chosen at the
start (precision, threads, steps) stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i._version import __version__
from i2i.bench.benchmark_file import State, read_state, write_state
from i2i.bench.cells import Cell, Conditions
from i2i.bench.data_files import files_digest
from i2i.bench.definition import Definition
from i2i.bench.jobs import Event, Job
from i2i.bench.observer import BenchmarkObserver, PlannedCell
from i2i.bench.outcomes import RunOutcome, outcome_of
from i2i.bench.preparing import Preparation, Preparing
from i2i.bench.records import CellRecord
from i2i.bench.results import SCHEMA, Results, read_results
from i2i.bench.store import Store, has_ended
from i2i.bench.verdicts import is_judged
from i2i.errors import Interrupted, RecipeError
from i2i.plugins.catalog import Catalog
from i2i.recipe.layers import read_settings
from i2i.recipe.merge import read_draft
from i2i.recipe.origins import Findings
from i2i.system.atomic import write_text
from i2i.system.signals import Signals, watched

if TYPE_CHECKING:
    pass

CELLS = "cells"
"""The store of a benchmark that names no other, in its folder."""


@dataclass(frozen=True)
class Answer:
    """What a benchmark found, which is written in its folder; `code` is 0 where every cell was trained."""

    results: Results
    code: int = 0


class Benchmark:
    """One benchmark in its folder; `command` is what was typed to start it, and goes on with it."""

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
        command: str = "",
    ) -> None:
        self._definition, self._root, self._catalog, self._observer = definition, root, catalog, observer
        self._settings, self._device, self._command = settings, device, command
        self._plugin = str(plugin.expanduser().resolve()) if plugin else None
        base = Path(definition.base).name if str(definition.base).endswith(".toml") else str(definition.base)
        self._state = read_state(root, name=definition.name, base=base)
        self._store = Store(definition.cells or root / CELLS, catalog, observer.note)
        # What executors told of cells that left no summary to read it from.
        self._failed: dict[str, Event] = {}

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
        there = all(has_ended(self._root / cell.folder) for cell in results.cells)
        if not there or not is_judged(results.table) or not (self._root / "report.html").is_file():
            return None
        return Answer(results, code=_code_of((cell.status, 0) for cell in results.cells))

    def _fingerprint(self) -> str:
        """Return a hash of all that decides the answer and can be known without a component."""
        definition = self._definition
        settings = read_settings(self._settings)
        tables: list[tuple[str, Mapping[str, Any]]] = []
        for variation in definition.variants:
            over = [*definition.common, settings, *variation.layers]
            draft = read_draft(definition.base, self._catalog, Findings(), over=over)
            tables.append((variation.name, draft.table))
        plugins = [self._catalog.record(name) for name in self._catalog.namespaces()]
        about = [
            tables,
            [definition.summary, definition.seeds, definition.metrics, definition.baseline],
            asdict(definition.budget),
            asdict(definition.resources),
            [(plugin.namespace, plugin.distribution, plugin.version) for plugin in plugins if plugin],
            [self._device, __version__, SCHEMA],
            files_digest(table for _, table in tables),
            Path(self._plugin).read_bytes().hex() if self._plugin else "",
        ]
        if definition.requires.table:
            about.append(definition.requires.table)
        # The order counts: of the variants and of the metrics, the first one is special.
        return hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()

    # --- the whole way --------------------------------------------------------------------------

    def plan(self) -> list[Job]:
        """Return what would train the cells that are left. Raises as `run` does."""
        ready = self._prepare()
        return [self._job(cell, ready.conditions) for cell in self._left(ready)]

    def run(self) -> Answer:
        """Train what is left and write the answer.

        Raises RecipeError, PluginError, DataError or ResourceError before anything is trained,
        Interrupted when a signal ended it after the cells at work had saved.
        """
        asked = self._fingerprint()
        ready = self._prepare()
        left = self._left(ready)
        if left and self._definition.resources.nodes > 1:
            raise RecipeError(
                "a cell over several machines is started by Slurm: write its array with --slurm, "
                "or leave resources.nodes out."
            )
        with watched() as signals:
            if left:
                self._train(ready, left, signals)
            self._complete(ready, signals)
            # Read from the store, whoever trained the cells and when: an executor's word is no evidence.
            self._observer.stage("comparing what was trained")
            outcomes = [self._outcome(ready, cell) for cell in ready.cells]
            results = self._conclude(ready, outcomes)
            stale = any(self._record(ready, cell) is None and self._store.other_data(cell) for cell in left)
            # Where the data have changed since they were tried, what was found out then is of no use.
            tried = {} if stale else self._state.tried
            self._save(replace(self._state, fingerprint=asked, tried=tried))
        if signals.received is not None and not all(outcome.ended for outcome in outcomes):
            done = sum(outcome.ended for outcome in outcomes)
            raise Interrupted(
                signals.received,
                f"interrupted with {done} of {len(outcomes)} cells done; the state is saved. "
                f"To go on, run the same command again, with --out {self._root}",
            )
        codes = [self._failed[cell.key].code if cell.key in self._failed else 0 for cell in ready.cells]
        return Answer(results, code=_code_of(zip((o.status for o in outcomes), codes, strict=True)))

    def _prepare(self) -> Preparation:
        asked = (self._settings, self._device, self._plugin, self._state)
        ready, state = Preparing(
            self._definition, self._root, self._catalog, self._observer, *asked
        ).prepare()
        # From here on the answer that stands in the folder, if any, is not to this.
        self._save(replace(state, fingerprint=None))
        return ready

    def _left(self, ready: Preparation) -> list[Cell]:
        """Return what is to be trained: what has no record, or none of all figures and no model to ask."""
        left: dict[str, Cell] = {}
        for cell in ready.cells:
            if self._is_left(ready, cell):
                left.setdefault(cell.key, cell)  # of those that share a training, the first one's recipe
        return list(left.values())

    def _is_left(self, ready: Preparation, cell: Cell) -> bool:
        found = self._record(ready, cell)
        if found is None or not ready.lacking(cell, found) or self._store.model(cell) is not None:
            return found is None
        told = f"{cell.variant}, seed {cell.seed}: its record lacks {', '.join(ready.lacking(cell, found))}"
        self._observer.note(f"{told}, and its model is not there to be scored: it is trained again.")
        self._store.begin_anew(cell)
        return True

    def _record(self, ready: Preparation, cell: Cell) -> CellRecord | None:
        return self._store.record(cell, better=ready.rehearsals[cell.variant].directions)

    def _train(self, ready: Preparation, left: Sequence[Cell], signals: Signals) -> None:
        from i2i.bench.training import CellTraining

        jobs = {cell.key: self._job(cell, ready.conditions) for cell in left}
        planned = {}
        for cell in left:
            steps = jobs[cell.key].steps
            seconds = steps * ready.rehearsals[cell.variant].step_seconds
            planned[cell.key] = PlannedCell(cell.variant, cell.seed, steps, seconds)
        self._observer.begin(planned)
        told = False

        def stopped() -> bool:
            nonlocal told
            if signals.received is not None and not told:
                told = True
                self._observer.stopping()
            return signals.received is not None

        def ended(cell: Cell) -> None:
            self._store.renew(cell, better=ready.rehearsals[cell.variant].directions)

        training = CellTraining(self._store, ready.executor, self._observer, ended, stopped)
        try:
            self._failed = training.train(left, jobs)
        finally:
            self._observer.end()

    def _complete(self, ready: Preparation, signals: Signals) -> None:
        """Take the figures that finished cells lack of their models."""
        from i2i.bench.figures import score

        for cell in ready.cells:
            found = self._record(ready, cell)
            model = self._store.model(cell)
            metrics = ready.lacking(cell, found) if found else []
            if signals.received is not None:
                return
            if metrics and model is not None:
                told = f"{', '.join(metrics)} of {cell.variant}, seed {cell.seed}, from its model"
                self._observer.stage(f"computing {told}")
                scoring = score(cell, model, metrics, conditions=ready.conditions, catalog=self._catalog)
                self._store.add(cell, scoring)

    # --- its parts ------------------------------------------------------------------------------

    def _save(self, state: State) -> None:
        self._state = state
        write_state(self._root, state)

    def _job(self, cell: Cell, conditions: Conditions) -> Job:
        self._store.make_room(cell)
        # A file, so that any process, also one on another machine, or a person can train the cell.
        path = self._root / CELLS / f"{cell.key}.toml"
        text = self._store.recipe(cell)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
        assert cell.recipe.train.steps is not None
        return Job(
            key=cell.key,
            recipe=str(path.resolve()),
            out=str(self._store.folder(cell).resolve()),
            folder=os.getcwd(),
            device=conditions.device,
            threads=conditions.threads,
            steps=cell.recipe.train.steps,
            plugin=self._plugin,
            processes=self._definition.resources.processes,
            nodes=self._definition.resources.nodes,
        )

    def _outcome(self, ready: Preparation, cell: Cell) -> RunOutcome:
        """Return what came of a cell; it has not ended while a figure is lacking."""
        found, failed = self._record(ready, cell), self._failed.get(cell.key)
        error = failed.error if failed else ""
        if found is None:
            return self._store.outcome(cell, error)
        wanted, of = ready.wanted[cell.variant], (cell.variant, cell.seed, self._store.folder(cell))
        outcome = outcome_of(found, *of, settings=wanted.settings, test=wanted.test)
        if ready.lacking(cell, found):
            return replace(outcome, status="failed" if error else "missing", error=error)
        return outcome

    def _conclude(self, ready: Preparation, outcomes: Sequence[RunOutcome]) -> Results:
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
            go_on=self._command,
        )


def _code_of(ended: Iterable[tuple[str, int]]) -> int:
    """Return the exit code of the first cell that failed, 0 where none did.

    `ended` has the status of each cell, and the exit code that an executor gave it, or 0.
    """
    from i2i.errors import EXIT_DIVERGED, EXIT_RESOURCES

    for status, code in ended:
        if status == "diverged":
            return EXIT_DIVERGED
        if status != "done":
            return code or EXIT_RESOURCES
    return 0
