"""How far networks look, measured: told against what their layers say."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i import testtime
from i2i.core.generators.resnet import ResNet
from i2i.core.generators.unet import UNet
from i2i.models.footprint import BESIDE, bytes_per_pixel
from i2i.models.reach import Reach, measured_reach
from i2i.records import TestSettings

SIDES = {"in_channels": 3, "out_channels": 3}


class Net(nn.Module):
    def __init__(self, forward, multiple: int = 1) -> None:
        super().__init__()
        self.answer, self.size_multiple = forward, multiple

    def forward(self, image):
        return self.answer(image)


def reach(module: nn.Module, far: int = 100) -> Reach:
    return measured_reach(module.eval(), channels=3, device="cpu", far=far)


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (7, 1), (3, 9)])
def test_a_convolution_reaches_as_far_as_its_kernel(size, dilation):
    pad = size // 2 * dilation
    assert reach(nn.Conv2d(3, 2, size, padding=pad, dilation=dilation)) == Reach(pad, True, False)


def test_weights_that_are_zero_hide_nothing():
    conv = nn.Conv2d(3, 1, 9, padding=4)
    nn.init.zeros_(conv.weight)
    assert reach(conv).pixels == 4


def test_looking_to_one_side_alone_is_found():
    assert reach(Net(lambda image: F.pad(image, (0, 0, 11, 0))[..., :-11, :])).pixels == 11
    assert reach(Net(lambda image: F.pad(image, (0, 13))[..., 13:])).pixels == 13


def test_every_place_within_a_stride_is_tried():
    blocks = Net(lambda image: F.interpolate(F.avg_pool2d(image, 8), scale_factor=8.0), multiple=8)
    assert reach(blocks) == Reach(7, True, False)


def test_a_network_that_lets_no_nan_through_is_measured_by_other_numbers():
    conv = nn.Conv2d(3, 3, 5, padding=2)
    assert reach(Net(lambda image: conv(torch.nan_to_num(image)))).pixels == 2

    def refusing(image):
        if image.isnan().any():
            raise ValueError("no numbers")
        return conv(image)

    assert reach(Net(refusing)).pixels == 2


@pytest.mark.parametrize(
    "module",
    [
        nn.InstanceNorm2d(3),
        Net(lambda image: image + image.mean(dim=(2, 3), keepdim=True)),
        Net(lambda image: image.flatten(2).mT.softmax(dim=1).mT.unflatten(2, image.shape[2:])),
        nn.Sequential(*[nn.Conv2d(3, 3, (3, 1), padding=(40, 0), dilation=(40, 1)) for _ in range(5)]),
    ],
    ids=["instance norm", "mean", "softmax", "far"],
)
def test_who_looks_at_the_whole_picture_or_too_far_has_no_reach(module):
    assert reach(module).pixels is None


def test_a_stride_that_a_network_does_not_tell_is_found():
    def forward(image):
        height, width = image.shape[-2:]
        small = F.avg_pool2d(F.pad(image, (0, -width % 4, 0, -height % 4)), 4)
        return F.interpolate(small, scale_factor=4.0)[..., :height, :width]

    found = reach(Net(forward))
    assert (found.pixels, found.moves) == (3, False)


def test_answering_by_place_is_found():
    ramp = Net(lambda image: image + torch.linspace(0, 1, image.shape[-1]))
    assert reach(ramp) == Reach(0, False, False)


def test_drawing_at_random_is_found_and_random_numbers_go_on_as_they_were():
    module = UNet(**SIDES, depth=2, width=4, dropout=0.5)
    testtime.apply(module, TestSettings(dropout=True, norm="running"))
    before = torch.get_rng_state()
    assert reach(Net(lambda image: image + torch.randn_like(image))).draws
    found = measured_reach(module, channels=3, device="cpu", far=100)
    assert found.draws
    assert found.moves
    assert torch.equal(before, torch.get_rng_state())
    assert any(isinstance(part, nn.Dropout) and part.training for part in module.modules())


def test_a_u_net_with_statistics_of_its_own_reaches_everywhere_and_with_fixed_ones_does_not():
    module = UNet(**SIDES, depth=3, width=4)
    testtime.apply(module, TestSettings(norm="batch"))
    assert measured_reach(module, channels=3, device="cpu", far=100).pixels is None
    testtime.apply(module, TestSettings(norm="running"))
    # Down by 4x4 kernels of stride 2, and up by the same: 19 pixels by the sums of both ways.
    assert measured_reach(module, channels=3, device="cpu", far=100) == Reach(19, True, False)


def test_a_residual_network_is_measured():
    module = ResNet(**SIDES, blocks=1, width=4, norm="batch")
    found = reach(module)
    # 7x7, two 3x3 of stride 2, two 3x3 at a quarter, and all of it back: 3 + 1 + 2 + 8 + ... pixels.
    assert found.pixels is not None
    assert 14 <= found.pixels <= 28
    assert found.moves


def test_memory_is_that_of_the_values_held_at_once():
    one = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    held = 4 * (8 + 8)  # bytes of both maps of 8 channels
    found = bytes_per_pixel(one.eval(), channels=3, device="cpu")
    assert BESIDE * held <= found <= BESIDE * (held + 4 * 6)
