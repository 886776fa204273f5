"""A small third-party distribution with a real entry point, and recipes made of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.recipe import Recipe, load_recipe
from i2i.testing import fake_distribution

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


TWO_WAY = """
recipe = 1
name = "two-way"
seed = 0

[data]
use = "toys/unpaired-squares"
batch_size = 2

[generators.there]
use = "toys/tiny"

[generators.back]
use = "toys/tiny"

[discriminators.source]
use = "toys/tiny"

[discriminators.target]
use = "toys/two-scales"

[losses.cycle]
use = "toys/huber"
weight = 5.0

[losses.adversarial]
use = "lsgan"

[method]
use = "toys/two-way"

[optimizers.generators]
use = "adam"

[optimizers.discriminators]
use = "sgd"

["optimizers"."discriminators.target"]
use = "adam"
lr = 1e-5

[train]
steps = 6
precision = "fp32"
eval_every = 3
save_every = 2

[metrics.spread]
use = "toys/spread"

[callbacks.counter]
use = "toys/counter"
loss = "cycle"
"""


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Path]:
    """Install the toy distribution for this test, also for subprocesses; return its site folder."""
    files = {f"i2i_toys/{path.name}": path.read_text() for path in (TOYS / "i2i_toys").glob("*.py")}
    with fake_distribution("i2i-toys", files, namespace="toys", site=tmp_path / "site") as site:
        yield site


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


@pytest.fixture
def two_way(toys: Path, tmp_path: Path) -> Path:
    """A recipe file: two generators and two judges on unpaired data."""
    path = tmp_path / "two-way.toml"
    path.write_text(TWO_WAY)
    return path
