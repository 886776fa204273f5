"""The network: it is told the time, attends where it should, and takes the sizes that it says."""

from __future__ import annotations

import pytest
import torch
from i2i_bridge.attention_unet import Attention, AttentionUNet, TimeEmbedding


def network(**params) -> AttentionUNet:
    torch.manual_seed(0)
    return AttentionUNet(**{"in_channels": 3, "out_channels": 3, "width": 8, "depth": 2, **params})


def test_the_time_changes_the_answer_of_each_image_by_itself():
    net, image = network(), torch.rand(1, 3, 16, 16).expand(3, -1, -1, -1)
    early, late, early_again = net(image, torch.tensor([0.1, 0.9, 0.1]))
    assert (early - late).abs().mean() > 1e-3
    torch.testing.assert_close(early, early_again)


def test_times_are_told_apart_and_near_ones_are_told_alike():
    torch.manual_seed(0)
    told = TimeEmbedding(32, 64)(torch.tensor([0.0, 0.01, 0.5, 1.0]))
    near, far = (told[0] - told[1]).norm(), (told[0] - told[2]).norm()
    assert near < 0.5 * far
    assert torch.cdist(told, told).add(torch.eye(4)).min() > 0.01


@pytest.mark.parametrize(("attention", "places"), [(0, []), (1, [2]), (2, [1, 2]), (3, [0, 1, 2])])
def test_attention_is_at_the_coarsest_scales(attention, places):
    net = network(attention=attention, blocks=2)
    counts = [sum(isinstance(part, Attention) for part in scale.modules()) for scale in net.down]
    assert counts == [2 if level in places else 0 for level in range(3)]
    assert [len(scale.attention) // 2 for scale in net.up] == [int(level in places) for level in range(2)]


def test_with_attention_every_place_sees_every_other():
    def reach(net: AttentionUNet) -> torch.Tensor:
        image = torch.zeros(1, 3, 64, 64, requires_grad=True)
        net(image, torch.tensor([0.5]))[0, :, 0, 0].sum().backward()
        return image.grad[0, :, -1, -1].abs().sum()

    assert reach(network(depth=1, attention=1)) > 0


def test_without_halving_it_takes_images_of_a_pixel():
    net = network(depth=0, attention=0)
    assert net.size_multiple == 1
    assert net(torch.rand(2, 3, 1, 1), torch.rand(2)).shape == (2, 3, 1, 1)


def test_another_size_is_refused():
    assert network().size_multiple == 4
    with pytest.raises(ValueError, match="have to be multiples of 4, and are 16 x 18"):
        network()(torch.rand(1, 3, 16, 18), torch.rand(1))


def test_each_parameter_is_in_one_of_its_groups():
    net = network(attention=1)
    parts = [name for names in net.groups.values() for name in names]
    assert sorted(parts) == sorted(name for name, _ in net.named_children())
    assert len(parts) == len({*parts})
