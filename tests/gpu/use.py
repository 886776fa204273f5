"""A trained model on the device: the pictures and the figures that the CPU gives, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from parts import Settings, tf32
from PIL import Image
from rows import Row, measured, within

import i2i
from i2i.core.data.shapes import Shapes
from i2i.models.evaluation import evaluate_trained
from i2i.models.files import translate_all
from i2i.models.planning import plan
from i2i.models.trained import find_trained
from i2i.models.translate import Model, load_model, translate
from i2i.plugins.catalog import Catalog

FP32_LEVELS, TF32_LEVELS = 2, 8
"""Of 255: by how much a pixel may differ."""

FIGURES = 1e-3
"""By which part of the CPU's figure one may differ."""

PART = "eval and translate"


def of_use(settings: Settings) -> Iterator[Row]:
    """A model of the paper's networks after a few steps, without dropout, whose draws differ by device."""
    steps = 2 if settings.smoke else 50
    changes = {"method.test_dropout": False, "train.steps": steps, "train.precision": "fp32"}
    trained = i2i.run(settings.recipe(changes), settings.folder / "run", device=settings.device).folder
    few, many = (2, 4) if settings.smoke else (8, 100)
    pictures = settings.folder / "pictures"
    _draw(pictures, count=many, size=settings.size)
    reference = settings.folder / "cpu"
    _translated(load_model(trained), pictures, reference, count=few)
    model = load_model(trained, device=settings.device)
    for rounding, levels in ((False, FP32_LEVELS), (True, TF32_LEVELS)):
        out = settings.folder / f"tf32-{rounding}"
        with tf32(rounding):
            _translated(model, pictures, out, count=few)
        what = f"translate, the furthest pixel, {'TF32' if rounding else 'fp32'}"
        yield within(PART, what, _furthest(reference, out), levels, unit=" levels")
    with tf32(False):
        ours, found = (_figures(trained, device) for device in ("cpu", settings.device))
    worst = max(abs(found[name] - ours[name]) / max(abs(ours[name]), 1e-9) for name in ours)
    yield within(PART, f"eval, {', '.join(sorted(ours))}, fp32", worst, FIGURES)
    size, out = settings.size, settings.folder / "all"
    speed = _images_per_second(lambda: _translated(model, pictures, out, count=many), many)
    yield measured(PART, "translate, files", f"{speed:.1f} images/s of {size} px, one at a time")
    images = torch.rand(min(many, 32), 3, size, size) * 2 - 1
    translate(model, images)  # what is done once
    speed = _images_per_second(lambda: translate(model, images), len(images))
    yield measured(PART, "translate, tensors", f"{speed:.1f} images/s of {size} px, {len(images)} at a time")


def _draw(folder: Path, *, count: int, size: int) -> None:
    folder.mkdir(parents=True)
    data = Shapes("val", size=size, count=10 * count)
    for index in range(count):
        source = data[index]["source"].permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(source).save(folder / f"{index:03d}.png")


def _translated(model: Model, pictures: Path, out: Path, *, count: int) -> None:
    work = plan(pictures, out, model.spec, samples=1, overwrite=True).work[:count]
    for _ in translate_all(model, work, seed=0):
        pass


def _furthest(one: Path, other: Path) -> float:
    """Return the largest difference of two folders of pictures, in levels."""
    names = sorted(path.name for path in one.iterdir())
    return max(float(np.abs(_pixels(one / name) - _pixels(other / name)).max()) for name in names)


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=float)


def _figures(trained: Path, device: str) -> dict[str, float]:
    catalog = Catalog.installed()
    found = evaluate_trained(
        find_trained(trained, catalog=catalog), split="val", catalog=catalog, device=device
    )
    return {name: figure.mean for name, figure in found.figures.items()}


def _images_per_second(work: Callable[[], object], count: int) -> float:
    """Answers are on the CPU when `work` is done, so nothing is left to wait for."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)
