"""Runs that exist already, side by side: what differs in their recipes, and what came out.

Runs that differ in nothing but the seed are one variant; the first run's is the baseline. Everything is
read from the run folders, so nothing is trained, and figures that do not measure the same thing on the
same images are shown but never compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from i2i.bench.answer import notes, write_results
from i2i.bench.naming import names_of, plain_changes
from i2i.bench.outcomes import RunOutcome, read_outcome
from i2i.bench.pictures import make_pictures
from i2i.bench.results import (
    CellResult,
    Change,
    ComparedVariant,
    Cost,
    Environment,
    MetricResult,
    ReportedMetric,
    Results,
    UsedPlugin,
    VariantResult,
)
from i2i.bench.tabulate import cell_results, curves, tabulate
from i2i.bench.verdicts import judged
from i2i.bench.view.page import write_page
from i2i.building.probe import network_facts
from i2i.data.opening import Note, open_data, quiet
from i2i.engine.part_metrics import build_metrics
from i2i.engine.scoring import definition, directions, references_of
from i2i.errors import DataError, I2IError, PluginError, RecipeError
from i2i.models.trained import Trained, find_trained
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe, read_resolved
from i2i.runs import weights
from i2i.runs.folder import RunFolder
from i2i.runs.header import ModelHeader

CHOICES = ("device", "precision", "threads")
"""What a run chooses at its start, and bits depend on."""

OF_BATCHES = frozenset({"batch_size", "workers", "cache", "on_bad", "fingerprint"})
"""Keys of the data's table that change nothing in the images that are held out."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as its folder tells."""

    folder: Path
    table: Mapping[str, Any]
    summary: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        return int(self.table.get("seed", 0))


@dataclass(frozen=True)
class RunGroup:
    """Runs of one recipe, which are one variant, and how the recipe differs from the baseline's."""

    name: str
    runs: Sequence[FinishedRun]
    outcomes: Sequence[RunOutcome]
    changes: Sequence[Change]


def compare(
    folders: Sequence[Path],
    *,
    catalog: Catalog,
    out: Path | None = None,
    device: str = "auto",
    note: Note = quiet,
) -> Results:
    """Return the results of a comparison, and write results.json and report.html to `out`.

    Raises DataError for a folder without a finished run, RecipeError when there is nothing to compare by
    or `out` holds something else, PluginError when a metric's plug-in is gone or the data set raises.
    """
    if out is not None:
        _check_free(out)
    runs = [_read(folder) for folder in folders]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise RecipeError("a run is given twice: name each folder once.")
    variants = _variants(runs)
    first = variants[0]
    common = _common(variants)
    trained = find_trained(first.runs[0].folder, catalog=catalog)
    metrics, owners = _metrics(common, trained)
    outcomes = [outcome for variant in variants for outcome in variant.outcomes]
    names = [variant.name for variant in variants]
    costs = {variant.name: _cost(variant, catalog, note) for variant in variants}
    table = tabulate(outcomes, variants=names, baseline=first.name, metrics=metrics, costs=costs)
    warnings = []
    for variant in variants[1:]:
        unlike, why = _unlike(first, variant, owners)
        warnings += why
        table = [_withheld(row, unlike) if row.variant == variant.name else row for row in table]
    table = judged(table, metrics)  # anew: what is withheld is compared with nothing
    results = Results(
        kind="comparison",
        name=out.resolve().name if out else "comparison",
        summary=f"A comparison of {len(runs)} finished run{'s' if len(runs) > 1 else ''}.",
        credit="",
        status="done",
        baseline=first.name,
        seeds=sorted({run.seed for run in runs}),
        budget={},
        environment=_environment(runs),
        plugins=[UsedPlugin(**plugin) for plugin in _plugins(runs)],
        metrics=metrics,
        notes=[*warnings, *notes(outcomes, variants=names, metrics=metrics), *_remarks(variants, runs)],
        variants=[
            ComparedVariant(variant.name, variant.changes, variant.runs[0].summary.get("steps"))
            for variant in variants
        ],
        cells=[_from(out or Path(), cell) for cell in cell_results(outcomes, out or Path())],
        table=table,
        curves=curves(outcomes, names, metrics),
    )
    if out is not None:
        results = _illustrated(results, trained, variants, out, catalog=catalog, device=device)
        write_results(results, out)
        write_page(results, out)
    return results


# --- reading ----------------------------------------------------------------------------------------


def _check_free(out: Path) -> None:
    """Refuse a folder whose files a comparison would overwrite."""
    if RunFolder(out).holds_run():
        raise RecipeError(f"{out} holds a run; choose another --out.")
    if not (out / "report.html").exists() and not (out / "results.json").exists():
        return
    try:
        kind = json.loads((out / "results.json").read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, TypeError, KeyError):
        kind = None
    if kind != "comparison":
        raise RecipeError(f"{out} holds results of something else; choose another --out.")


def _read(folder: Path) -> FinishedRun:
    """Read one run; DataError where there is none, or it has not come to its end."""
    run = RunFolder(folder)
    if not run.holds_run():
        raise DataError(f"{folder} holds no run; give the folders of runs.")
    summary = run.summary()
    status = summary.get("status", "running")
    if status != "done":
        raise DataError(
            f"{folder} holds a run that is not finished ({status}): finish it with i2i run --out {folder}, "
            "or leave it out."
        )
    return FinishedRun(folder, read_resolved(folder / "resolved.toml"), summary, run.provenance())


def _variants(runs: Sequence[FinishedRun]) -> list[RunGroup]:
    """Put runs together that differ in nothing but the seed.

    A second run of one recipe and seed, say on another machine, is a variant of its own.
    """
    groups: list[list[FinishedRun]] = []
    for run in runs:
        for group in groups:
            same = not plain_changes(group[0].table, run.table) and _plugins([group[0]]) == _plugins([run])
            if same and run.seed not in {other.seed for other in group}:
                group.append(run)
                break
        else:
            groups.append([run])
    tables = [group[0].table for group in groups]
    names = names_of(tables, [[run.folder for run in group] for group in groups])
    return [
        RunGroup(
            name,
            group,
            [read_outcome(name, run.seed, run.folder) for run in group],
            plain_changes(tables[0], group[0].table),
        )
        for name, group in zip(names, groups, strict=True)
    ]


def _common(variants: Sequence[RunGroup]) -> list[str]:
    """Return the names of the figures that every run has."""
    given = [list(outcome.metrics) for variant in variants for outcome in variant.outcomes]
    common = [name for name in given[0] if all(name in names for names in given)]
    if not common:
        has = [f"{v.name} has {', '.join(v.outcomes[0].metrics) or 'none'}" for v in variants]
        raise RecipeError(f"the runs have no metric in common: {'; '.join(has)}.")
    return common


def _metrics(names: Sequence[str], trained: Trained) -> tuple[list[ReportedMetric], dict[str, str]]:
    """Return what the baseline's metrics say of each figure, and the name of the metric behind each."""
    metrics = build_metrics(trained.recipe, trained.header.generator(path=trained.path)[0])
    ways = directions(metrics)
    owners = {
        figure: name
        for name, metric in metrics.items()
        for figure in (*metric.directions, *references_of(metric))
    }
    reported = [
        ReportedMetric(name, ways.get(name), definition(metrics[owners[name]]) if name in owners else "")
        for name in names
    ]
    return reported, owners


# --- what can be compared ---------------------------------------------------------------------------


def _unlike(first: RunGroup, other: RunGroup, owners: Mapping[str, str]) -> tuple[set[str], list[str]]:
    """Return the figures of a variant that mean something else than the baseline's, and why."""
    data = [key for key, *_ in other.changes if key.startswith("data.") and key[5:] not in OF_BATCHES]
    if data and not _same_images(first.outcomes[0], other.outcomes[0]):
        why = (
            f"{other.name} was scored on other data than {first.name} ({', '.join(data)} differ): figures on "
            "different data cannot be compared, so no difference is given."
        )
        return set(other.outcomes[0].metrics), [why]
    measured = {key.split(".")[1] for key, *_ in other.changes if key.startswith("metrics.")}
    unlike = {
        figure for figure, name in owners.items() if name in measured and figure in other.outcomes[0].metrics
    }
    if not unlike:
        return set(), []
    why = f"{other.name} measures {', '.join(sorted(unlike))} in another way: no difference is given there."
    return unlike, [why]


def _same_images(one: RunOutcome, other: RunOutcome) -> bool:
    """Whether two runs were scored on the same images: of the same ids, whose inputs score the same."""
    shared = [name for name in one.copy_input if name in other.copy_input]
    ids = [{name for table in outcome.images.values() for name in table} for outcome in (one, other)]
    return (
        bool(shared)
        and all(one.copy_input[name] == other.copy_input[name] for name in shared)
        and (ids[0] == ids[1] or not all(ids))
    )


def _withheld(row: VariantResult, metrics: set[str]) -> VariantResult:
    """Return a variant's row without the differences of some metrics."""

    def alone(found: MetricResult) -> MetricResult:
        return replace(found, difference=None, images=None)

    found = {name: alone(result) if name in metrics else result for name, result in row.metrics.items()}
    reached = row.cost.reached
    if reached is not None and reached.metric in metrics:
        reached = None
    return replace(row, metrics=found, cost=replace(row.cost, reached=reached))


def _remarks(variants: Sequence[RunGroup], runs: Sequence[FinishedRun]) -> list[str]:
    """Return what a reader should know about runs that nobody planned together."""
    first = variants[0]
    seeds = {run.seed for run in first.runs}
    remarks = [
        f"{variant.name} shares no seed with {first.name}, and differences are paired by seed: train one of "
        f"them with --seed {min(seeds)} too."
        for variant in variants[1:]
        if not seeds & {run.seed for run in variant.runs}
    ]
    for choice in CHOICES:
        folders: dict[str, list[str]] = {}
        for run in runs:
            folders.setdefault(str(run.provenance["runtime"].get(choice)), []).append(run.folder.name)
        if len(folders) > 1:
            each = "; ".join(f"{value} in {', '.join(names)}" for value, names in folders.items())
            remarks.append(f"Not all runs have the same {choice} ({each}): their bits differ by that too.")
    if len({str(run.provenance.get("processor")) for run in runs}) > 1:
        remarks.append("The runs were made on different machines: their speeds cannot be compared.")
    return remarks


# --- beside the figures -----------------------------------------------------------------------------


def _cost(variant: RunGroup, catalog: Catalog, note: Note) -> Cost:
    """Return the size of a variant's networks, and the speed and memory that its runs measured."""
    cost = Cost(
        images_per_second=_mean(variant.runs, "images_per_second"),
        peak_memory_mb=_mean(variant.runs, "peak_memory_mb"),
    )
    folder = RunFolder(variant.runs[0].folder)
    try:
        recipe = load_recipe(folder.root / "resolved.toml", catalog=catalog)
        header = ModelHeader.read(weights.read(folder.model).header, path=folder.model)
        facts = network_facts(recipe, header.pair(path=folder.model))
    except I2IError as error:
        reason = error.problems[0].message
        note(f"{variant.name}: the size of its networks is not known: {reason}")
        return cost

    def parameters(section: str) -> int:
        return sum(fact.parameters for fact in facts if fact.section == section)

    return replace(
        cost,
        generator_parameters=parameters("generators"),
        discriminator_parameters=parameters("discriminators"),
        receptive_field={
            fact.name: fact.receptive_field for fact in facts if fact.receptive_field is not None
        },
    )


def _from(root: Path, cell: CellResult) -> CellResult:
    """Return a run with its folder as seen from `root`, so that both can be moved together."""
    with suppress(ValueError):  # another drive
        seen = os.path.relpath(root.resolve() / cell.folder, root.resolve())
        return replace(cell, folder=Path(seen).as_posix())
    return cell


def _mean(runs: Sequence[FinishedRun], key: str) -> float | None:
    values = [run.summary.get(key) for run in runs]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    return fmean(known) if known and len(known) == len(values) else None


def _environment(runs: Sequence[FinishedRun]) -> Environment:
    """Return what the runs ran on; where they differ, each of it."""

    def told(key: str) -> Any:
        of_runtime = key in ("precision", "threads")
        values = [(run.provenance["runtime"] if of_runtime else run.provenance).get(key) for run in runs]
        texts = list(dict.fromkeys(str(value) for value in values if value is not None))
        return values[0] if len(texts) == 1 else ", ".join(texts)

    return Environment(**{each.name: told(each.name) for each in fields(Environment)})


def _plugins(runs: Sequence[FinishedRun]) -> list[dict[str, str]]:
    """Return the plug-ins of all runs; one that was there in two versions is there twice."""
    found = {
        json.dumps(plugin, sort_keys=True): plugin for run in runs for plugin in run.provenance["plugins"]
    }
    return [found[key] for key in sorted(found)]


def _illustrated(
    results: Results,
    trained: Trained,
    variants: Sequence[RunGroup],
    out: Path,
    *,
    catalog: Catalog,
    device: str,
) -> Results:
    """Add pictures and the attribution of the data; where the data is gone, say that instead."""
    shared = set.intersection(*({run.seed for run in variant.runs} for variant in variants))
    seed = min(shared) if shared else None
    models = {
        variant.name: RunFolder(
            next((r for r in variant.runs if r.seed == seed), variant.runs[0]).folder
        ).model
        for variant in variants
    }
    try:
        data = open_data(trained.recipe, "val")
        results = replace(results, credit=getattr(data, "credit", ""))
        pictures = make_pictures(models, trained.recipe, data, out, catalog=catalog, device=device)
    except I2IError as error:
        # A component that raised has its own exception behind the sentence. That is a fault to mend; data
        # or plug-ins that are no longer there are none.
        if isinstance(error, PluginError) and error.__cause__:
            raise
        note = f"There are no pictures: {error.problems[0].message}"
        return replace(results, notes=[*results.notes, note])
    return replace(results, pictures=replace(pictures, seed=seed))
