"""The multi-scale discriminator: patches of the same build, each on half the size of the one before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i.core.discriminators.multi_scale import MultiScale
from i2i.core.discriminators.patch import Patch
from i2i.maps import as_features, as_maps


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_it_has_as_many_patch_discriminators_as_scales() -> None:
    with torch.device("meta"):
        net = MultiScale(in_channels=6, scales=3)
        maps = as_maps(net(torch.empty(2, 6, 256, 512)))
    assert count(net) == 3 * 2_768_705
    assert [tuple(logits.shape) for logits in maps] == [(2, 1, 30, 62), (2, 1, 14, 30), (2, 1, 6, 14)]


def test_one_scale_is_a_patch_discriminator() -> None:
    net = MultiScale(in_channels=3, scales=1, width=2, layers=2)
    patch = Patch(in_channels=3, width=2, layers=2)
    patch.load_state_dict(net.scales[0].state_dict())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(as_maps(net(image))[0], as_maps(patch(image))[0])
    assert net.receptive_field == patch.receptive_field == 34


def test_features_are_those_of_each_scale_in_the_order_of_the_maps() -> None:
    net = MultiScale(in_channels=3, scales=2, width=2, layers=1)
    features = as_features(net(torch.randn(1, 3, 32, 48)))
    assert [[tuple(f.shape[1:]) for f in scale] for scale in features] == [
        [(2, 16, 24), (4, 15, 23)],
        [(2, 8, 12), (4, 7, 11)],
    ]


def test_a_coarser_scale_sees_averages() -> None:
    net = MultiScale(in_channels=1, scales=2, width=2, layers=1, norm="none")
    image = torch.randn(1, 1, 16, 16)
    halved = nn.functional.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
    assert torch.equal(as_maps(net(image))[1], as_maps(net.scales[1](halved))[0])
    flat = torch.full((1, 1, 16, 17), 0.5)
    assert torch.equal(net.halve(flat), torch.full((1, 1, 8, 9), 0.5))  # to the very edge


def test_the_receptive_field_is_that_of_the_coarsest_scale() -> None:
    torch.manual_seed(0)
    net = MultiScale(in_channels=1, scales=3, width=2, layers=1, norm="none").double()
    image = torch.randn(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    logits = as_maps(net(image))[-1]
    (gradient,) = torch.autograd.grad(logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2], image)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == net.receptive_field
    assert net.receptive_field == 67


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_the_smallest_image_gives_one_logit_at_the_coarsest_scale(scales: int) -> None:
    net = MultiScale(in_channels=3, scales=scales, width=2, layers=1)
    smallest = net.smallest
    assert as_maps(net(torch.randn(2, 3, smallest, smallest)))[-1].shape == (2, 1, 1, 1)
    with pytest.raises(
        ValueError, match=f"sides of at least {smallest} pixels, not {smallest}x{smallest - 1}"
    ):
        net(torch.randn(2, 3, smallest, smallest - 1))


def test_layers_and_receptive_field_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="give only one of the two"):
        MultiScale(in_channels=3, layers=3, receptive_field=16)
