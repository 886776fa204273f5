"""Losses against values worked out by hand, and the rules for maps and precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.core.losses.adversarial import LSGAN, WGAN, Hinge, Vanilla
from i2i.core.losses.features import FeatureMatching
from i2i.core.losses.paired import L1, L2, Charbonnier, GradientDifference
from i2i.core.losses.relativistic import Relativistic

PAIRED = [L1(), L2(), Charbonnier(), GradientDifference(), GradientDifference(alpha=2.0)]
ADVERSARIAL = [
    LSGAN(),
    LSGAN(smoothing=0.1),
    Vanilla(),
    Vanilla(smoothing=0.1),
    Hinge(),
    WGAN(),
    Relativistic(form="lsgan"),
    Relativistic(form="vanilla"),
    Relativistic(form="hinge"),
]


def named(loss: object) -> str:
    return "-".join([type(loss).__name__, *(str(value) for value in vars(loss).values())])


def maps(*values: float) -> list[Tensor]:
    return [torch.tensor(values)]


def test_l1_is_the_mean_absolute_difference() -> None:
    assert L1()(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, -1.0]])).item() == 1.25


def test_l2_is_the_mean_squared_difference() -> None:
    assert L2()(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, -1.0]])).item() == 2.125


def test_charbonnier_by_hand() -> None:
    value = Charbonnier(epsilon=3.0)(torch.tensor([[4.0, 0.0]]), torch.zeros(1, 2))
    assert value.item() == 4.0  # (5 + 3) / 2


def test_charbonnier_has_no_kink_where_images_agree() -> None:
    fake = torch.zeros(1, 1, 2, 2, requires_grad=True)
    Charbonnier()(fake, torch.zeros(1, 1, 2, 2)).backward()
    assert fake.grad is not None
    assert torch.equal(fake.grad, torch.zeros(1, 1, 2, 2))


def test_gradient_difference_by_hand() -> None:
    fake = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])  # an edge upright, of height 1
    real = torch.tensor([[[[0.0, 0.0], [3.0, 3.0]]]])  # an edge lying down, of height 3
    assert GradientDifference()(fake, real).item() == 4.0
    assert GradientDifference(alpha=2.0)(fake, real).item() == 10.0


def test_gradient_difference_sees_how_steep_an_edge_is_and_not_where_it_leads() -> None:
    edge = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert GradientDifference()(edge + 0.5, edge).item() == 0.0
    assert GradientDifference()(-edge, edge).item() == 0.0


@pytest.mark.parametrize("loss", PAIRED, ids=named)
def test_paired_losses_pull_the_fake_towards_the_real(loss) -> None:
    torch.manual_seed(0)
    real, fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8).requires_grad_(True)
    before = loss(fake, real)
    (slope,) = torch.autograd.grad(before, fake)
    assert torch.isfinite(slope).all()
    assert loss(fake - 0.1 * slope, real) < before
    assert loss(real, real) <= 1e-3


@pytest.mark.parametrize("loss", PAIRED, ids=named)
def test_paired_losses_are_taken_in_float32_under_autocast(loss) -> None:
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


def test_smoothing_moves_the_goal_of_real_alone() -> None:
    fake, real = maps(0.0, 2.0), maps(3.0, 0.5)
    plain, smooth = LSGAN(), LSGAN(smoothing=0.5)
    assert smooth.discriminator(fake, real).item() == 2.5625  # ((6.25 + 0) / 2 + (0 + 4) / 2) / 2
    assert smooth.discriminator(fake, maps(0.5)) == plain.discriminator(fake, maps(1.0))
    assert smooth.generator(fake, real) == plain.generator(fake, real)


def test_smoothed_cross_entropy_is_the_library_s_with_a_soft_label() -> None:
    torch.manual_seed(0)
    fake, real = 10 * torch.randn(2, 1, 5, 5), 10 * torch.randn(2, 1, 5, 5)
    expected = 0.5 * (
        F.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9))
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )
    torch.testing.assert_close(Vanilla(smoothing=0.1).discriminator([fake], [real]), expected)
    assert Vanilla(smoothing=0.1).generator([fake], [real]) == Vanilla().generator([fake], [real])


def test_smoothing_stops_the_discriminator_at_its_goal() -> None:
    sure = torch.tensor([math.log(9.0)], requires_grad=True)  # a probability of 0.9
    (slope,) = torch.autograd.grad(Vanilla(smoothing=0.1).discriminator(maps(0.0), [sure]), sure)
    assert slope.item() == pytest.approx(0.0, abs=1e-7)


def test_hinge_by_hand() -> None:
    fake, real = maps(-3.0, 0.0), maps(0.5, 2.0)
    assert Hinge().generator(fake, real).item() == 1.5
    assert Hinge().discriminator(fake, real).item() == 0.375  # ((0.5 + 0) / 2 + (0 + 1) / 2) / 2


def test_wasserstein_by_hand() -> None:
    fake, real = maps(1.0, 2.0), maps(4.0)
    assert WGAN().generator(fake, real).item() == -1.5
    assert WGAN().discriminator(fake, real).item() == -1.25  # half of 1.5 - 4


def test_relativistic_least_squares_by_hand() -> None:
    # Real lies 3 above the fakes' mean of 1; the fakes lie 4 and 2 below the real one.
    fake, real = maps(0.0, 2.0), maps(4.0)
    assert Relativistic(form="lsgan").discriminator(fake, real).item() == 4.5  # (4 + (9 + 1) / 2) / 2
    assert Relativistic(form="lsgan").generator(fake, real).item() == 16.5  # ((25 + 9) / 2 + 16) / 2


def test_relativistic_hinge_by_hand() -> None:
    fake, real = maps(0.0), maps(0.5)
    assert Relativistic(form="hinge").discriminator(fake, real).item() == 0.5
    assert Relativistic(form="hinge").generator(fake, real).item() == 1.5


def test_relativistic_cross_entropy_of_equal_sides_is_log_2() -> None:
    same = maps(7.0, 7.0)
    assert Relativistic(form="vanilla").discriminator(same, same).item() == pytest.approx(math.log(2))
    assert Relativistic(form="vanilla").generator(same, same).item() == pytest.approx(math.log(2))


def test_relativistic_losses_do_not_mind_where_logits_lie() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    for form in ("lsgan", "vanilla", "hinge"):
        loss = Relativistic(form=form)
        for side in (loss.generator, loss.discriminator):
            torch.testing.assert_close(side([fake + 5], [real + 5]), side([fake], [real]))


def test_feature_matching_by_hand() -> None:
    fake = [[torch.zeros(1, 2), torch.ones(1, 4)], [torch.zeros(1, 1)]]
    real = [[torch.ones(1, 2), torch.ones(1, 4) * 4], [torch.full((1, 1), -6.0)]]
    assert FeatureMatching()(fake, real).item() == 4.0  # ((1 + 3) / 2 + 6) / 2


def test_one_scale_and_one_layer_are_the_plain_difference() -> None:
    fake, real = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert FeatureMatching()([[fake]], [[real]]) == F.l1_loss(fake, real)
    assert FeatureMatching()([[fake, fake]] * 2, [[real, real]] * 2) == F.l1_loss(fake, real)


def test_real_features_are_a_goal_and_carry_no_gradient() -> None:
    fake = torch.zeros(1, 2, dtype=torch.float16, requires_grad=True)
    real = torch.ones(1, 2, requires_grad=True)
    value = FeatureMatching()([[fake]], [[real]])
    value.backward()
    assert value.dtype == torch.float32
    assert real.grad is None
    assert fake.grad is not None
    assert (fake.grad < 0).all()


def test_the_generator_still_learns_where_the_discriminator_is_sure() -> None:
    logits = torch.tensor([-50.0], requires_grad=True)
    loss = Vanilla().generator([logits], [logits.detach()])
    loss.backward()
    assert loss.item() == pytest.approx(50.0)
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1.0)


@pytest.mark.parametrize("loss", ADVERSARIAL, ids=named)
class TestMaps:
    def test_each_map_counts_the_same_whatever_its_size(self, loss) -> None:
        torch.manual_seed(0)
        sizes = [(2, 1, 30, 30), (2, 1), (2, 1, 4, 7)]
        fake, real = ([torch.randn(size) for size in sizes] for _ in range(2))
        for side in (loss.generator, loss.discriminator):
            alone = [side([f], [r]) for f, r in zip(fake, real, strict=True)]
            torch.testing.assert_close(side(fake, real), torch.stack(alone).mean())

    def test_a_list_of_one_equals_the_one(self, loss) -> None:
        fake, real = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
        for side in (loss.generator, loss.discriminator):
            assert side([fake], [real]) == side([fake, fake], [real, real])

    def test_means_are_taken_in_float32(self, loss) -> None:
        # In half precision the squares overflow, and a sum over so many would stop growing.
        fake, real = torch.full((1, 1, 128, 128), -300.0).half(), torch.full((1, 1, 128, 128), 300.0).half()
        for side in (loss.generator, loss.discriminator):
            value = side([fake], [real])
            assert value.dtype == torch.float32
            assert value == side([fake.float()], [real.float()])
            assert torch.isfinite(value)

    def test_the_discriminator_is_pushed_apart_and_the_generator_up(self, loss) -> None:
        fake, real = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        (up,) = torch.autograd.grad(loss.generator([fake], [real]), fake)
        assert up < 0
        fake = torch.full((1,), 0.5, requires_grad=True)
        down, up = torch.autograd.grad(loss.discriminator([fake], [real]), (fake, real))
        assert down > 0
        assert up < 0


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Vanilla(), (0.75, 0.5)),
        (Hinge(), (0.75, 0.5)),
        (LSGAN(), (1.0, 0.25)),
        (LSGAN(smoothing=0.5), (0.75, 0.5)),
        (Relativistic(), (0.75, 0.75)),
    ],
)
def test_accuracy_counts_the_logits_that_are_taken_for_what_they_are(loss, expected):
    fake = [torch.tensor([[-2.0, -1.0]]), torch.tensor([[0.4, -0.1]])]
    real = [torch.tensor([[3.0, -1.0]]), torch.tensor([[0.3, -0.1]])]
    found = loss.accuracy(fake, real)
    assert tuple(share.item() for share in found) == expected


def test_a_critic_has_no_accuracy():
    assert not hasattr(WGAN(), "accuracy")
