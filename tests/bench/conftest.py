"""A third party's lab: components small enough to benchmark in seconds, and a recipe made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

PLUGIN = """
from i2i import hookimpl

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.data("noise", "i2i_desk.parts:Noise", "random images and their negatives")
    registry.generator("dot", "i2i_desk.parts:dot", "one convolution")
    registry.generator("dash", "i2i_desk.parts:dot", "the same under another name")
    registry.discriminator("dot", "i2i_desk.parts:judge", "one convolution")
    registry.paired_loss("constant", "i2i_desk.parts:Constant", "teaches nothing")
    registry.paired_loss("faulty", "i2i_desk.parts:Faulty", "raises an error")
    registry.paired_loss("tired", "i2i_desk.parts:Tired", "raises an error from the fortieth step on")
    registry.paired_loss("endless", "i2i_desk.parts:Endless", "is not a number from the third step on")
"""

PARTS = '''
import os

import torch

from i2i.kinds import ImageSpec, PairSpec


class Noise:
    """Random images and their negatives."""

    def __init__(self, split, *, count: int = 8, log: str | None = None) -> None:
        self.spec = PairSpec(ImageSpec(1, 8, 8), ImageSpec(1, 8, 8))
        self._count, self._first = count, 0 if split == "train" else 1000
        if log is not None:
            with open(log, "a") as file:
                file.write(split + "\\n")

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        if os.environ.get("DESK_BROKEN"):
            raise RuntimeError("the shelf is empty")
        rng = torch.Generator().manual_seed(self._first + index)
        image = torch.randint(0, 256, (1, 8, 8), generator=rng).to(torch.uint8)
        return {"source": image, "target": 255 - image, "id": str(index)}


def dot(*, in_channels: int, out_channels: int, dropout: float = 0.2) -> torch.nn.Module:
    """One convolution."""
    layers = torch.nn.Conv2d(in_channels, out_channels, 3, padding=1), torch.nn.Dropout(dropout)
    return torch.nn.Sequential(*layers, torch.nn.Tanh())


def judge(*, in_channels: int) -> torch.nn.Module:
    """One convolution."""
    return torch.nn.Conv2d(in_channels, 1, 3)


class Constant:
    def __call__(self, fake, real):
        return (fake * 0).sum()


class Faulty:
    def __call__(self, fake, real):
        raise FileNotFoundError("this loss is broken")


class Tired:
    def __init__(self):
        self.calls = 0

    def __call__(self, fake, real):
        self.calls += 1
        if self.calls >= 40:
            raise RuntimeError("this loss is tired")
        return (fake - real).abs().mean()


class Endless:
    def __init__(self):
        self.calls = 0

    def __call__(self, fake, real):
        self.calls += 1
        return (fake - real).mean() * (float("nan") if self.calls > 2 else 1.0)

'''

RECIPE = """
recipe = 1
name = "desk"
seed = 0

[data]
use = "desk/noise"
batch_size = 2

[generator]
use = "desk/dot"

[discriminators.judge]
use = "desk/dot"

[losses.adversarial]
use = "lsgan"

[losses.l1]
use = "l1"
weight = 10.0

[method]
use = "paired-adversarial"

[optimizers.generators]
use = "adam"
lr = 1e-2

[optimizers.discriminators]
use = "adam"
lr = 1e-3

[train]
steps = 8
precision = "fp32"
save_best = "mae:min"

[metrics.mae]
use = "mae"

[metrics.psnr]
use = "psnr"
"""


@pytest.fixture
def desk(distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the plug-in ``desk``, and work in a folder with the recipe desk.toml; return the folder."""
    distribution("i2i-desk", "1.0", "desk", {"i2i_desk/__init__.py": PLUGIN, "i2i_desk/parts.py": PARTS})
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "desk.toml").write_text(RECIPE)
    monkeypatch.chdir(folder)
    return folder
