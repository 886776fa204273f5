"""Penalties: slopes that can be worked out by hand, and gradients that reach the discriminator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from i2i.core.discriminators.patch import Patch
from i2i.core.losses.penalties import R1, GradientPenalty
from i2i.maps import as_maps

Judge = Callable[[Tensor], list[Tensor]]
PENALTIES = [GradientPenalty(), GradientPenalty(target=0.0), R1()]


def linear(slope: float) -> Judge:
    """A judge whose score has the same slope in each of its 4 pixels, so a norm of twice that."""
    return lambda image: [slope * image.sum(dim=(1, 2, 3))[:, None]]


def images(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, 2, 2).clone()


def small_patch() -> Judge:
    torch.manual_seed(0)
    patch = Patch(in_channels=3, width=4, layers=1, norm="instance")
    return lambda image: as_maps(patch(image))


def test_gradient_penalty_of_a_linear_judge_is_the_same_everywhere() -> None:
    real, fake = images(0.0, 1.0), images(-1.0, 0.5)
    assert GradientPenalty()(linear(2.0), real, fake).item() == 9.0  # (4 - 1) squared
    assert GradientPenalty()(linear(0.5), real, fake).item() == 0.0
    assert GradientPenalty(target=0.0)(linear(2.0), real, fake).item() == 16.0


def test_r1_of_a_linear_judge() -> None:
    assert R1()(linear(2.0), images(0.0, 1.0), images(0.0, 0.0)).item() == 8.0  # half of 4 squared


def test_r1_looks_at_real_images_alone() -> None:
    def judge(image: Tensor) -> list[Tensor]:  # flat at 0, steep elsewhere
        return [image.square().sum(dim=(1, 2, 3))[:, None]]

    assert R1()(judge, images(0.0), images(9.0)).item() == 0.0
    assert R1()(judge, images(1.0, 0.0), images(9.0, 9.0)).item() == 4.0  # half of (4 * 2 squared) / 2


def test_each_image_has_its_own_place_between_real_and_fake() -> None:
    seen: list[Tensor] = []

    def judge(image: Tensor) -> list[Tensor]:
        seen.append(image)
        return [image.sum(dim=(1, 2, 3))[:, None]]

    torch.manual_seed(0)
    GradientPenalty()(judge, images(*[0.0] * 8), images(*[1.0] * 8))
    shares = seen[0].detach()[:, 0, 0, 0]
    assert len(set(shares.tolist())) == 8
    assert ((shares >= 0) & (shares <= 1)).all()
    assert torch.equal(seen[0].detach(), images(*shares.tolist()))


def test_the_place_is_drawn_from_the_global_generator() -> None:
    judge, real, fake = small_patch(), torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return GradientPenalty()(judge, real, fake)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("penalty", PENALTIES)
class TestPenalties:
    def test_a_score_is_the_mean_over_positions_and_maps(self, penalty) -> None:
        real, fake = images(0.3), images(-0.2)

        def judge(image: Tensor) -> list[Tensor]:
            return [image.expand(-1, 5, -1, -1), 3 * image]

        def score(image: Tensor) -> list[Tensor]:
            return [torch.stack([m.mean(dim=(1, 2, 3)) for m in judge(image)]).mean(dim=0)[:, None]]

        torch.manual_seed(0)
        value = penalty(judge, real, fake)
        torch.manual_seed(0)
        torch.testing.assert_close(value, penalty(score, real, fake))

    def test_a_list_of_one_equals_the_one(self, penalty) -> None:
        real, fake = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
        judge = small_patch()
        values = []
        for doubled in (judge, lambda image: judge(image) * 2):
            torch.manual_seed(0)
            values.append(penalty(doubled, real, fake))
        torch.testing.assert_close(*values)

    def test_minimising_it_makes_a_steep_discriminator_flatter(self, penalty) -> None:
        torch.manual_seed(0)
        patch = Patch(in_channels=3, width=4, layers=1, norm="none")
        with torch.no_grad():
            for parameter in patch.parameters():
                parameter.mul_(3)
        real, fake = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)

        def value() -> Tensor:
            torch.manual_seed(1)
            return penalty(lambda image: as_maps(patch(image)), real, fake)

        before = value()
        slopes = torch.autograd.grad(before, list(patch.parameters()), allow_unused=True)
        assert slopes[0] is not None
        assert slopes[0].abs().max() > 0
        with torch.no_grad():
            for parameter, slope in zip(patch.parameters(), slopes, strict=True):
                if slope is not None:
                    parameter.sub_(1e-3 * slope / slope.norm().clamp(min=1e-6))
        assert value() < before

    def test_nothing_reaches_the_images(self, penalty) -> None:
        real = torch.randn(2, 3, 8, 8, requires_grad=True)
        fake = torch.randn(2, 3, 8, 8, requires_grad=True)
        penalty(small_patch(), real, fake).backward()
        assert real.grad is None
        assert fake.grad is None

    def test_it_is_computed_in_float32_under_autocast(self, penalty) -> None:
        judge = small_patch()
        real, fake = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
        torch.manual_seed(0)
        plain = penalty(judge, real, fake)
        with torch.autocast("cpu", torch.bfloat16):
            torch.manual_seed(0)
            assert penalty(judge, real, fake) == plain

    def test_a_discriminator_that_is_flat_everywhere_has_finite_gradients(self, penalty) -> None:
        layer = nn.Conv2d(1, 1, 1)
        nn.init.zeros_(layer.weight)
        value = penalty(lambda image: [layer(image)], images(1.0), images(0.0))
        value.backward()
        assert layer.weight.grad is not None
        assert torch.isfinite(layer.weight.grad).all()
