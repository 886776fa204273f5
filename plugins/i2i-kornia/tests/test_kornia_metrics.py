"""The metrics: colours against another implementation, edges by construction, batches like single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from i2i_kornia.hysteresis import kept
from i2i_kornia.metrics import DeltaE, Edges
from kornia.filters import canny
from skimage.color import deltaE_cie76, rgb2lab
from torch import Tensor
from torch.nn import functional as F

from i2i.errors import DataError, RecipeError

EVERY = [DeltaE, Edges]


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def scored(metric: DeltaE | Edges, fake: Tensor, real: Tensor) -> dict[str, float]:
    metric.reset()
    metric.update(real, fake, real, [str(index) for index in range(len(real))])
    return dict(metric.compute())


def box(top: int, left: int, side: int = 16) -> Tensor:
    image = torch.zeros(1, 3, 48, 48)
    image[..., top : top + side, left : left + side] = 1.0
    return image


def test_delta_e_is_that_of_another_library() -> None:
    fake, real = images(1, 3, 7, 6), images(1, 3, 7, 6, seed=1)
    one, other = (rgb2lab(image[0].permute(1, 2, 0).double().numpy()) for image in (fake, real))
    wanted = float(np.mean(deltaE_cie76(one, other)))
    assert scored(DeltaE(), fake, real)["delta_e"] == pytest.approx(wanted, rel=1e-3)


def test_delta_e_is_nothing_for_a_perfect_image_and_a_hundred_for_black_and_white() -> None:
    real = images(2, 3, 5, 5)
    assert scored(DeltaE(), real, real) == {"delta_e": 0.0}
    assert scored(DeltaE(), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))["delta_e"] == pytest.approx(
        100, abs=0.01
    )


def test_the_same_edges_are_found_again_whatever_their_colours() -> None:
    figures = scored(Edges(), 0.2 + 0.6 * box(10, 12), box(10, 12))
    assert figures == {"edge_f": 1.0, "edge_precision": 1.0, "edge_recall": 1.0}


@pytest.mark.parametrize("size", [(3, 3), (40, 61)])
def test_edges_are_those_of_kornia_s_canny(size: tuple[int, int]) -> None:
    image = F.interpolate(images(3, 3, 3, 3), size, mode="bicubic") + 0.15 * images(3, 3, *size, seed=1)
    for low, high in ((0.02, 2.0), (0.1, 0.5), (0.4, 0.8)):
        assert torch.equal(Edges(low=low, high=high)._edges(image), canny(image, low, high)[1])


def test_a_weak_edge_is_kept_at_the_end_of_any_chain_to_a_strong_one() -> None:
    rows = ["1.22222", "2.....2", "2.222.2", "2.2...2", "2.2.1.2", "2.2...2", "2.22222", "2......", "22.2222"]
    snake = torch.tensor([[{".": 0.0, "2": 0.5, "1": 1.0}[char] for char in row] for row in rows])
    # The first column and the piece under it are joined to the strong corner, the coil to nothing strong.
    wanted = torch.zeros_like(snake)
    wanted[:, 0] = wanted[8, 1] = wanted[4, 4] = 1.0
    assert torch.equal(kept(snake[None, None])[0, 0], wanted)
    wound = snake.clone()
    wound[0, 1] = 0.5  # joins the coil to it
    wanted = (wound > 0).float()
    wanted[8, 3:] = 0.0
    assert torch.equal(kept(torch.stack([wound, snake])[:, None])[0, 0], wanted)


def test_edges_may_be_off_by_the_tolerance() -> None:
    real = box(10, 12)
    assert scored(Edges(), box(11, 13), real)["edge_f"] == 1
    assert scored(Edges(tolerance=0), box(11, 13), real)["edge_f"] < 0.3
    assert scored(Edges(), box(14, 16), real)["edge_f"] < 0.5
    assert scored(Edges(tolerance=4), box(14, 16), real)["edge_f"] == 1


def test_invented_edges_cost_precision_and_missing_ones_recall() -> None:
    one, two = box(4, 4), box(4, 4) + box(26, 26)
    invented, missing = scored(Edges(), two, one), scored(Edges(), one, two)
    assert invented["edge_recall"] == missing["edge_precision"] == 1
    assert invented["edge_precision"] == missing["edge_recall"] == pytest.approx(0.5, abs=0.05)
    assert invented["edge_f"] == pytest.approx(2 / 3, abs=0.05)


def test_images_without_edges() -> None:
    flat = torch.full((1, 3, 48, 48), 0.5)
    assert set(scored(Edges(), flat, flat).values()) == {1.0}
    assert set(scored(Edges(), flat, box(10, 10)).values()) == {0.0}
    assert set(scored(Edges(), box(10, 10), flat).values()) == {0.0}


@pytest.mark.parametrize("kind", EVERY)
def test_a_batch_is_the_mean_of_its_images_and_of_its_draws(kind: type[DeltaE | Edges]) -> None:
    real = torch.cat([box(10, 10), box(20, 4), box(3, 25)])
    fake = (real + 0.4 * images(*real.shape)).clamp(0, 1)
    metric = kind()
    values = metric.update(real, fake, real, ["a", "b", "c"])
    for name, total in metric.compute().items():
        assert values[name].shape == (3,)
        assert total == pytest.approx(values[name].mean().item())
        for index in range(3):
            alone = scored(kind(), fake[index : index + 1], real[index : index + 1])[name]
            assert alone == pytest.approx(values[name][index].item(), abs=1e-5)
    drawn = scored(kind(), torch.stack([fake, real]), real)
    perfect = scored(kind(), real, real)
    for name, value in metric.compute().items():
        assert drawn[name] == pytest.approx((value + perfect[name]) / 2, abs=1e-5)


@pytest.mark.parametrize("kind", EVERY)
def test_what_they_cannot_score_is_refused(kind: type[DeltaE | Edges]) -> None:
    with pytest.raises(DataError, match="no image to average over"):
        kind().compute()
    four = images(1, 4, 8, 8)
    with pytest.raises(RecipeError, match=r"kornia/[a-z-]+ compares RGB or grey images, not images of 4"):
        kind().update(four, four, four, ["a"])


def test_images_that_canny_cannot_blur_are_refused() -> None:
    small = images(1, 3, 2, 40)
    with pytest.raises(RecipeError, match="kornia/edges needs images of at least 3x3 pixels, not 2x40"):
        Edges().update(small, small, small, ["a"])


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="'low' is at most 'high'"):
        Edges(low=0.6)
