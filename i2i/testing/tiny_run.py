"""Training a tiny recipe: a few steps through the real engine, in a folder that is gone afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from torch import Tensor

from i2i.engine.loop import run
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import Recipe, load_recipe
from i2i.runs import weights
from i2i.testing.tiny_plugin import with_tiny_data

TINY: Mapping[str, Any] = {
    "recipe": 1,
    "name": "tiny",
    "data": {"use": "testing/pairs", "batch_size": 2},
    "generators": {"main": {"use": "unet", "depth": 2, "width": 4}},
    "discriminators": {"patch": {"use": "patch", "layers": 1, "width": 4}},
    "losses": {"adversarial": {"use": "lsgan"}, "l1": {"use": "l1", "weight": 10.0}},
    "method": {"use": "paired-adversarial"},
    "optimizers": {
        "generators": {"use": "adam", "lr": 1e-3},
        "discriminators": {"use": "adam", "lr": 1e-3},
    },
    "train": {"steps": 4, "precision": "fp32"},
    "metrics": {"mae": {"use": "mae"}},
}
"""pix2pix on 16 pixels: what `run_tiny` changes, and what the checks put components into."""


@dataclass(frozen=True)
class TinyRun:
    """How a tiny run ended.

    `losses` holds what was logged at each step, `metrics` the last validation, `weights` the tensors of
    the exported generator, `summary` what summary.json says.
    """

    losses: Sequence[Mapping[str, float]]
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]
    summary: Mapping[str, Any]


def run_tiny(
    *settings: str,
    recipe: str | Path | None = None,
    steps: int = 4,
    out: Path | None = None,
    catalog: Catalog | None = None,
) -> TinyRun:
    """Train a few steps on the CPU and return what came of it.

    `settings` are as on the command line: ``run_tiny("generator.use=shiny/net", "generator.width=4")``
    changes the tiny recipe, pix2pix on six pairs of 16 pixels. With `recipe` it is that file, or the shipped
    recipe of that name, and ``data.use=testing/pairs`` gives it the tiny data. The run's folder is `out`,
    or a temporary one.
    """
    catalog = with_tiny_data(catalog or Catalog.installed())
    often = ("train.log_every=1", f"train.eval_every={steps}", f"train.save_every={steps}")
    settings = (*often, "train.precision=fp32", *settings)
    if recipe is None:
        loaded = load_table(TINY, catalog, *settings, steps=steps)
    else:
        loaded = load_recipe(recipe, set=settings, steps=steps, catalog=catalog)
    if out is not None:
        return _trained(loaded, out)
    with tempfile.TemporaryDirectory(prefix="i2i-tiny-") as folder:
        return _trained(loaded, Path(folder, "run"))


def _trained(recipe: Recipe, folder: Path) -> TinyRun:
    result = run(recipe, folder, device="cpu")
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    validations = [record["metrics"] for record in records if record["kind"] == "val"]
    return TinyRun(
        losses=[record["losses"] for record in records if record["kind"] == "train"],
        metrics=validations[-1] if validations else {},
        weights=weights.read(folder / "model.safetensors").tensors,
        summary=result.summary,
    )


def load_table(
    table: Mapping[str, Any], catalog: Catalog, *settings: str, steps: int | None = None
) -> Recipe:
    """Read a recipe that is a table, by way of a temporary file."""
    with tempfile.TemporaryDirectory(prefix="i2i-recipe-") as folder:
        path = Path(folder, f"{table['name']}.toml")
        path.write_text(tomli_w.dumps(table), encoding="utf-8")
        return load_recipe(path, set=settings, steps=steps, catalog=catalog)
