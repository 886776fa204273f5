"""Running a benchmark in a folder: check, rehearse, train what is not trained yet, and write the answer.

The folder is enough to go on: what is finished is never trained again, and what was chosen at the
start (precision, threads, steps) stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from i2i._version import __version__
from i2i.bench.definition import Definition
from i2i.bench.jobs import Event, Job
from i2i.bench.results import SCHEMA, Figure, Outcome, read_outcome
from i2i.errors import DataError, Interrupted, Problem, RecipeError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.recipe.layers import read_settings
from i2i.recipe.merge import read_draft
from i2i.recipe.origins import Findings
from i2i.system.atomic import TEMPORARY, write_text
from i2i.system.lock import LOCK_FILE
from i2i.system.signals import Signals, watched

if TYPE_CHECKING:
    from i2i.bench.cells import Cell, Matrix
    from i2i.bench.rehearsal import Rehearsal
    from i2i.kinds import Executor

STATE = "benchmark.json"


class View(Protocol):
    """Whoever watches a benchmark."""

    def note(self, text: str) -> None: ...

    def tried(self, variant: str) -> None: ...

    def begin(self, cells: Mapping[str, tuple[str, int, int]], seconds: Mapping[str, float]) -> None:
        """Cells are about to be trained: by key their variant, seed and steps, and how long each may take."""

    def event(self, event: Event) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What a benchmark found, and where it was written; `code` is 0 where every cell was trained.

    `plan` holds the commands of the cells that are left, where they were asked for instead.
    """

    folder: Path
    results: Mapping[str, Any]
    code: int = 0
    plan: tuple[str, ...] = ()


class Benchmark:
    """One benchmark in its folder."""

    def __init__(
        self,
        definition: Definition,
        root: Path,
        *,
        catalog: Catalog,
        view: View,
        settings: Sequence[str] = (),
        device: str = "auto",
        plugin: Path | None = None,
    ) -> None:
        self._definition, self._root, self._catalog, self._view = definition, root, catalog, view
        self._settings, self._device = settings, device
        self._plugin = str(plugin.expanduser().resolve()) if plugin else None
        self._state = self._read_state()
        self._codes: dict[str, int] = {}
        self._errors: dict[str, str] = {}

    # --- the fast way ---------------------------------------------------------------------------

    def known(self) -> Answer | None:
        """Return the answer that stands in the folder, if nothing has changed and no cell is left.

        It imports no torch.
        """
        if self._state.get("fingerprint") != self._fingerprint():
            return None
        try:
            results = json.loads((self._root / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        about = {"schema": SCHEMA, "kind": "benchmark", "status": "done"}
        if not isinstance(results, dict) or not about.items() <= results.items():
            return None
        cells = [
            read_outcome(cell["variant"], cell["seed"], self._root / cell["folder"])
            for cell in results["cells"]
        ]
        if not all(cell.ended for cell in cells) or not (self._root / "report.html").is_file():
            return None
        return Answer(self._root, results, code=_code_of(cells, {}))

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

    def run(self, *, plan: bool = False) -> Answer:
        """Train what is left and write the answer, or with `plan` return the commands that would.

        Raises RecipeError, PluginError, DataError or ResourceError before anything is trained,
        Interrupted when a signal ended it after the cells at work had saved.
        """
        from i2i.bench.cells import Matrix

        asked = self._fingerprint()
        matrix = Matrix(self._definition, self._catalog, settings=self._settings)
        executor = self._executor()
        runtime = self._runtime(executor)
        rehearsals = self._rehearsals(matrix, runtime)
        figures = self._figures(matrix, rehearsals)
        cells = matrix.cells(steps=self._steps(matrix, rehearsals), precision=runtime["precision"])
        self._remember(rehearsals, runtime)
        jobs = {cell.key: self._job(cell.key, cell, runtime) for cell in cells}
        left = [cell for cell in cells if not self._outcome(cell).ended]
        if plan:
            return Answer(self._root, {}, plan=tuple(jobs[cell.key].command() for cell in left))
        with watched() as signals:
            if left:
                self._train(executor, left, jobs, rehearsals, signals)
            outcomes = [self._outcome(cell) for cell in cells]
            results = self._conclude(matrix, outcomes, figures, rehearsals, runtime)
            self._save_state({"fingerprint": asked})
        if signals.received is not None and not all(outcome.ended for outcome in outcomes):
            done = sum(outcome.ended for outcome in outcomes)
            raise Interrupted(
                signals.received,
                f"interrupted with {done} of {len(outcomes)} cells done; the state is saved. "
                f"To go on, run the same command again, with --out {self._root}",
            )
        return Answer(self._root, results, code=_code_of(outcomes, self._codes))

    def _train(
        self,
        executor: Executor,
        left: Sequence[Cell],
        jobs: Mapping[str, Job],
        rehearsals: Mapping[str, Rehearsal],
        signals: Signals,
    ) -> None:
        self._view.begin(
            {cell.key: (cell.variant, cell.seed, jobs[cell.key].steps) for cell in left},
            {cell.key: jobs[cell.key].steps * rehearsals[cell.variant].step_seconds for cell in left},
        )

        def report(event: Event) -> None:
            if event.status in ("failed", "diverged"):
                self._codes[event.key], self._errors[event.key] = event.code, event.error
            self._view.event(event)

        try:
            executor.run(
                [jobs[cell.key] for cell in left],
                report=report,
                stopped=lambda: signals.received is not None,
            )
        finally:
            self._view.end()

    # --- its parts ------------------------------------------------------------------------------

    def _read_state(self) -> dict[str, Any]:
        """Return what an earlier call wrote; refuse a folder of something else."""
        path = self._root / STATE
        if not path.is_file():
            found = {path.name for path in self._root.iterdir()} if self._root.is_dir() else set()
            if any(not name.startswith(TEMPORARY) for name in found - {LOCK_FILE}):
                raise RecipeError(f"{self._root} is not empty and holds no benchmark; choose another --out.")
            return {}
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = None
        if not isinstance(state, dict) or "name" not in state:
            raise DataError(f"{path} is damaged; choose another --out.")
        if state.get("schema") != SCHEMA:
            raise RecipeError(f"{path} was written by another version of i2i; choose another --out.")
        ours = {"name": self._definition.name, "base": self._base()}
        theirs = {key: state.get(key) for key in ours}
        if theirs != ours:
            raise RecipeError(
                f"{self._root} holds another benchmark, '{theirs['name']}' of {theirs['base']}; "
                "choose another --out."
            )
        return state

    def _base(self) -> str:
        """Return what the base is called, wherever it is seen from."""
        base = self._definition.base
        return Path(base).name if str(base).endswith(".toml") else str(base)

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

    def _runtime(self, executor: Executor) -> dict[str, Any]:
        """Return device, precision and threads: chosen once, and kept from then on."""
        kept: dict[str, Any] | None = self._state.get("runtime")
        if kept is not None:
            if self._device not in ("auto", kept["device"]):
                raise RecipeError(
                    f"{self._root} was begun on {kept['device']}, and --device asks for {self._device}: "
                    "choose another --out."
                )
            return kept
        from i2i.system.device import resolve

        threads = max(1, (os.cpu_count() or 1) // executor.at_once)
        runtime = resolve(self._device, "auto")
        return {"device": runtime.device, "precision": runtime.precision, "threads": threads}

    def _rehearsals(self, matrix: Matrix, runtime: Mapping[str, Any]) -> dict[str, Rehearsal]:
        """Try every variant, unless all of them were tried before as they are now."""
        from i2i.bench.cells import key_of
        from i2i.bench.rehearsal import Rehearsal, rehearse

        tried = {variant.name: key_of(variant.recipe) for variant in matrix.variants}
        if self._state.get("tried") == tried:
            return {name: Rehearsal(**record) for name, record in self._state["rehearsals"].items()}
        self._state["tried"] = tried
        for note in dict.fromkeys(note for variant in matrix.variants for note in variant.recipe.notes):
            self._view.note(note)
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            jobs = {}
            for number, variant in enumerate(matrix.variants):
                path = Path(folder) / f"{number}.toml"
                write_text(path, matrix.tried(variant, precision=runtime["precision"]).to_toml())
                place = str(path), "", os.getcwd(), runtime["device"], runtime["threads"]
                jobs[variant.name] = Job(variant.name, *place, 0, self._plugin)
            return rehearse(jobs, log=Path(folder) / "log", told=self._view.tried)

    def _figures(self, matrix: Matrix, rehearsals: Mapping[str, Rehearsal]) -> list[Figure]:
        """Return the figures to report: those asked for, or those that can be better or worse, or all."""
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
        wanted = self._definition.metrics or ranked or common
        return [Figure(name, common[name], definitions.get(name, "")) for name in dict.fromkeys(wanted)]

    def _steps(self, matrix: Matrix, rehearsals: Mapping[str, Rehearsal]) -> dict[str, int]:
        """Turn the budget into steps; seconds are turned once, by the baseline's own time."""
        budget = self._definition.budget
        if budget.seconds is not None:
            tried = {"seconds": budget.seconds, "baseline": self._state["tried"][matrix.baseline]}
            kept = self._state.get("seconds", {})
            if {key: kept.get(key) for key in tried} != tried:
                steps = max(1, int(budget.seconds / rehearsals[matrix.baseline].step_seconds))
                kept = self._state["seconds"] = tried | {"steps": steps}
            return dict.fromkeys(rehearsals, kept["steps"])
        lengths = {}
        for name, found in rehearsals.items():
            if budget.steps is not None:
                lengths[name] = budget.steps
            elif budget.epochs is not None:
                lengths[name] = -int(-budget.epochs * found.steps_per_epoch // 1)
            elif budget.images is not None:
                lengths[name] = -(-budget.images // found.images_per_step)
            else:
                lengths[name] = found.total_steps
        return lengths

    def _remember(self, rehearsals: Mapping[str, Rehearsal], runtime: Mapping[str, Any]) -> None:
        self._save_state(
            {
                "schema": SCHEMA,
                "name": self._definition.name,
                "base": self._base(),
                "fingerprint": None,  # the answer that stands in the folder, if any, is not to this
                "runtime": dict(runtime),
                "rehearsals": {name: found.record() for name, found in rehearsals.items()},
            }
        )

    def _save_state(self, changes: Mapping[str, Any]) -> None:
        self._state |= changes
        write_text(self._root / STATE, json.dumps(self._state, indent=2) + "\n", durable=True)

    def _job(self, key: str, cell: Cell, runtime: Mapping[str, Any]) -> Job:
        path = self._root / f"{cell.folder}.toml"
        if not path.is_file():
            write_text(path, cell.recipe.to_toml())
        assert cell.recipe.train.steps is not None
        return Job(
            key=key,
            recipe=str(path.resolve()),
            out=str((self._root / cell.folder).resolve()),
            folder=os.getcwd(),
            device=runtime["device"],
            threads=runtime["threads"],
            steps=cell.recipe.train.steps,
            plugin=self._plugin,
        )

    def _outcome(self, cell: Cell) -> Outcome:
        error = self._errors.get(cell.key, "")
        return read_outcome(cell.variant, cell.seed, self._root / cell.folder, error=error)

    def _conclude(
        self,
        matrix: Matrix,
        outcomes: Sequence[Outcome],
        figures: Sequence[Figure],
        rehearsals: Mapping[str, Rehearsal],
        runtime: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write results.json, results.csv, the pictures and the page, and return the results."""
        from i2i.bench.answer import conclude

        return conclude(
            self._definition,
            matrix,
            self._root,
            outcomes,
            figures=figures,
            rehearsals=rehearsals,
            runtime=runtime,
            catalog=self._catalog,
        )


def _code_of(outcomes: Sequence[Outcome], codes: Mapping[str, int]) -> int:
    """Return the exit code of the first cell that failed, 0 where none did."""
    from i2i.errors import EXIT_DIVERGED, EXIT_RESOURCES

    for outcome in outcomes:
        if outcome.status == "diverged":
            return EXIT_DIVERGED
        if outcome.status != "done":
            return codes.get(outcome.folder.name, EXIT_RESOURCES)
    return 0
