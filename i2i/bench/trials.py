"""Trying the variants of a benchmark, and settling with how many threads its cells are trained."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from i2i.bench.cells import Conditions, Matrix, Variant
from i2i.bench.jobs import Job
from i2i.bench.keys import trial_of
from i2i.bench.observer import BenchmarkObserver
from i2i.bench.rehearsal import Rehearsal, Trial
from i2i.system.atomic import write_text


@dataclass(frozen=True)
class Trials:
    """The variants of a benchmark, each of which can be tried; `plugin` is the file of a local plug-in."""

    matrix: Matrix
    observer: BenchmarkObserver
    plugin: str | None

    def rehearse(self, conditions: Conditions) -> Mapping[str, Rehearsal]:
        """Try every variant; of those that differ in test keys alone the first, and how fast each answers."""
        from i2i.bench.rehearsal import rehearse

        variants = self.matrix.variants
        for note in dict.fromkeys(note for variant in variants for note in variant.recipe.notes):
            self.observer.note(note)
        alike: dict[str, list[str]] = {}
        for variant in variants:
            alike.setdefault(trial_of(variant.recipe), []).append(variant.name)
        count, of = len(alike), f" of {len(variants)} variants" if len(alike) < len(variants) else ""
        what = "training" if of else "variant"
        self.observer.stage(f"trying {count} {what}{'s' if count > 1 else ''}{of}, and timing a step of each")
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            jobs = {
                variant.name: self._job(variant, conditions, Path(folder) / f"{number}.toml")
                for number, variant in enumerate(variants)
            }
            trials = [Trial({name: jobs[name] for name in names}) for names in alike.values()]
            found = rehearse(trials, log=Path(folder) / "log", tried=self.observer.tried)
        return {variant.name: found[variant.name] for variant in variants}

    def with_fewer_threads(
        self, conditions: Conditions, rehearsals: Mapping[str, Rehearsal], *, at_once: int
    ) -> tuple[Conditions, Mapping[str, Rehearsal]]:
        """Return what all cells are trained with, and the rehearsals under that.

        Where many threads are slow with as many cells at work as will be, each cell gets fewer.
        """
        from i2i.bench.rehearsal import threads_beside

        baseline = self.matrix.by_name(self.matrix.baseline)
        if baseline.recipe.train.threads is not None or conditions.threads == 1 or conditions.device != "cpu":
            return conditions, rehearsals
        with tempfile.TemporaryDirectory(prefix="i2i-bench-") as folder:
            threads = threads_beside(
                self._job(baseline, conditions, Path(folder) / "baseline.toml"),
                at_once=at_once,
                step_seconds=rehearsals[baseline.name].step_seconds,
                log=Path(folder) / "log",
            )
        if not threads.note:
            return conditions, rehearsals
        self.observer.note(threads.note)
        conditions = replace(conditions, threads=threads.count)
        return conditions, self.rehearse(conditions)  # their times were those of more threads

    def _job(self, variant: Variant, conditions: Conditions, path: Path) -> Job:
        """Return the job that tries a variant; its recipe is written to `path`."""
        write_text(path, self.matrix.tried(variant, precision=conditions.precision).to_toml())
        place = str(path), "", os.getcwd(), conditions.device, conditions.threads
        return Job(variant.name, *place, 0, self.plugin)
