"""Doubling the size: a transposed convolution can leave a checkerboard, a resize cannot."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from i2i.core.generators.doubling import doubling
from i2i.core.generators.encoder_decoder import EncoderDecoder
from i2i.core.generators.noise import Noise
from i2i.core.generators.resnet import ResNet
from i2i.core.generators.unet import UNet


def doubled(image: Tensor, *, upsample: str, kernel: int) -> Tensor:
    torch.manual_seed(0)
    layers = doubling(image.shape[1], 2, upsample=upsample, kernel=kernel, bias=True)
    return nn.Sequential(*layers.values())(image)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_every_way_doubles_the_size(upsample: str, kernel: int) -> None:
    assert doubled(torch.randn(1, 3, 5, 7), upsample=upsample, kernel=kernel).shape == (1, 2, 10, 14)


@pytest.mark.parametrize("kernel", [3, 4])
def test_a_flat_image_stays_flat_only_when_resized(kernel: int) -> None:
    flat = torch.ones(1, 3, 8, 8)
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    resized = doubled(flat, upsample="resize", kernel=kernel)[inside]
    transposed = doubled(flat, upsample="transposed", kernel=kernel)[inside]
    assert (resized - resized[..., :1, :1]).abs().max() < 1e-6
    assert (transposed - transposed[..., :1, :1]).abs().max() > 1e-2
    assert torch.allclose(transposed[..., :-2, :-2], transposed[..., 2:, 2:])  # a board with a period of 2


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (UNet, {"depth": 3}),
        (EncoderDecoder, {"depth": 3}),
        (Noise, {"depth": 3}),
        (ResNet, {"blocks": 1}),
    ],
)
def test_a_generator_that_resizes_has_no_transposed_convolution(make: type[nn.Module], options: dict) -> None:
    both = {
        upsample: make(in_channels=1, out_channels=2, width=2, upsample=upsample, **options)
        for upsample in ("transposed", "resize")
    }
    transposed = {
        upsample: sum(isinstance(part, nn.ConvTranspose2d) for part in net.modules())
        for upsample, net in both.items()
    }
    assert transposed == {"transposed": 2 if make is ResNet else 3, "resize": 0}
    image = both["resize"](torch.randn(1, 1, 8, 16))
    assert image.shape == (1, 2, 8, 16)
    image.square().sum().backward()
    assert all(parameter.grad is not None for parameter in both["resize"].parameters())


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_biases_follow_the_same_rule_however_the_size_is_doubled(norm: str) -> None:
    for make in (UNet, ResNet):
        for upsample in ("transposed", "resize"):
            net = make(in_channels=1, out_channels=1, width=2, norm=norm, upsample=upsample)
            convolutions = [p for p in net.modules() if isinstance(p, (nn.Conv2d, nn.ConvTranspose2d))]
            assert convolutions[-1].bias is not None
            assert all((part.bias is None) == (norm == "batch") for part in convolutions[:-1])
