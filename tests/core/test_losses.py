"""Losses against values worked out by hand, and the rules for maps and precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.core.losses.adversarial import LSGAN, Vanilla
from i2i.core.losses.paired import L1, L2


def maps(*values: float) -> list[Tensor]:
    return [torch.tensor(values)]


def test_l1_is_the_mean_absolute_difference() -> None:
    assert L1()(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, -1.0]])).item() == 1.25


def test_l2_is_the_mean_squared_difference() -> None:
    assert L2()(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, -1.0]])).item() == 2.125


@pytest.mark.parametrize("loss", [L1(), L2()])
def test_paired_losses_are_taken_in_float32_under_autocast(loss: L1 | L2) -> None:
    fake = torch.rand(2, 3, 8, 8).bfloat16()
    real = torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(fake, real)
    assert value.dtype == torch.float32
    assert value == loss(fake.float(), real)


def test_least_squares_by_hand() -> None:
    fake, real = maps(0.0, 2.0), maps(3.0, 1.0)
    assert LSGAN().generator(fake, real).item() == 1.0  # (1 + 1) / 2
    assert LSGAN().discriminator(fake, real).item() == 2.0  # (2 + 2) / 2


def test_cross_entropy_by_hand() -> None:
    fake, real = maps(0.0), maps(math.log(3))  # probabilities 1/2 and 3/4
    assert Vanilla().generator(fake, real).item() == pytest.approx(-math.log(0.5))
    assert Vanilla().discriminator(fake, real).item() == pytest.approx(
        -0.5 * (math.log(0.75) + math.log(0.5))
    )


def test_cross_entropy_is_the_library_s_on_logits() -> None:
    torch.manual_seed(0)
    fake, real = 10 * torch.randn(2, 1, 5, 5), 10 * torch.randn(2, 1, 5, 5)
    ones, zeros = torch.ones_like(fake), torch.zeros_like(fake)
    expected = 0.5 * (
        F.binary_cross_entropy_with_logits(real, ones) + F.binary_cross_entropy_with_logits(fake, zeros)
    )
    torch.testing.assert_close(Vanilla().discriminator([fake], [real]), expected)
    torch.testing.assert_close(
        Vanilla().generator([fake], [real]), F.binary_cross_entropy_with_logits(fake, ones)
    )


def test_the_generator_still_learns_where_the_discriminator_is_sure() -> None:
    logits = torch.tensor([-50.0], requires_grad=True)
    loss = Vanilla().generator([logits], [logits.detach()])
    loss.backward()
    assert loss.item() == pytest.approx(50.0)
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1.0)


@pytest.mark.parametrize("loss", [LSGAN(), Vanilla()])
class TestMaps:
    def test_each_map_counts_the_same_whatever_its_size(self, loss: LSGAN | Vanilla) -> None:
        torch.manual_seed(0)
        sizes = [(2, 1, 30, 30), (2, 1), (2, 1, 4, 7)]
        fake, real = ([torch.randn(size) for size in sizes] for _ in range(2))
        for side in (loss.generator, loss.discriminator):
            alone = [side([f], [r]) for f, r in zip(fake, real, strict=True)]
            torch.testing.assert_close(side(fake, real), torch.stack(alone).mean())

    def test_a_list_of_one_equals_the_one(self, loss: LSGAN | Vanilla) -> None:
        fake, real = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
        for side in (loss.generator, loss.discriminator):
            assert side([fake], [real]) == side([fake, fake], [real, real])

    def test_means_are_taken_in_float32(self, loss: LSGAN | Vanilla) -> None:
        # In half precision the squares overflow, and a sum over so many would stop growing.
        fake, real = torch.full((1, 1, 128, 128), -300.0).half(), torch.full((1, 1, 128, 128), 300.0).half()
        for side in (loss.generator, loss.discriminator):
            value = side([fake], [real])
            assert value.dtype == torch.float32
            assert value == side([fake.float()], [real.float()])
            assert torch.isfinite(value)

    def test_the_discriminator_is_pushed_apart_and_the_generator_up(self, loss: LSGAN | Vanilla) -> None:
        fake, real = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        (up,) = torch.autograd.grad(loss.generator([fake], [real]), fake)
        assert up < 0
        fake = torch.full((1,), 0.5, requires_grad=True)
        down, up = torch.autograd.grad(loss.discriminator([fake], [real]), (fake, real))
        assert down > 0
        assert up < 0
