"""From a benchmark to its cells: one checked recipe for each variant and seed, and the key of each.

A cell's key (`bench/keys`) is a hash of what decides its weights, so a cell that was trained before is known
again whatever it is called, and one that changed is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from i2i.bench.definition import Definition, Variation
from i2i.bench.keys import Marks, digest_of, key_of, training_of
from i2i.errors import I2IError, PluginError, Problem, RecipeError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.recipe.layers import Layer, read_settings
from i2i.recipe.merge import Draft, read_draft
from i2i.recipe.origins import Findings, Origin
from i2i.recipe.recipe import Recipe, differences, load_recipe
from i2i.recipe.requires import check_requires

VALIDATIONS = 5
"""How many points a curve has, unless the benchmark sets `train.eval_every` itself."""


@dataclass(frozen=True)
class Variant:
    """One variant with its recipe at the first seed, before its length is settled."""

    name: str
    variation: Variation
    recipe: Recipe


@dataclass(frozen=True)
class Conditions:
    """What all cells of a benchmark are trained with: chosen once, and kept from then on."""

    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Cell:
    """One run of a benchmark over `data`; variants that differ in nothing that is trained share a key.

    So many `processes` train it as one.
    """

    variant: str
    seed: int
    recipe: Recipe
    key: str
    data: Marks = field(default_factory=dict)
    processes: int = 1


class Matrix:
    """The checked variants of a benchmark, the baseline among them.

    Raises RecipeError or PluginError with the mistakes of all variants, and for variants that are the
    same.
    """

    def __init__(self, definition: Definition, catalog: Catalog, *, settings: Sequence[str] = ()) -> None:
        self._definition, self._catalog = definition, catalog
        self._settings = read_settings(settings)
        variations = [layer for variation in definition.variants for layer in variation.layers]
        for layer in (*definition.common, self._settings, *variations):
            if "seed" in layer.table:
                raise RecipeError(layer.origins["seed",].problem("seeds are the benchmark's: use `seeds`"))
        base = read_draft(definition.base, catalog, Findings()).table.get("train", {})
        self._of_the_best = [
            key for key in ("save_best", "patience") if isinstance(base, dict) and key in base
        ]
        self.variants = self._checked(definition.variants)
        self.baseline = self._baseline()
        self._refuse_equals()

    @property
    def trainings(self) -> dict[str, str]:
        """The key of each variant's training, by its name; those that differ in test keys alone share one."""
        return {variant.name: training_of(variant.recipe) for variant in self.variants}

    def changes(self) -> dict[str, list[tuple[str, Any, Any]]]:
        """Return for each variant the keys in which its recipe differs from the baseline's."""
        base = self.by_name(self.baseline).recipe.table
        return {variant.name: differences(base, variant.recipe.table) for variant in self.variants}

    def cells(
        self, *, steps: Mapping[str, int], precision: str, data: Mapping[str, Marks] = {}
    ) -> list[Cell]:
        """Return every cell, seed by seed, so that an interrupted benchmark compares what it has.

        `data` has the fingerprints of each variant's data, as far as they are known. Raises RecipeError for
        variants that differ in nothing but a length that the budget replaces.
        """
        cells: dict[str, Cell] = {}
        for seed in self._definition.seeds:
            for variant in self.variants:
                cell = self._cell(variant, seed, steps[variant.name], precision, data.get(variant.name, {}))
                other = cells.setdefault(digest_of(cell.recipe), cell)
                if other is not cell:
                    raise RecipeError(
                        f"the variants '{other.variant}' and '{cell.variant}' are the same once both are "
                        f"trained for {steps[variant.name]:,} steps: leave the budget to the recipe."
                    )
        return list(cells.values())

    def tried(self, variant: Variant, *, precision: str) -> Recipe:
        """Return the recipe that a variant is tried with: its length is the recipe's own."""
        auto = variant.recipe.train.precision == "auto"
        seed = self._definition.seeds[0]
        # Minutes are no length before the machine is known; there is a budget then, which says the steps.
        steps = 1 if variant.recipe.train.minutes is not None else None
        return self._load(variant.variation, seed, steps=steps, precision=precision if auto else None)

    def _cell(self, variant: Variant, seed: int, steps: int, precision: str, data: Marks) -> Cell:
        auto = variant.recipe.train.precision == "auto"
        recipe = self._load(variant.variation, seed, steps=steps, precision=precision if auto else None)
        processes = self._definition.resources.processes
        key = key_of(recipe, data, processes=processes)
        return Cell(variant.name, seed, recipe, key, data, processes)

    def _checked(self, variations: Sequence[Variation]) -> list[Variant]:
        found: list[Variant] = []
        errors: list[I2IError] = self._unmet()
        for variation in variations:
            try:
                recipe = self._load(variation, self._definition.seeds[0])
            except I2IError as error:
                errors.append(error)
            else:
                if recipe.train.minutes is not None and not self._definition.budget.as_table():
                    message = "minutes are other steps on every machine, and cells are compared at equal ones"
                    problem = recipe.problem("train.minutes", message, "give --steps or --seconds")
                    errors.append(RecipeError(problem))
                errors += self._unshared(variation, recipe)
                found.append(Variant(variation.name, variation, recipe))
        if errors:
            told: dict[Problem, None] = {problem: None for error in errors for problem in error.problems}
            kind = PluginError if all(isinstance(error, PluginError) for error in errors) else RecipeError
            raise kind(*told)
        return found

    def _unshared(self, variation: Variation, recipe: Recipe) -> Iterator[RecipeError]:
        """Yield an error where the processes of a cell cannot have equal shares of a batch."""
        processes, batch = self._definition.resources.processes, recipe.data.settings.batch_size
        if batch % processes:
            message = (
                f"variant '{variation.name}' has {batch} image{'s' if batch > 1 else ''} in a batch, which "
                f"cannot be shared out equally among {processes} processes"
            )
            hint = "choose resources.processes or data.batch_size so that one divides the other"
            yield RecipeError(recipe.problem("data.batch_size", message, hint))

    def _unmet(self) -> list[I2IError]:
        """Return what the benchmark's own `[requires]` asks for in vain, as one error, if anything."""
        wanted, findings = self._definition.requires, Findings()
        if not wanted.table:
            return []
        draft = Draft(self._definition.name, "", table=wanted.table, origins=wanted.origins)
        check_requires(draft, self._catalog, findings, owner="benchmark")
        try:
            findings.raise_any()
        except I2IError as error:
            return [error]
        return []

    def _load(
        self, variation: Variation, seed: int, *, steps: int | None = None, precision: str | None = None
    ) -> Recipe:
        definition = self._definition
        over = [
            self._habits(steps),
            *definition.common,
            self._settings,
            *variation.layers,
            *([read_settings({"train.precision": precision})] if precision else []),
            *(
                [read_settings({"train.threads": threads})]
                if (threads := definition.resources.threads)
                else []
            ),
        ]
        return load_recipe(definition.base, over=over, steps=steps, seed=seed, catalog=self._catalog)

    def _habits(self, steps: int | None) -> Layer:
        """What a benchmark does differently from a run, unless it is told otherwise.

        The last weights count: keeping the best on the images that score would favour what fluctuates.
        """
        habits: dict[str, Any] = {"train.keep": 1}
        if steps is not None:
            habits["train.eval_every"] = -(-steps // VALIDATIONS)
        layer = read_settings(habits)
        layer.unset += [(("train", key), Origin(f"train.{key}", "")) for key in self._of_the_best]
        return layer

    def by_name(self, name: str) -> Variant:
        """Return the variant of that name, which there is."""
        return next(variant for variant in self.variants if variant.name == name)

    def _baseline(self) -> str:
        """Return which variant the others are compared with."""
        names = [variant.name for variant in self.variants]
        wanted = self._definition.baseline
        if wanted is not None:
            if wanted not in names:
                close = did_you_mean(wanted, names) or f"; there are {', '.join(names)}"
                raise RecipeError(f"no variant is called '{wanted}'{close}")
            return wanted
        if self._definition.swapped:
            base = self._load(Variation(""), self._definition.seeds[0])
            equal = [
                variant.name for variant in self.variants if digest_of(variant.recipe) == digest_of(base)
            ]
            return equal[0] if equal else names[0]
        return names[0]

    def _refuse_equals(self) -> None:
        if len(self.variants) < 2:
            raise RecipeError("there is one variant, and nothing to compare it with: add another value.")
        if len({variant.name for variant in self.variants}) < len(self.variants):
            names = [variant.name for variant in self.variants]
            twice = next(name for name in names if names.count(name) > 1)
            raise RecipeError(f"two variants are called '{twice}': give each value once.")
        seen: dict[str, str] = {}
        for variant in self.variants:
            first = seen.setdefault(digest_of(variant.recipe), variant.name)
            if first != variant.name:
                pair = sorted((first, variant.name), key=lambda name: name != self.baseline)
                what = "the baseline" if pair[0] == self.baseline else f"'{pair[0]}'"
                raise RecipeError(
                    f"the variant '{pair[1]}' is the same as {what}"
                    f"{f' ({pair[0]})' if pair[0] == self.baseline else ''}: its recipe comes out equal."
                )
