"""Dropout and normalisation at test time are two settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i import testtime
from i2i.kinds import TestSettings


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))
    net[1].weight.data.uniform_(0.5, 1.5)
    net[1].bias.data.uniform_(-1, 1)
    return net


IMAGE = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("norm", ["batch", "running"])
def test_each_setting_does_its_own_part(dropout, norm):
    net = network()
    with testtime.applied(net, TestSettings(dropout, norm)):
        torch.manual_seed(5)
        first = net(IMAGE)
        second = net(IMAGE)
        alone = net(IMAGE[:1])
    assert torch.equal(first, second) is not dropout
    if not dropout:
        assert torch.allclose(first[:1], alone, atol=1e-6)
        plain = network().eval()
        assert torch.allclose(first, plain(IMAGE)) is (norm == "running")


def test_per_image_statistics_are_those_of_batch_norm_on_one_image():
    net = network()
    reference = network()
    reference[2].p = 0.0
    with testtime.applied(net, TestSettings(False, "batch")):
        mine = net(IMAGE[:1])
    assert torch.allclose(mine, reference.train()(IMAGE[:1]), atol=1e-6)


class NormThenRelu(nn.BatchNorm2d):
    def forward(self, image):
        return F.relu(F.batch_norm(image, self.running_mean, self.running_var, self.weight, bias=self.bias))


def test_a_norm_that_does_more_still_does_it():
    plain = network()
    more = network()
    more[1] = NormThenRelu(4)
    more[1].load_state_dict(plain[1].state_dict())
    plain.insert(2, nn.ReLU())
    for norm in ("batch", "running"):
        with (
            testtime.applied(plain, TestSettings(False, norm)),
            testtime.applied(more, TestSettings(False, norm)),
        ):
            assert torch.equal(plain(IMAGE), more(IMAGE))


def test_everything_is_put_back_even_after_an_error():
    net = network().train()
    net[2].eval()
    before = net.state_dict()["1.running_mean"].clone()

    def fail_inside() -> None:
        with testtime.applied(net, TestSettings(True, "batch")):
            net(IMAGE)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert [part.training for part in net] == [True, True, False, True]
    assert torch.equal(net.state_dict()["1.running_mean"], before)
    net(IMAGE)
    assert not torch.equal(net.state_dict()["1.running_mean"], before)


def test_a_map_of_one_pixel_is_normalised_to_the_bias():
    norm = nn.BatchNorm2d(3)
    norm.bias.data = torch.tensor([1.0, 2.0, 3.0])
    testtime.apply(norm, TestSettings(False, "batch"))
    assert torch.allclose(
        norm(torch.rand(2, 3, 1, 1)).flatten(1), torch.tensor([1.0, 2.0, 3.0]).expand(2, 3), atol=1e-3
    )
