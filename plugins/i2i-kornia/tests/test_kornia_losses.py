"""The losses: their definitions against other ways to compute them, their ranges, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from i2i_kornia.losses import MSSSIM, SSIM, TV, Lab, LaplacianPyramid, Sobel
from kornia.losses import MS_SSIMLoss
from skimage.color import deltaE_cie76, rgb2lab
from torch import Tensor
from torch.nn import functional as F

from i2i.core.metrics import ssim
from i2i.errors import RecipeError

EVERY = [SSIM(), MSSSIM(), TV(), Lab(), Lab(channels="ab"), Sobel(), LaplacianPyramid()]
COMPARING = [loss for loss in EVERY if not isinstance(loss, TV)]


def named(loss: object) -> str:
    return type(loss).__name__


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_ssim_is_one_minus_the_metric_of_core() -> None:
    fake, real = images(2, 3, 20, 24), images(2, 3, 20, 24, seed=1)
    measured = ssim.SSIM().score((fake + 1) / 2, (real + 1) / 2).mean()
    assert torch.isclose(SSIM()(fake, real), 1 - measured, atol=1e-5)


def test_ms_ssim_is_that_of_kornia_on_mirrored_images() -> None:
    real = images(2, 3, 40, 33)
    fake = (real + 0.3 * torch.randn(real.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    theirs = MS_SSIMLoss(alpha=1.0, compensation=1.0, reduction="none")
    wide = (F.pad((image + 1) / 2, [16] * 4, mode="reflect") for image in (fake, real))
    wanted = theirs(*wide)[..., 16:-16, 16:-16].mean()
    assert 0.1 < wanted < 0.9
    assert torch.isclose(MSSSIM()(fake, real), wanted, atol=1e-4)


def test_ms_ssim_through_one_gaussian_is_ssim() -> None:
    real = images(1, 1, 32, 32)
    fake = real * 0.5
    one, other = MSSSIM(sigmas=(1.5,))(fake, real), SSIM(window=7)(fake, real)
    assert torch.isclose(one, other, rtol=0.02)


def test_lab_is_the_cie76_distance_over_a_hundred() -> None:
    fake, real = images(1, 3, 6, 5), images(1, 3, 6, 5, seed=1)
    one, other = (rgb2lab(((image[0] + 1) / 2).permute(1, 2, 0).double().numpy()) for image in (fake, real))
    assert Lab()(fake, real).item() == pytest.approx(np.mean(deltaE_cie76(one, other)) / 100, rel=1e-3)


def test_lab_of_black_and_white_is_one_and_of_hues_alone_nothing() -> None:
    white = torch.ones(1, 3, 4, 4)
    assert Lab()(white, -white).item() == pytest.approx(1, abs=1e-4)
    assert Lab()(white[:, :1], -white[:, :1]).item() == pytest.approx(1, abs=1e-4)
    assert Lab(channels="ab")(white, -white).item() < 1e-3
    blue, green = (torch.tensor(colour).reshape(1, 3, 1, 1) * 2.0 - 1 for colour in ([0, 0, 1], [0, 1, 0]))
    assert Lab()(blue, green).item() == pytest.approx(2.587, abs=1e-3)


def test_lab_has_a_finite_gradient_outside_the_range_and_at_black() -> None:
    fake = torch.tensor([-3.0, -1.0, 2.0]).reshape(1, 3, 1, 1).requires_grad_(True)
    Lab()(fake, torch.zeros(1, 3, 1, 1)).backward()
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


def test_tv_is_the_mean_step_down_plus_that_across() -> None:
    image = torch.tensor([[-1.0, 0.0], [0.5, 1.0]]).reshape(1, 1, 2, 2)
    assert TV()(image, images(1, 1, 2, 2)).item() == pytest.approx((1.5 + 1.0) / 2 + (1.0 + 0.5) / 2)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert TV()(board[None, None], board[None, None]).item() == 4


def test_sobel_measures_slopes_and_is_blind_to_the_level() -> None:
    ramp = torch.linspace(-0.9, 0.9, 19).expand(1, 3, 16, 19)
    flat = torch.zeros_like(ramp)
    # 0.1 a pixel across and nothing down; at both ends the border repeats, which halves it.
    assert Sobel()(ramp, flat).item() == pytest.approx((0.1 * 17 + 0.05 * 2) / 19 / 2, abs=1e-6)
    assert Sobel()(ramp, ramp * 0.5 - 0.3).item() == pytest.approx(Sobel()(ramp * 0.5, flat).item(), abs=1e-6)
    assert Sobel()(ramp, -ramp).item() == pytest.approx(2 * Sobel()(ramp, flat).item(), abs=1e-6)


def test_a_laplacian_pyramid_minds_the_level_once_and_fine_structure_at_its_scale() -> None:
    flat = torch.zeros(1, 1, 32, 32)
    assert LaplacianPyramid()(flat + 0.3, flat).item() == pytest.approx(0.3, abs=1e-5)
    noise = 0.3 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    coarse = F.interpolate(noise[..., ::8, ::8], (32, 32), mode="bilinear")
    fine_levels = [LaplacianPyramid(levels=n)(noise, flat).item() for n in (2, 5)]
    coarse_levels = [LaplacianPyramid(levels=n)(coarse, flat).item() for n in (2, 5)]
    assert fine_levels[1] < 2 * fine_levels[0]
    assert coarse_levels[1] > 1.5 * coarse_levels[0]


@pytest.mark.parametrize("size", [(17, 40), (33, 48), (64, 24)])
def test_sizes_that_are_no_power_of_two_will_do(size: tuple[int, int]) -> None:
    fake, real = images(1, 3, *size), images(1, 3, *size, seed=1)
    for loss in EVERY:
        assert loss(fake, real).isfinite()


@pytest.mark.parametrize("loss", COMPARING, ids=named)
def test_alike_costs_nothing_and_worse_costs_more(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    real = images(2, 3, 32, 32) * 0.7
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(1))
    costs = [loss(real + amount * noise, real).item() for amount in (0.0, 0.02, 0.05, 0.1)]
    assert costs[0] == pytest.approx(0, abs=1e-5)
    assert costs == sorted(costs)
    assert costs[1] > 1e-4


@pytest.mark.parametrize("loss", EVERY, ids=named)
def test_a_run_in_less_than_float32_changes_nothing(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    fake, real = images(1, 3, 32, 32), images(1, 3, 32, 32, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(fake, real)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(fake, real))


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (SSIM(), "kornia/ssim needs images of at least 11x11 pixels, not 8x8: lower its 'window'"),
        (MSSSIM(), "kornia/ms-ssim needs images of at least 17x17 pixels, not 8x8: lower its 'sigmas'"),
        (LaplacianPyramid(), "kornia/laplacian-pyramid needs .* 16x16 pixels, not 8x8: lower its 'levels'"),
    ],
    ids=lambda value: named(value) if callable(value) else "",
)
def test_images_that_are_too_small_are_refused_and_the_smallest_are_not(loss, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        loss(images(1, 3, 8, 8), images(1, 3, 8, 8))
    side = loss.smallest
    assert loss(images(1, 3, side, side), images(1, 3, side, side)).isfinite()
    with pytest.raises(RecipeError, match=f"not {side}x{side - 1}"):
        loss(images(1, 3, side, side - 1), images(1, 3, side, side - 1))


def test_small_images_will_do_with_smaller_windows() -> None:
    fake, real = images(1, 3, 8, 8), images(1, 3, 8, 8, seed=1)
    for loss in (SSIM(window=7), MSSSIM(sigmas=(0.5, 1.0, 2.0)), LaplacianPyramid(levels=3)):
        assert 0 < loss(fake, real).item() < 4


def test_colours_are_those_of_rgb_or_grey() -> None:
    four = images(1, 4, 4, 4)
    with pytest.raises(RecipeError, match="kornia/lab compares RGB or grey images, not images of 4 channels"):
        Lab()(four, four)
    with pytest.raises(RecipeError, match="neither hue nor saturation in grey images"):
        Lab(channels="ab")(four[:, :1], four[:, :1])


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="odd number of pixels, not 10"):
        SSIM(window=10)
    for sigmas in ((), (2.0, 1.0)):
        with pytest.raises(ValueError, match="from the smallest to the largest"):
            MSSSIM(sigmas=sigmas)
