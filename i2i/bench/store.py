"""The store of cells: a run folder and a record for each, shared by all benchmarks that name it.

A cell is done where there is a record of it, wherever that was written. Its run folder holds the model, from
which a figure can be had that the record lacks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import tomli_w

from i2i.bench.cells import Cell
from i2i.bench.keys import ANY_TEST, Marks, key_of, metric_settings, settings_digest, values_at_test
from i2i.bench.outcomes import ENDED, RunOutcome, read_outcome
from i2i.bench.records import (
    CellRecord,
    DamagedRecordError,
    OtherVersionError,
    Scoring,
    read_record,
    write_record,
)
from i2i.errors import I2IError, InUseError
from i2i.plugins.catalog import Catalog
from i2i.plugins.versions import RESOLVED
from i2i.recipe.recipe import Recipe, load_recipe, load_sections, read_resolved
from i2i.records import Direction
from i2i.system.lock import held

if TYPE_CHECKING:
    from i2i.runs.folder import RunFolder

SECONDS_BETWEEN_TRIES = 0.1

Directions = Mapping[str, Direction | None]
"""Which way each figure is better; None for one to compare others with."""

NONE_KNOWN: Directions = MappingProxyType({})


def has_ended(folder: Path) -> bool:
    """Whether the cell with this run folder has ended, by its record or by its run. It imports no torch."""
    try:
        known = read_record(folder.with_name(f"{folder.name}.json")) is not None
    except DamagedRecordError:
        return False
    return known or read_outcome("", 0, folder).ended


@dataclass(frozen=True)
class Store:
    """The cells under `root`; `note` is told what a person should know of them."""

    root: Path
    catalog: Catalog
    note: Callable[[str], None]
    _keys: dict[str, Mapping[str, list[tuple[str, Recipe, Marks]]]] = field(default_factory=dict, repr=False)
    _anew: set[str] = field(default_factory=set, repr=False)

    def folder(self, cell: Cell) -> Path:
        """Return the run folder of a cell."""
        return self.root / self.name(cell)

    def file(self, cell: Cell) -> Path:
        """Return where the record of a cell stands."""
        return self.root / f"{self.name(cell)}.json"

    def name(self, cell: Cell) -> str:
        """Return what a cell is called here: its key, or the one that it had when it was begun.

        A component may have got a parameter since, or keys be made otherwise: a recipe of before means what
        it means today, as for a run that is gone on with. A cell of other data is another one. Of several
        that differ in test keys alone it is the one with the values of this cell, if there is one.
        """
        there = any((self.root / name).exists() for name in (cell.key, f"{cell.key}.json"))
        if there or cell.key in self._anew:
            return cell.key
        begun = self._begun_as(cell)
        test = values_at_test(cell.recipe) if begun[1:] else ANY_TEST
        alike = [name for name, recipe in begun if test.agree(test.said_in(recipe.table))]
        return next(iter([*alike, *(name for name, _ in begun)]), cell.key)

    def begin_anew(self, cell: Cell) -> None:
        """Let a cell that is to be trained again, though it was begun as several, be one from now on."""
        if len(self._begun_as(cell)) > 1:
            self._anew.add(cell.key)

    def _begun_as(self, cell: Cell) -> list[tuple[str, Recipe]]:
        found = self._begun_by_key(cell.data).get(cell.key, ())
        return [(name, recipe) for name, recipe, data in found if not self._others(data, cell)]

    def _begun_by_key(self, data: Marks) -> Mapping[str, list[tuple[str, Recipe, Marks]]]:
        """The cells that were here, by the keys that they would have today over these data.

        They are made once: each cell asks often, and most have the same data.
        """
        which = json.dumps(data, sort_keys=True, default=str)
        if which not in self._keys:
            found: dict[str, list[tuple[str, Recipe, Marks]]] = {}
            for name, recipe, own, processes in self._begun:
                key = key_of(recipe, data, processes=processes)
                found.setdefault(key, []).append((name, recipe, own))
            self._keys[which] = found
        return self._keys[which]

    @cached_property
    def _begun(self) -> list[tuple[str, Recipe, Marks, int]]:
        """The cells that were here when this was first asked.

        Of each, what it is called, its recipe, its data, and how many processes train it as one.
        """
        from i2i.runs.folder import RunFolder

        begun: dict[str, tuple[Path | Mapping[str, Any], Marks, int]] = {}
        for file in self.root.glob("*.json"):
            with suppress(DamagedRecordError):
                if (record := read_record(file)) is not None:
                    begun[file.stem] = record.recipe, record.data, record.trained.get("processes", 1)
        for file in self.root.glob(f"*/{RESOLVED}"):
            about = RunFolder(file.parent).sound_provenance() or {}
            begun[file.parent.name] = file, about.get("data", {}), about.get("processes", 1)
        found = []
        for name, (table, data, processes) in sorted(begun.items()):
            with suppress(I2IError):  # of a plug-in that is gone, say: it is not the cell that is wanted
                found.append((name, load_recipe(table, catalog=self.catalog), data, processes))
        return found

    def renew(self, cell: Cell, *, better: Directions) -> None:
        """Write the record of a cell anew, from the run that has just ended."""
        if (made := self._made(cell, better)) is not None:
            write_record(self.file(cell), made)

    def record(self, cell: Cell, *, better: Directions = NONE_KNOWN) -> CellRecord | None:
        """Return the record of a cell, which is made here of a run that has ended; None where there is none.

        A record of other data counts for none. `better` says which way figures are better. Raises
        DamagedRecordError for a damaged record, unless the run is there to make it again, and for one of
        another version.
        """
        damaged: DamagedRecordError | None = None
        try:
            found = read_record(self.file(cell))
        except OtherVersionError:
            raise
        except DamagedRecordError as error:
            found, damaged = None, error
        if found is not None and not self._others(found.data, cell):
            return found
        made = self._made(cell, better)
        if made is None:
            if damaged is not None:
                raise damaged
            return None
        write_record(self.file(cell), made)
        if damaged is not None:
            self.note(f"{self.file(cell)} was damaged: it is made again, from {self.folder(cell)}.")
        return made

    def add(self, cell: Cell, scoring: Scoring) -> CellRecord:
        """Add a scoring to what the record of a cell holds by now, and return it."""
        while True:
            try:
                with held(self.folder(cell)):
                    found = self.record(cell)
                    assert found is not None
                    found = found.with_scoring(scoring)
                    write_record(self.file(cell), found)
                    return found
            except InUseError:  # another benchmark does the same, or looks whether anybody trains here
                time.sleep(SECONDS_BETWEEN_TRIES)

    def model(self, cell: Cell) -> Path | None:
        """Return the model that a cell ended with, if it is still there."""
        run = self._run(cell)
        done = (run.sound_summary() or {}).get("status") == "done"
        return run.model if done and run.model.is_file() and not self.other_data(cell) else None

    def other_data(self, cell: Cell) -> list[str]:
        """Return in sentences how the data of a cell's run, also of its later starts, are others."""
        from i2i.engine.resuming import OTHER_DATA

        about = self._run(cell).sound_provenance() or {}
        each = [about.get("data", {}), *(start.get("data", {}) for start in about.get(OTHER_DATA, []))]
        return [told for data in each for told in self._others(data, cell)]

    def outcome(self, cell: Cell, error: str) -> RunOutcome:
        """Return what is known of a cell without a record; `error` is what an executor said of it."""
        found = read_outcome(cell.variant, cell.seed, self.folder(cell), error=error)
        if not found.ended:
            return found
        told = "; ".join(self.other_data(cell))
        error = f"it was trained on other data than those that the benchmark began with: {told}"
        return RunOutcome(cell.variant, cell.seed, found.folder, "failed", error, found.steps, found.seconds)

    # --- before a training ------------------------------------------------------------------------

    def make_room(self, cell: Cell) -> None:
        """Remove a run that cannot become this cell: one of other data, or one that ended without a model."""
        run = self._run(cell)
        with suppress(InUseError):
            if self._why_not(run, cell):
                with held(run.root):
                    if why := self._why_not(run, cell):
                        run.clear()
                        self.note(f"{run.root} {why}: {cell.variant}, seed {cell.seed}, is trained again.")

    def recipe(self, cell: Cell) -> str:
        """Return by which recipe to train a cell, as TOML.

        Where its run was begun, that is the one it was begun with, which may take other figures, over these
        data.
        """
        begun = self.folder(cell) / RESOLVED
        if not begun.is_file():
            return cell.recipe.to_toml()
        return tomli_w.dumps(read_resolved(begun) | {"data": cell.recipe.table["data"]})

    def _why_not(self, run: RunFolder, cell: Cell) -> str:
        if not run.holds_run():
            return ""
        if told := self.other_data(cell):
            return f"was trained on other data ({'; '.join(told)})"
        ended = (run.sound_summary() or {}).get("status") in ENDED
        return "has lost its model" if ended and not run.model.is_file() else ""

    # --- from a run's folder ----------------------------------------------------------------------

    def _run(self, cell: Cell) -> RunFolder:
        from i2i.runs.folder import RunFolder

        return RunFolder(self.folder(cell))

    def _others(self, data: Mapping[str, Any], cell: Cell) -> list[str]:
        from i2i.data.fingerprint import differences

        return differences(data, cell.data)

    def _made(self, cell: Cell, better: Directions) -> CellRecord | None:
        """Return a record of the cell's run, if that has ended and is of these data."""
        found = read_outcome(cell.variant, cell.seed, self.folder(cell))
        run = self._run(cell)
        if not found.ended or self.other_data(cell):
            return None
        about, summary = run.sound_provenance() or {}, run.summary()
        done = found.status == "done"
        return CellRecord(
            key=self.name(cell),
            status="done" if done else "diverged",
            recipe=cell.recipe.table,
            steps=found.steps,
            seconds=found.seconds,
            images_per_second=summary.get("images_per_second"),
            peak_memory_mb=summary.get("peak_memory_mb"),
            trained={
                name: about[name]
                for name in ("i2i", "torch", "device", "runtime", "plugins")
                if name in about
            }
            | ({"processes": cell.processes} if cell.processes > 1 else {}),
            data=about.get("data", {}),
            scorings=[self._scoring(run, found, about, better, cell)] if done else [],
            curve=found.curve,
            error=found.error,
        )

    def _scoring(
        self, run: RunFolder, found: RunOutcome, about: Mapping[str, Any], better: Directions, cell: Cell
    ) -> Scoring:
        """Return what the last validation of a run found, with the settings of its own metrics.

        Its test keys had the values of the recipe that it was begun with, which may be another cell's.
        """
        versions = {plugin["namespace"]: plugin["version"] for plugin in about.get("plugins", [])}
        try:
            recipe = load_sections(run.root / RESOLVED, ("metrics",), catalog=self.catalog)
            settings = metric_settings(recipe, versions=versions)
            test = values_at_test(cell.recipe).said_in(read_resolved(run.root / RESOLVED))
        except I2IError as error:
            # Figures of metrics that are gone are nobody's: what is wanted is computed from the model.
            self.note(f"The metrics of {run.root} are not to be had, so its figures are taken anew: {error}")
            settings, test = {}, {}
        ids = list(next(iter(found.images.values()), {}))
        return Scoring(
            metrics={settings_digest(each): each for each in settings.values()},
            figures=found.metrics if settings else {},
            copy_input=found.copy_input,
            better={name: better[name] for name in found.metrics if name in better},
            ids=ids,
            images={name: [values[each] for each in ids] for name, values in found.images.items()},
            test=test,
        )
