"""Both methods trained by the engine: what they learn, resuming, and what their model files do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i import load_generator, load_recipe, run
from i2i.cli import main
from i2i.testing import TinyPairs, fake_distribution, run_tiny

POINTS = """
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
"""


@pytest.fixture(scope="module")
def points() -> Iterator[None]:
    with fake_distribution("i2i-points", {"i2i_points.py": POINTS}, namespace="points"):
        yield


def table(method: str, what: str, *, steps: int) -> dict[str, Any]:
    """Return a recipe with a small network for pairs of two pixels."""
    return {
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


def trained(method: str, what: str, out: Path, *, steps: int) -> Path:
    """Train on pairs of two pixels, and return the run's folder."""
    run(load_recipe(table(method, what, steps=steps)), out, device="cpu")
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


def weights_of(folder: Path) -> dict[str, Tensor]:
    return dict(load_generator(folder).state_dict())


@pytest.mark.parametrize("method", ["bridge", "flow"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(method, points, tmp_path):
    recipe = load_recipe(
        table(method, "four", steps=4) | {"train": {"steps": 4, "save_every": 2, "ema": 0.5}}
    )
    run(recipe, tmp_path / "whole", device="cpu")
    run(recipe, tmp_path / "parts", device="cpu", stop_at=2)
    run(recipe, tmp_path / "parts", device="cpu")
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    drawn = [answers(tmp_path / name, 0.6, 4, evaluations=4, stochastic=1.0) for name in ("whole", "parts")]
    assert torch.equal(*drawn)


FOUR = """
recipe = 1
name = "four"

[data]
use = "testing/pairs"
count = 4
batch_size = 4

[generator]
use = "bridge/attention-unet"
width = 16
depth = 1

[losses.l2]
use = "l2"

[method]
use = "bridge/METHOD"

[optimizers.generators]
use = "adam"
lr = 2e-3

[train]
steps = 1
ema = 0.9

[metrics.mae]
use = "mae"
"""


@pytest.fixture(scope="module", params=["bridge", "flow"])
def four(request, tmp_path_factory) -> Path:
    """Return the run of a method that saw four pairs of 16 pixels again and again."""
    folder = tmp_path_factory.mktemp("four")
    (folder / "four.toml").write_text(FOUR.replace("METHOD", request.param))
    run_tiny(recipe=folder / "four.toml", steps=250, out=folder / "run")
    return folder / "run"


def pairs() -> tuple[Tensor, Tensor]:
    """Return the four pairs as networks see them."""
    items = [TinyPairs("train", count=4)[index] for index in range(4)]
    source, target = (torch.stack([item[side] for item in items]) for side in ("source", "target"))
    return source / 127.5 - 1, target / 127.5 - 1


@torch.no_grad()
def test_it_learns_four_pairs_by_heart(four):
    source, target = pairs()
    for evaluations in (1, 4):
        torch.manual_seed(0)
        answer = load_generator(four, test={"evaluations": evaluations})(source)
        assert (answer - target).abs().mean() < 0.1 * (source - target).abs().mean()


@torch.no_grad()
def test_what_it_has_learnt_is_exported_with_all_of_its_passes(four):
    module = load_generator(four, test={"evaluations": 3, "stochastic": 0.0})
    source, _ = pairs()
    program = torch.export.export(module, (source,)).module()
    for translate in (module, program):
        torch.manual_seed(0)
        assert translate(source).shape == source.shape
    torch.manual_seed(0)
    expected = module(source)
    torch.manual_seed(0)
    torch.testing.assert_close(program(source), expected)


def test_pictures_are_translated_in_as_many_passes_as_the_command_says(four, tmp_path, capsys):
    source = TinyPairs("train", count=4)[0]["source"]
    Image.fromarray(source.permute(1, 2, 0).numpy()).save(tmp_path / "source.png")

    def translated(*options: str) -> bytes:
        out = tmp_path / "out.png"
        out.unlink(missing_ok=True)
        with pytest.raises(SystemExit) as ended:
            main(["translate", str(four), str(tmp_path / "source.png"), str(out), *options])
        assert ended.value.code == 0
        return Image.open(out).tobytes()

    settings = ["evaluations=1", "evaluations=4", "evaluations=16"]
    found = {setting: translated("--test", setting) for setting in settings}
    assert len(set(found.values())) == 3
    assert translated("--test", "evaluations=4") == found["evaluations=4"]
    paths = [str(four), str(tmp_path / "source.png"), str(tmp_path / "refused.png")]
    with pytest.raises(SystemExit) as ended:
        main(["translate", *paths, "--test", "evaluations=51"])
    assert ended.value.code == 2
    assert "'evaluations' cannot be 51" in capsys.readouterr().err
    assert not (tmp_path / "refused.png").exists()


@pytest.mark.slow
def test_its_benchmark_trains_one_cell(tmp_path):
    changes = (
        *("data.use=shapes", "data.size=[16,16]", "data.count=8", "data.batch_size=2"),
        *("generator.width=8", "generator.depth=1", "train.ema=0.5", "metrics.diversity.draws=2"),
    )
    options = [word for change in changes for word in ("--set", change)]
    out = tmp_path / "bench"
    with pytest.raises(SystemExit) as ended:
        main(["bench", "bridge/evaluations", *options, "--steps", "2", "--device", "cpu", "--out", str(out)])
    assert ended.value.code == 0
    results = json.loads((out / "results.json").read_text())
    assert {cell["variant"] for cell in results["cells"]} == {"1", "4", "8", "16", "8, straight"}
    assert len({cell["folder"] for cell in results["cells"]}) == 1
    assert len({cell["metrics"]["mae"] for cell in results["cells"]}) == 5
