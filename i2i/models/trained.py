"""A trained model with the data and the metrics it belongs to, from a run's folder or its file alone.

A run's folder holds both in full. A model file carries them without the paths of the machine it was
made on, so those are asked for; a recipe given beside it takes their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2i.errors import RecipeError
from i2i.plugins.catalog import Catalog
from i2i.plugins.versions import plugin_versions
from i2i.recipe.recipe import Recipe, load_sections
from i2i.runs import weights
from i2i.runs.folder import RunFolder, model_in
from i2i.runs.header import ModelHeader

SECTIONS = ("data", "metrics")


@dataclass(frozen=True)
class Trained:
    """A model file, what its header says, its data and metrics as a recipe, and its run's folder if any.

    The recipe has the transforms, too, that are part of reading a pair.
    """

    path: Path
    header: ModelHeader
    recipe: Recipe
    folder: Path | None


def find_trained(
    path: Path,
    *,
    catalog: Catalog,
    recipe: str | None = None,
    set: Sequence[str] = (),  # noqa: A002 - the name of the option
    unset: Sequence[str] = (),
    seed: int | None = None,
    sections: Sequence[str] = SECTIONS,
) -> Trained:
    """Return the model that `path`, a file or a run's folder, stands for.

    Its data and metrics are those of `recipe` (a file or a shipped name), of its run, or of the model
    file, in this order, with `set` and `unset` on top; `sections` can leave the metrics out.

    Raises DataError when there is no model, RecipeError when it is not known which data it belongs to.
    """
    path = model_in(path)
    run = RunFolder(path.parent)
    header = ModelHeader.read(weights.read(path).header, path=path)
    of_run = path.name == run.model.name and run.holds_run()
    source: str | Path | Mapping[str, Any]
    if recipe is not None:
        source = recipe
    elif of_run:
        source = run.root / "resolved.toml"
    else:
        source = _from_header(header)
    found = load_sections(
        source,
        sections,
        shown=str(path),
        written=plugin_versions(header.provenance),
        set=set,
        unset=unset,
        seed=seed,
        catalog=catalog,
    )
    if "data" not in found.slots:
        raise RecipeError(
            f"{path} does not say which data it belongs to: give --recipe FILE, or --data use=NAME and the "
            "keys of that data set."
        )
    if header.reading is not None:
        found = replace(found, slots={**found.slots, **reading_of(header, path, catalog).slots})
    return Trained(path, header, found, run.root if of_run else None)


def reading_of(header: ModelHeader, path: Path, catalog: Catalog) -> Recipe:
    """Return the transforms that the model file `path` has as a part of reading pairs, as a recipe."""
    transforms = header.reading.transforms if header.reading else {}
    return load_sections(
        {"name": "model", "transforms": transforms},
        ("transforms",),
        shown=str(path),
        written=plugin_versions(header.provenance),
        catalog=catalog,
    )


def _from_header(header: ModelHeader) -> dict[str, Any]:
    about = header.provenance
    sections = {"data": header.data, "metrics": header.metrics}
    table = {section: found for section, found in sections.items() if found is not None}
    return {"name": about.get("recipe", "model"), "seed": about.get("seed", 0), **table}
