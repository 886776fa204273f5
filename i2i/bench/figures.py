"""Figures that a finished cell lacks, taken of its stored model: as its own last validation would have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i.bench.keys import ANY_TEST, TestValues, metric_settings, settings_digest, values_at_test
from i2i.bench.records import CellRecord, Scoring
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import Recipe

if TYPE_CHECKING:
    from i2i.bench.cells import Cell, Conditions


@dataclass(frozen=True)
class Wanted:
    """Which metric of a recipe gives each figure, and the settings of each metric.

    `owners` are names of metrics in the recipe, by figure; `metrics` are their settings, and `test` the
    values of test keys that figures are taken with.
    """

    owners: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, object]]
    test: TestValues = ANY_TEST

    @classmethod
    def by(cls, recipe: Recipe, owners: Mapping[str, str]) -> Wanted:
        """Return what is wanted of a cell with this recipe."""
        return cls(owners, metric_settings(recipe), values_at_test(recipe))

    @property
    def settings(self) -> dict[str, str]:
        """The digest of what decides each figure."""
        digests = {name: settings_digest(settings) for name, settings in self.metrics.items()}
        return {figure: digests[owner] for figure, owner in self.owners.items()}

    def lacking(self, record: CellRecord, figures: Collection[str]) -> list[str]:
        """Return the metrics to compute, so that a record has all of these figures."""
        settings = self.settings
        owned = [name for name in figures if name in settings]
        missing = [name for name in owned if record.scoring_of(name, settings[name], self.test) is None]
        return list(dict.fromkeys(self.owners[name] for name in missing))


def score(
    cell: Cell, model: Path, metrics: Collection[str], *, conditions: Conditions, catalog: Catalog
) -> Scoring:
    """Return what these metrics of a cell's recipe find of its stored `model` on the validation split.

    The model runs with the recipe's own values of test keys, whichever it was trained beside. Raises
    DataError for a damaged model or data that do not fit, PluginError where a component fails.
    """
    from i2i.models.evaluation import evaluate_trained
    from i2i.models.trained import Trained
    from i2i.runs import weights
    from i2i.runs.header import ModelHeader
    from i2i.system.device import computing_with

    slots = {
        path: slot
        for path, slot in cell.recipe.slots.items()
        if path == "data" or (slot.section == "metrics" and slot.name in metrics)
    }
    recipe = replace(cell.recipe, slots=slots)
    header = ModelHeader.read(weights.read(model).header, path=model)
    test = values_at_test(cell.recipe).values
    with computing_with(conditions.threads):
        found = evaluate_trained(
            Trained(model, header, recipe, model.parent),
            split="val",
            catalog=catalog,
            device=conditions.device,
            test=test,
            precision="bf16" if cell.recipe.train.precision == "bf16" else "fp32",
        )
    settings = metric_settings(recipe)
    return Scoring(
        metrics={settings_digest(each): each for each in settings.values()},
        figures={name: figure.mean for name, figure in found.figures.items()},
        copy_input=found.copied.figures,
        better={name: figure.better for name, figure in found.figures.items()},
        ids=found.scores.ids,
        images=found.scores.images,
        test=test,
    )
