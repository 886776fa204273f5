"""A small third-party distribution with a real entry point, and recipes made of its parts."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.recipe import Recipe, load_recipe

TOYS = Path(__file__).parent / "toys"

GAN = """
recipe = 1
name = "toy"
seed = 3

[data]
use = "toys/squares"
batch_size = 2

[transforms.mirror]
use = "mirror"

[generator]
use = "toys/tiny"

[discriminators.judge]
use = "toys/tiny"

[losses.adversarial]
use = "lsgan"

[losses.l1]
use = "l1"
weight = 10.0

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"
lr = 1e-3

[optimizers.discriminators]
use = "adam"
lr = 1e-3

[schedule]
use = "linear-decay"

[train]
steps = 12
precision = "fp32"
log_every = 2
eval_every = 6
save_every = 3

[metrics.mae]
use = "mae"

[callbacks.samples]
use = "samples"
count = 2
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the toy distribution for this test, also for subprocesses; return its site folder."""
    site = tmp_path / "site"
    shutil.copytree(TOYS / "i2i_toys", site / "i2i_toys", ignore=shutil.ignore_patterns("__pycache__"))
    info = site / "i2i_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: i2i-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[i2i]\ntoys = i2i_toys\n")
    monkeypatch.syspath_prepend(str(site))
    earlier = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(site), earlier))))
    importlib.invalidate_caches()
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "i2i_toys"]:
        del sys.modules[name]


@pytest.fixture
def gan(toys: Path, tmp_path: Path) -> Path:
    """A recipe file: a toy generator against a toy judge."""
    path = tmp_path / "toy.toml"
    path.write_text(GAN)
    return path


@pytest.fixture
def load(gan: Path):
    """Return a function that loads the toy recipe with settings on top."""

    def load_with(*settings: str, unset: tuple[str, ...] = ()) -> Recipe:
        return load_recipe(gan, set=settings, unset=unset)

    return load_with
