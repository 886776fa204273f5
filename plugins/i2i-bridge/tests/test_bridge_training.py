"""Both methods trained by the engine: what they learn, resuming, and what their model files do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i import load_generator, load_recipe, run
from i2i.cli import main
from i2i.testing import TinyPairs, fake_distribution, run_tiny

POINTS = '''
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from i2i import hookimpl
from i2i.kinds import ImageSpec, PairSpec, Split

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.data("points", "i2i_points:Points", "pairs of two pixels")


class Points:
    def __init__(self, split: Split, *, size: tuple[int, int] = (1, 2), what: Literal["one", "four"]) -> None:
        side = ImageSpec(1, *size, depth="float32", low=-1.0, high=1.0)
        self.spec, self.what = PairSpec(side, side), what
        self.split = ("train", "val", "test").index(split)

    def __len__(self):
        return 512 if self.split == 0 else 4

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = torch.Generator().manual_seed(1000 * self.split + index)
        source, target = torch.full((1, 1, 2), -0.6), torch.tensor([[[0.5, 0.1]]])
        if self.what == "four":  # the source tells the sign of the first pixel, and nothing of the second
            sign = 1.0 if index % 2 else -1.0
            other = 1.0 if index % 8 < 6 else -1.0
            source = torch.full((1, 1, 2), 0.6 * sign)
            target = torch.tensor([[[0.5 * sign, 0.5 * other]]]) + 0.05 * torch.randn(1, 1, 2, generator=rng)
        return {"source": source, "target": target, "id": str(index)}
'''


@pytest.fixture(scope="module")
def points() -> Iterator[None]:
    with fake_distribution("i2i-points", {"i2i_points.py": POINTS}, namespace="points"):
        yield


def trained(method: str, what: str, out: Path, *, steps: int) -> Path:
    """Train a small network on pairs of two pixels, and return the run's folder."""
    table = {
        "recipe": 1,
        "name": "points",
        "data": {"use": "points/points", "what": what, "batch_size": 64},
        "generators": {"main": {"use": "bridge/attention-unet", "depth": 0, "attention": 0}},
        "losses": {"l2": {"use": "l2"}},
        "method": {"use": f"bridge/{method}"},
        "optimizers": {"generators": {"use": "adam", "lr": 2e-3}},
        "schedules": {"generators": {"use": "linear-decay"}},
        "train": {"steps": steps, "ema": 0.98, "precision": "fp32", "eval_every": steps, "log_every": 100},
        "metrics": {"mae": {"use": "mae"}},
    }
    run(load_recipe(table), out, device="cpu")
    return out


@torch.no_grad()
def answers(folder: Path, source: float, count: int, **test: float) -> Tensor:
    """Return answers to one source, (count,2)."""
    torch.manual_seed(0)
    return load_generator(folder, test=test)(torch.full((count, 1, 1, 2), source)).flatten(1)


@pytest.mark.parametrize("method", ["bridge", "flow"])
def test_between_two_points_it_learns_where_to_end(method, points, tmp_path):
    folder = trained(method, "one", tmp_path / "run", steps=200)
    for evaluations in (1, 4, 16):
        for stochastic in (0.0, 1.0):
            ends = answers(folder, -0.6, 64, evaluations=evaluations, stochastic=stochastic)
            assert (ends - torch.tensor([0.5, 0.1])).abs().mean() < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bridge", "flow"])
def test_it_learns_a_mixture_given_the_source(method, points, tmp_path):
    folder = trained(method, "four", tmp_path / "run", steps=1500)
    for sign in (-1.0, 1.0):
        ends = answers(folder, 0.6 * sign, 2000, evaluations=32)
        near = (ends.abs() - 0.5).abs().amax(dim=1) < 0.2
        assert near.float().mean() > 0.95
        assert (ends[:, 0].sign() == sign).float().mean() > 0.99
        assert (ends[:, 1] > 0).float().mean().item() == pytest.approx(0.75, abs=0.1)
        # One pass gives the mean of both.
        mean = answers(folder, 0.6 * sign, 64, evaluations=1).mean(dim=0)
        torch.testing.assert_close(mean, torch.tensor([0.5 * sign, 0.25]), atol=0.1, rtol=0)
