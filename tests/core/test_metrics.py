"""Metrics against values worked out by hand or straight from their definition."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from i2i.core.metrics.pixel import MAE, PSNR, PerImage
from i2i.core.metrics.ssim import SSIM
from i2i.errors import DataError

ALL = [MAE, PSNR, SSIM]


def flat(*values: float, channels: int = 3) -> Tensor:
    """Return one image of 12x12 of each value."""
    return torch.tensor(values).reshape(-1, 1, 1, 1).expand(-1, channels, 12, 12).contiguous()


def figures(metric: PerImage, fake: Tensor, real: Tensor) -> list[float]:
    (values,) = metric.update(real, fake, real, [str(i) for i in range(len(real))]).values()
    return values.tolist()


def ssim_by_definition(one: Tensor, other: Tensor) -> float:
    """Return SSIM of two (C,H,W) in double precision, window by window, variances about the local mean."""
    bell = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(bell, bell).flatten()
    window /= window.sum()
    x, y = (F.unfold(image.double()[:, None], 11) for image in (one, other))  # (C,121,positions)
    weights = window[None, :, None]
    mx, my = ((weights * v).sum(1, keepdim=True) for v in (x, y))
    vx, vy = ((weights * (v - m) ** 2).sum(1) for v, m in ((x, mx), (y, my)))
    vxy = (weights * (x - mx) * (y - my)).sum(1)
    mx, my = mx[:, 0], my[:, 0]
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return similarity.mean().item()


def test_mae_is_on_the_scale_of_0_to_1() -> None:
    assert figures(MAE(), flat(0.0, 0.5), flat(1.0, 0.25)) == [1.0, 0.25]


def test_psnr_by_hand() -> None:
    assert figures(PSNR(), flat(0.0, 0.6), flat(1.0, 0.5)) == pytest.approx([0.0, 20.0], abs=1e-4)


def test_psnr_of_identical_images_is_finite_and_the_most_there_is() -> None:
    best = 20 * math.log10(255 / 0.5)
    image = torch.rand(1, 3, 12, 12)
    assert figures(PSNR(), image, image) == pytest.approx([best])
    assert best == pytest.approx(54.15, abs=0.01)
    assert figures(PSNR(), image + 1e-5, image) == pytest.approx([best])


def test_psnr_is_averaged_over_images_not_over_errors() -> None:
    metric = PSNR()
    figures(metric, flat(0.1, 0.01), flat(0.0, 0.0))
    assert metric.compute()["psnr"] == pytest.approx(30.0, abs=1e-4)


def test_ssim_of_flat_images_by_hand() -> None:
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert figures(SSIM(), flat(0.2), flat(0.6)) == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_ssim_is_its_definition(channels: int) -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(2, channels, 14, 19, generator=rng)
    fake = (real + 0.2 * torch.randn(real.shape, generator=rng)).clamp(0, 1)
    expected = [ssim_by_definition(f, r) for f, r in zip(fake, real, strict=True)]
    assert figures(SSIM(), fake, real) == pytest.approx(expected, abs=1e-5)


def test_ssim_leaves_out_windows_that_reach_over_the_border() -> None:
    real = torch.full((1, 1, 11, 11), 0.5)
    real[..., 5, 5] = 1.0
    fake = real.flip(-1)
    fake[..., 0, 0] = 0.9
    assert figures(SSIM(), fake, real) == pytest.approx([ssim_by_definition(fake[0], real[0])], abs=1e-5)


def test_ssim_of_identical_images_is_1() -> None:
    image = torch.rand(2, 3, 11, 13)
    assert figures(SSIM(), image, image) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_ssim_of_images_smaller_than_its_window_is_refused() -> None:
    with pytest.raises(DataError, match="at least 11x11 pixels, not 10x32: leave this metric out"):
        figures(SSIM(), torch.rand(1, 3, 10, 32), torch.rand(1, 3, 10, 32))


@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")
def test_ssim_of_a_facade_and_its_blur_is_the_figure_without_the_border() -> None:
    path = Path(os.environ["I2I_TEST_DATA"]) / "facades" / "val" / "1.jpg"
    with Image.open(path) as pair:
        photo = pair.convert("RGB").crop((0, 0, 256, 256))
    blurred = photo.filter(ImageFilter.GaussianBlur(1))
    real, fake = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255 for image in (photo, blurred)
    )
    # 0.88663 with the border counted. The tolerance is for differences between JPEG decoders.
    assert figures(SSIM(), fake, real) == pytest.approx([0.88753], abs=2e-4)


@pytest.mark.parametrize("kind", ALL)
class TestEveryMetric:
    def test_compute_is_the_mean_over_all_images_whatever_the_batches(self, kind: type[PerImage]) -> None:
        rng = torch.Generator().manual_seed(0)
        fake, real = (torch.rand(5, 3, 12, 12, generator=rng) for _ in range(2))
        metric = kind()
        values = figures(metric, fake[:2], real[:2]) + figures(metric, fake[2:], real[2:])
        assert metric.compute() == pytest.approx({kind.name: sum(values) / 5})

    def test_reset_forgets_what_was_seen(self, kind: type[PerImage]) -> None:
        metric = kind()
        figures(metric, flat(0.0), flat(1.0))
        metric.reset()
        (last,) = figures(metric, flat(0.4), flat(0.5))
        assert metric.compute()[kind.name] == pytest.approx(last)

    def test_without_images_there_is_nothing_to_compute(self, kind: type[PerImage]) -> None:
        with pytest.raises(DataError, match=f"{kind.name} has no image to average over"):
            kind().compute()

    def test_the_source_may_have_other_channels(self, kind: type[PerImage]) -> None:
        real = torch.rand(2, 3, 12, 12)
        (values,) = kind().update(torch.rand(2, 1, 12, 12), real, real, ["a", "b"]).values()
        assert values.shape == (2,)

    def test_several_draws_count_as_their_mean(self, kind: type[PerImage]) -> None:
        real, first, second = (torch.rand(2, 3, 12, 12) for _ in range(3))
        together = figures(kind(), torch.stack((first, second)), real)
        alone = zip(figures(kind(), first, real), figures(kind(), second, real), strict=True)
        assert together == pytest.approx([sum(pair) / 2 for pair in alone])

    def test_its_direction_is_the_way_to_a_perfect_answer(self, kind: type[PerImage]) -> None:
        real = torch.rand(1, 3, 12, 12)
        (perfect,), (poor,) = figures(kind(), real, real), figures(kind(), 1 - real, real)
        assert kind.directions == {kind.name: "max" if perfect > poor else "min"}
