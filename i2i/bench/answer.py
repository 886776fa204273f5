"""The answer of a benchmark in its folder: results.json, .csv and .md, table.csv, pictures, report.html."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from i2i._version import __version__
from i2i.bench.keys import values_at_test
from i2i.bench.outcomes import RunOutcome
from i2i.bench.pictures import make_pictures, sheet
from i2i.bench.results import (
    Change,
    ComparedVariant,
    Cost,
    Environment,
    Pictures,
    ReportedMetric,
    Results,
    UsedPlugin,
)
from i2i.bench.tabulate import cell_results, curves, tabulate
from i2i.bench.view.csv_tables import csv_of_cells, csv_of_table
from i2i.bench.view.markdown import markdown
from i2i.bench.view.page import write_page
from i2i.data.opening import open_data
from i2i.pages.numbers import against_copying
from i2i.system.atomic import write_bytes, write_text
from i2i.system.facts import processor

if TYPE_CHECKING:
    from i2i.bench.cells import Conditions, Matrix
    from i2i.bench.definition import Definition
    from i2i.bench.rehearsal import Rehearsal
    from i2i.plugins.catalog import Catalog

SAME_IMAGES = ("data.batch_size", "data.workers", "data.cache", "data.paired")
"""Keys of the data that leave the held-out images as they are."""
MANY = 10
"""From so many intervals on it is said that some leave out zero by chance."""


def conclude(
    definition: Definition,
    matrix: Matrix,
    root: Path,
    outcomes: Sequence[RunOutcome],
    *,
    metrics: Sequence[ReportedMetric],
    rehearsals: Mapping[str, Rehearsal],
    conditions: Conditions,
    catalog: Catalog,
    go_on: str = "",
) -> Results:
    """Write the answer that `outcomes` allow so far to `root`, and return it.

    `go_on` is the command that goes on with it where cells are left.
    """
    ended = all(outcome.ended for outcome in outcomes)
    names = [variant.name for variant in matrix.variants]
    lengths = {outcome.variant: outcome.steps for outcome in outcomes if outcome.status == "done"}
    changes = matrix.changes()
    plugins = {
        (slot.entry.namespace, slot.entry.distribution, slot.entry.version)
        for variant in matrix.variants
        for slot in variant.recipe.slots.values()
    }
    results = Results(
        kind="benchmark",
        name=definition.name,
        summary=definition.summary,
        credit=rehearsals[matrix.baseline].credit,
        status="done" if ended else "incomplete",
        go_on="" if ended else go_on,
        baseline=matrix.baseline,
        seeds=definition.seeds,
        budget=definition.budget.as_table(),
        environment=Environment(
            i2i=__version__,
            python=platform.python_version(),
            torch=torch.__version__,
            platform=platform.platform(),
            processor=processor(),
            cores=os.cpu_count(),
            device=conditions.device,
            precision=", ".join(_precisions(matrix, conditions)),
            threads=conditions.threads,
        ),
        plugins=[UsedPlugin(*plugin) for plugin in sorted(plugins)],
        metrics=metrics,
        notes=[*_other_images(changes), *notes(outcomes, variants=names, metrics=metrics)],
        variants=[ComparedVariant(name, changes[name], lengths.get(name)) for name in names],
        cells=cell_results(outcomes, root),
        table=tabulate(
            outcomes,
            variants=names,
            baseline=matrix.baseline,
            metrics=metrics,
            costs={name: _cost(found) for name, found in rehearsals.items()},
        ),
        curves=curves(outcomes, names, metrics),
        pictures=_pictures(matrix, root, outcomes, catalog=catalog, device=conditions.device),
    )
    write_text(root / "results.csv", csv_of_cells(results))
    write_text(root / "table.csv", csv_of_table(results))
    picture = None
    if results.pictures is not None:
        picture = "pictures.png"
        order = [row.variant for row in results.table if row.variant in results.pictures.outputs]
        write_bytes(root / picture, sheet(results.pictures, root, order=order))
    write_text(root / "results.md", markdown(results, picture=picture))
    write_page(results, root)
    # The last of them: where it stands, all the others do.
    write_results(results, root)
    return results


def write_results(results: Results, root: Path) -> None:
    """Write `root`/results.json."""
    write_text(root / "results.json", json.dumps(results.to_json(), indent=1, default=str) + "\n")


def notes(
    outcomes: Sequence[RunOutcome], *, variants: Sequence[str], metrics: Sequence[ReportedMetric]
) -> list[str]:
    """Return what a reader of the table should keep in mind, a sentence each."""
    found = _none_beats_copying(outcomes, metrics[0]) if metrics else []
    seeds = {outcome.seed for outcome in outcomes}
    if len(seeds) == 1:
        found.append("There is one seed, so nothing here can be told apart from noise: add seeds.")
    elif len(seeds) < 5:
        found.append(
            f"With {len(seeds)} seeds the intervals are wide: what is within noise may still be a difference."
        )
    intervals = (len(variants) - 1) * len(metrics)
    if len(seeds) > 1 and intervals >= MANY:
        found.append(
            f"Of {intervals} intervals at 95 %, about {max(1, round(intervals / 20))} would leave out zero "
            "by chance alone: go by the verdicts, which allow for that."
        )
    bad = [outcome for outcome in outcomes if outcome.status in ("failed", "diverged")]
    if bad:
        found.append(f"{len(bad)} of {len(outcomes)} cells failed; they are left out of every figure.")
    return found


def _none_beats_copying(outcomes: Sequence[RunOutcome], metric: ReportedMetric) -> list[str]:
    """Return a sentence where not one run is better than its input: then differences tell little."""
    stand = [
        against_copying(outcome.metrics.get(metric.name), outcome.copy_input.get(metric.name), metric.better)
        for outcome in outcomes
        if outcome.status == "done"
    ]
    known = [words for words in stand if words is not None]
    if not known or "beats copying" in known:
        return []
    return [f"No run beats copying the input on {metric.name}: train longer before you trust this order."]


def _precisions(matrix: Matrix, conditions: Conditions) -> list[str]:
    """Return in which precisions the variants are trained: those of their recipes, or what "auto" came to."""
    asked = [variant.recipe.train.precision for variant in matrix.variants]
    return list(dict.fromkeys(conditions.precision if each == "auto" else each for each in asked))


def _other_images(changes: Mapping[str, Sequence[Change]]) -> list[str]:
    return [
        f"'{name}' changes the data, so its figures are of other images and no verdict on it holds."
        for name, changed in changes.items()
        if any(key.startswith("data.") and key not in SAME_IMAGES for key, _, _ in changed)
    ]


def _cost(found: Rehearsal) -> Cost:
    return Cost(
        generator_parameters=found.generator_parameters,
        discriminator_parameters=found.discriminator_parameters,
        receptive_field=found.receptive_field,
        flops_per_step=found.flops_per_step,
        step_seconds=found.step_seconds,
        peak_memory_mb=found.peak_memory_mb,
        images_per_second=found.images_per_step / found.step_seconds,
        step_deviation=found.step_deviation,
        image_seconds=found.image_seconds,
    )


def _pictures(
    matrix: Matrix, root: Path, outcomes: Sequence[RunOutcome], *, catalog: Catalog, device: str
) -> Pictures | None:
    """Translate the same held-out images with every variant's model of the first seed that all have."""
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    for seed in dict.fromkeys(outcome.seed for outcome in done):
        models = {o.variant: o.folder / "model.safetensors" for o in done if o.seed == seed}
        if len(models) == len({outcome.variant for outcome in done}):
            baseline = next(v for v in matrix.variants if v.name == matrix.baseline)
            data = open_data(baseline.recipe, "val")
            tests = {v.name: values_at_test(v.recipe).values for v in matrix.variants}
            pictures = make_pictures(
                models, baseline.recipe, data, root, catalog=catalog, device=device, tests=tests
            )
            return replace(pictures, seed=seed)
    return None
