"""Transforms at "device": they work there, and make of a batch what they make of it on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from parts import ROOT, Settings, tf32
from rows import Row, within
from torch import Tensor

from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe
from i2i.system.device import Runtime

BATCHES = 4
STATISTICS = 1e-3
"""Means and deviations of images in [-1,1]."""

TRANSFORMS: Mapping[str, Mapping[str, Any]] = {
    "mirror": {"use": "mirror"},
    "jitter": {"use": "jitter", "resize": 36},
    "kornia/augment": {"use": "kornia/augment"},
}


def of_transforms(settings: Settings) -> Iterator[Row]:
    """Each transform by itself; one whose plug-in is not installed is left out, and told."""
    installed = Catalog.installed().namespaces()
    for name, table in TRANSFORMS.items():
        namespace = name.partition("/")[0] if "/" in name else "core"
        if namespace in installed:
            yield _of_transform(name, table, settings.device)
        else:
            what = _what(name)
            yield Row("transforms", what, "-", "-", f"left out: i2i-{namespace} is not installed")


def _of_transform(name: str, table: Mapping[str, Any], device: str) -> Row:
    with tf32(False):
        ours, found = (_batches(table, where) for where in ("cpu", device))
    difference = max(
        abs(getattr(mine, statistic)() - getattr(theirs, statistic)()).item()
        for mine, theirs in zip(ours, found, strict=True)
        for statistic in ("mean", "std")
    )
    levels = max(float((a - b).abs().max()) * 127.5 for a, b in zip(ours, found, strict=True))
    row = within("transforms", _what(name), difference, STATISTICS)
    return replace(row, value=f"{row.value}; a pixel by {levels:.3g} of 255 levels")


def _what(name: str) -> str:
    return f'{name} at "device", mean and deviation'


def _batches(table: Mapping[str, Any], device: str) -> list[Tensor]:
    """Return sources and targets of a few batches as a step gets them, on the CPU."""
    changes = {f"transforms.it.{key}": value for key, value in table.items()}
    recipe = load_recipe(
        ROOT / "recipes/shapes.toml",
        set={**changes, "transforms.it.at": "device", "data.count": 64},
        unset=("callbacks.samples",),
    )
    runtime = Runtime(device, "fp32", channels_last=False, threads=torch.get_num_threads())
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
    batches = list(session.batches(last=BATCHES))
    if any(torch.device(device).type != image.device.type for b in batches for image in (b.source, b.target)):
        raise AssertionError(f"a batch came back from the transform elsewhere than on {device}")
    return [image.cpu() for batch in batches for image in (batch.source, batch.target)]
