"""An edge that the input does not tell: its pictures, its best answers, and what networks make of it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i import run
from i2i.bench.cells import Matrix
from i2i.bench.definition import read_benchmark
from i2i.core.data.edges import BAND, Edges, quantile
from i2i.core.losses.paired import L1, L2, Charbonnier
from i2i.data.opening import open_data
from i2i.data.stream import check_item
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe

ROOT = Path(__file__).parents[2]
BENCHMARK = ROOT / "recipes" / "bench" / "edges.toml"
PAGE = (ROOT / "docs" / "l1-keeps-edges.md").read_text(encoding="utf-8")


def row(image: Tensor) -> Tensor:
    """Return the first row of a picture of (1,H,W), all of whose rows are the same."""
    assert (image == image[:, :1]).all()
    return image[0, 0]


@pytest.fixture(scope="module")
def truths() -> Tensor:
    """Rows of targets, (5000,32): places at equal steps of probability, for means over the distribution."""
    steps = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    return torch.stack([edge_at(32 * (BAND[0] + quantile(step))) for step in steps.tolist()])


def edge_at(pixels: float) -> Tensor:
    """Return a row of 32 pixels, black up to a place and white from there on."""
    return (torch.arange(1, 33, dtype=torch.float64) - pixels).clamp(0, 1)


def errors(answer: Tensor, truths: Tensor) -> tuple[float, float]:
    """Return the mean absolute and the mean squared error of an answer over truths."""
    return (truths - answer).abs().mean().item(), (truths - answer).square().mean().item()


# --- the pictures ----------------------------------------------------------------------------------


def test_an_item_is_a_function_of_seed_split_and_index():
    data = Edges("train", count=5)
    copy, more, other = pickle.loads(pickle.dumps(data)), Edges("train", count=50), Edges("train", seed=1)
    for index in range(5):
        item = data[index]
        check_item(item, data.spec)
        for same in (copy[index], more[index]):
            assert item["id"] == same["id"]
            assert torch.equal(item["source"], same["source"])
            assert torch.equal(item["target"], same["target"])
        assert not torch.equal(item["target"], other[index]["target"])


def test_splits_have_their_own_pictures_and_names():
    splits = [Edges(split, count=40) for split in ("train", "val", "test")]
    assert [len(data) for data in splits] == [40, 4, 4]
    items = [data[index] for data in splits for index in range(len(data))]
    assert len({item["id"] for item in items}) == 48
    assert len({item["source"].numpy().tobytes() for item in items}) == 48
    with pytest.raises(IndexError):
        splits[1][4]


@pytest.mark.parametrize(("size", "shape"), [(16, (1, 16, 16)), ((8, 40), (1, 8, 40))])
def test_sizes(size, shape):
    data = Edges("train", size=size)
    assert data[0]["source"].shape == data[0]["target"].shape == data.optima["mean"].shape == shape


def test_the_edge_stands_within_the_band_that_the_input_hides():
    data = Edges("train", size=(4, 32))
    for index in range(200):
        source, target = data[index]["source"][0], row(data[index]["target"])
        assert (source[:, :4] == 0).all()
        assert (source[:, 28:] == 255).all()
        assert source[:, 4:28].float().mean().item() == pytest.approx(127.5, abs=40)
        assert (target[:4] == 0).all()
        assert (target[28:] == 255).all()
        assert (target.int().diff() >= 0).all()


def test_the_grain_of_the_input_tells_nothing_of_the_edge():
    data = Edges("train", size=(8, 32), count=2000)
    items = [data[index] for index in range(len(data))]
    grain = torch.stack([item["source"][0, :, 4:28].flatten() for item in items]).double()
    place = torch.stack([item["target"].double().mean() for item in items])
    together = torch.corrcoef(torch.cat([grain.T, place[None]]))[-1, :-1]
    assert together.abs().max() < 0.1  # a deviation of 1 / sqrt(2000) = 0.022 each, of 192 pixels


# --- the best answers ------------------------------------------------------------------------------


def test_places_follow_the_distribution_that_the_optima_are_of():
    assert (quantile(0.0), quantile(1.0)) == pytest.approx((0, BAND[1] - BAND[0]))
    data = Edges("train", size=(1, 32), count=4000)
    whites = torch.stack([data[index]["target"][0, 0].float().sum() / 255 for index in range(len(data))])
    distances = 32 * (1 - BAND[0]) - whites
    below = [(distances <= 32 * quantile(part)).float().mean().item() for part in (0.1, 0.5, 0.9)]
    assert below == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_the_optima_are_the_mean_and_the_median_of_the_targets(truths):
    optima = Edges("train").optima
    assert row(optima["mean"]).tolist() == pytest.approx(truths.mean(dim=0).tolist(), abs=1e-4)
    assert row(optima["median"]).tolist() == pytest.approx(truths.median(dim=0).values.tolist(), abs=2e-3)


@pytest.mark.parametrize(("loss", "best"), [(L1(), "median"), (L2(), "mean")])
def test_no_other_answer_has_a_smaller_loss(loss, best, truths):
    optimum = row(Edges("train").optima[best])

    def risk(answer: Tensor) -> float:
        return loss(answer.expand(len(truths), -1), truths).item()

    least = risk(optimum)
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert risk((optimum + 0.1 * torch.randn(32, generator=rng)).clamp(0, 1)) > least
    for other in (*Edges("train").optima.values(), edge_at(10.74), edge_at(8.0)):
        assert risk(row(other) if other.dim() == 3 else other) >= least


def test_the_mean_the_median_and_the_whole_distribution_have_the_errors_that_the_page_tells(truths):
    optima = {name: row(picture) for name, picture in Edges("train").optima.items()}
    rng = torch.Generator().manual_seed(0)
    noise = (torch.rand(truths.shape, generator=rng) < optima["mean"]).double()
    shuffled = truths[torch.randperm(len(truths), generator=rng)]
    found = {
        "the mean: a ramp": errors(optima["mean"], truths),
        "the median: an edge at 9.2": errors(optima["median"], truths),
        "an edge at 14.5": errors(edge_at(14.5), truths),
        "another truth, drawn anew": errors(shuffled, truths),
        "noise: each pixel black or white": errors(noise, truths),
    }
    for name, (absolute, squared) in found.items():
        assert f"| {name} | {absolute:.2f} | {squared:.2f} |" in PAGE


def test_data_that_are_shown_in_part_or_from_memory_keep_their_optima():
    data = open_data(load_recipe("edges"), "train", cache=True)
    assert torch.equal(data.optima["mean"], Edges("train").optima["mean"])


def test_charbonniers_best_answer_lies_between_and_is_as_far_from_each_as_the_page_tells(truths):
    (epsilon,) = {
        variant.recipe.slots["losses.l1"].params["epsilon"]
        for variant in Matrix(read_benchmark(BENCHMARK), Catalog.installed()).variants
        if variant.name == "charbonnier"
    }
    loss = Charbonnier(epsilon=epsilon)
    answer = row(Edges("train").optima["mean"]).clone().requires_grad_()
    optimizer = torch.optim.LBFGS([answer], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = 32 * loss((2 * answer - 1).expand(len(truths), -1), 2 * truths - 1)  # in [-1,1], as trained
        value.backward()
        return value

    optimizer.step(closure)
    optima = Edges("train").optima
    away = {name: (answer - row(optima[name])).abs().mean().item() for name in ("mean", "median")}
    assert away == pytest.approx({"mean": 0.070, "median": 0.064}, abs=1e-3)
    assert f"{away['mean']:.3f} from the mean and {away['median']:.3f} from the median" in PAGE.replace(
        "\n", " "
    )


# --- what is trained -------------------------------------------------------------------------------


@pytest.mark.slow
def test_l2_learns_the_ramp_l1_the_edge_at_the_median_and_l1_with_a_gan_a_sharp_edge(tmp_path):
    variants = Matrix(read_benchmark(BENCHMARK), Catalog.installed()).variants
    runs = {variant.name: run(variant.recipe, tmp_path / variant.name) for variant in variants}
    found = {name: done.summary["metrics"] for name, done in runs.items()}
    apart = (Edges("train").optima["mean"] - Edges("train").optima["median"]).abs().mean().item()
    assert apart == pytest.approx(0.134, abs=1e-3)
    l1, l2, between, gan = (found[name] for name in ("l1", "l2", "charbonnier", "l1+cgan"))
    assert l1["to_median"] < 0.03
    assert l1["to_mean"] > 0.1
    assert l1["edge_width"] < 3
    assert l2["to_mean"] < 0.03
    assert l2["to_median"] > 0.1
    assert 12 < l2["edge_width"] < 17
    assert 0.05 < between["to_mean"] < 0.09  # the best answer is at 0.070, and at 0.064 from the median
    assert 0.05 < between["to_median"] < 0.09
    assert 5 < between["edge_width"] < 11
    assert gan["edge_width"] < 2
    assert gan["to_mean"] > 0.1
    assert gan["to_median"] < 0.1
