"""The penalty: what a discriminator owes for answering otherwise in other colours."""

from __future__ import annotations

import pytest
import torch
from i2i_kornia.consistency import Consistency
from torch import Tensor, nn


def images(channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(4, channels, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def brightness(image: Tensor) -> list[Tensor]:
    """A discriminator that judges by brightness."""
    return [image.mean(dim=(1, 2, 3), keepdim=True)]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_judge_that_looks_at_nothing_owes_nothing() -> None:
    assert Consistency()(lambda image: [image.new_ones(4, 1)], images(), images(seed=1)).item() == 0


def test_a_judge_of_brightness_owes_its_change_for_real_and_fake_alike() -> None:
    real, fake = images() * 0.3, images(seed=1) * 0.3
    costs = [Consistency(colour=colour, noise=0.0)(brightness, real, fake).item() for colour in (0, 0.1, 0.3)]
    assert costs[0] == pytest.approx(0, abs=1e-10)
    assert costs[0] < costs[1] < costs[2]
    # Up to 0.3 of a range of 2 is added to real and to fake: on average 0.6 squared over 3, twice.
    many = torch.stack([Consistency(colour=0.3, noise=0.0)(brightness, real, fake) for _ in range(100)])
    assert many.mean().item() == pytest.approx(2 * 0.6**2 / 3, rel=0.25)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_its_gradient_is_the_judge_s_and_not_the_images(channels: int) -> None:
    judge = nn.Conv2d(channels, 1, 3)
    fake = images(channels, seed=1).requires_grad_(True)
    cost = Consistency()(lambda image: [judge(image)], images(channels), fake)
    cost.backward()
    assert fake.grad is None
    assert judge.weight.grad is not None
    assert judge.weight.grad.abs().sum() > 0


def test_maps_of_any_shape_count_the_same() -> None:
    def judge(image: Tensor) -> list[Tensor]:
        score = image.mean(dim=(1, 2, 3))
        return [score[:, None, None, None].expand(-1, 1, 8, 8), score[:, None]]

    real, fake = images(), images(seed=1)
    both = Consistency()(judge, real, fake)
    torch.manual_seed(0)
    assert torch.isclose(both, Consistency()(brightness, real, fake))
