"""Metrics against scikit-image and torchmetrics, where their definitions agree."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torchmetrics_ssim

from i2i.core.metrics.pixel import MAE, PSNR
from i2i.core.metrics.ssim import MSSSIM, SCALES, SSIM

Pair = tuple[Tensor, Tensor]
CLOSE = 1e-4


def synthetic() -> Pair:
    """Return smooth structures with edges, (2,3,180,196), and a noisy, shifted copy, in 8-bit levels."""
    rng = torch.Generator().manual_seed(0)
    smooth = F.interpolate(torch.rand(2, 3, 9, 10, generator=rng), (180, 196), mode="bicubic")
    real = torch.where(torch.rand(2, 1, 180, 196, generator=rng) < 0.02, 1.0, smooth).clamp(0, 1)
    noisy = real.roll(1, dims=-1) + 0.05 * torch.randn(real.shape, generator=rng)
    return ((noisy.clamp(0, 1) * 255).round() / 255, (real * 255).round() / 255)


def facades() -> Pair:
    """Return photos of facades, blurred and as they are, (4,3,256,256)."""
    folder = Path(os.environ["I2I_TEST_DATA"]) / "facades" / "val"
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for number in range(1, 5):
        with Image.open(folder / f"{number}.jpg") as image:
            photo = image.convert("RGB").crop((0, 0, 256, 256))
        for side, seen in zip(sides, (photo.filter(ImageFilter.GaussianBlur(number)), photo)):
            side.append(torch.from_numpy(np.array(seen)).permute(2, 0, 1).float() / 255)
    fake, real = map(torch.stack, sides)
    return fake, real


needs_facades = pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")


@pytest.fixture(scope="module", params=["synthetic", pytest.param("facades", marks=needs_facades)])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Translations and truths."""
    return {"synthetic": synthetic, "facades": facades}[request.param]()


def valid(full: Tensor) -> Tensor:
    """Return the mean over the positions where an 11x11 window lies inside the image."""
    return full[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))


def test_mae_is_numpys_mean(pair: Pair) -> None:
    fake, real = pair
    expected = [np.abs(f.numpy() - r.numpy()).mean() for f, r in zip(fake, real)]
    assert MAE().score(fake, real).tolist() == pytest.approx(expected, abs=CLOSE)


def test_psnr_agrees_with_both(pair: Pair) -> None:
    fake, real = pair
    found = PSNR().score(fake, real)
    theirs = [peak_signal_noise_ratio(r.numpy(), f.numpy(), data_range=1.0) for f, r in zip(fake, real)]
    assert found.tolist() == pytest.approx(theirs, abs=CLOSE)
    each = torchmetrics_psnr(fake, real, data_range=1.0, dim=(1, 2, 3), reduction="none")
    assert found.tolist() == pytest.approx(each.tolist(), abs=CLOSE)


def test_ssim_agrees_with_scikit_image(pair: Pair) -> None:
    fake, real = pair
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = [
        structural_similarity(f.numpy(), r.numpy(), data_range=1.0, channel_axis=0, **options)
        for f, r in zip(fake, real)
    ]
    assert SSIM().score(fake, real).tolist() == pytest.approx(theirs, abs=CLOSE)


def test_ssim_agrees_with_torchmetrics_inside_the_border_that_it_counts(pair: Pair) -> None:
    fake, real = pair
    _, full = torchmetrics_ssim(fake, real, data_range=1.0, reduction="none", return_full_image=True)
    assert SSIM().score(fake, real).tolist() == pytest.approx(valid(full).tolist(), abs=CLOSE)


def test_ms_ssim_agrees_with_torchmetrics_scale_by_scale(pair: Pair) -> None:
    fake, real = pair
    found = MSSSIM().score(fake, real)
    expected = torch.ones(len(real))
    for scale, weight in enumerate(SCALES):
        options = {"data_range": 1.0, "reduction": "none"}
        if scale < len(SCALES) - 1:
            _, term = torchmetrics_ssim(fake, real, return_contrast_sensitivity=True, **options)
        else:
            _, full = torchmetrics_ssim(fake, real, return_full_image=True, **options)
            term = valid(full)  # whose own multi-scale figure counts the border at this scale alone
        expected *= term.clamp(min=0) ** weight
        fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=CLOSE)
    assert 0.1 < found.min() < found.max() < 1
