"""Weights start by module class, and a module can opt out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i.building.components import build_networks
from i2i.building.initialise import initialise
from i2i.data.opening import spec_of
from i2i.errors import RecipeError
from i2i.recipe.recipe import load_recipe


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, 64, 3),
        nn.ConvTranspose2d(64, 64, 3),
        nn.BatchNorm2d(64),
        nn.InstanceNorm2d(64),
        nn.Linear(64, 64),
    )


def test_normal_is_that_of_pix2pix():
    torch.manual_seed(0)
    net = network()
    initialise(net, "normal")
    for part in (net[0], net[1], net[4]):
        assert part.weight.data.std().item() == pytest.approx(0.02, rel=0.1)
        assert part.bias.data.abs().max().item() == 0
    assert net[2].weight.data.mean().item() == pytest.approx(1, abs=0.01)
    assert net[2].weight.data.std().item() == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize("how", ["normal", "xavier", "kaiming", "orthogonal"])
def test_the_same_seed_draws_the_same_weights(how):
    nets = [network(), network()]
    for net in nets:
        torch.manual_seed(3)
        initialise(net, how)
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in nets), strict=True))


def test_none_and_keep_init_leave_weights_alone():
    net = network()
    net[1].keep_init = True
    before = [p.clone() for p in net.parameters()]
    initialise(net, "none")
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    initialise(net, "normal")
    assert torch.equal(net[1].weight, before[2])
    assert not torch.equal(net[0].weight, before[0])


def test_a_spectral_norm_is_initialised_below_its_parametrization():
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 64, 3))
    initialise(conv, "normal")
    assert conv.parametrizations.weight.original.data.std().item() == pytest.approx(0.02, rel=0.1)


KEEPING = """
from i2i import hookimpl
from torch import nn

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.generator("own", ":Own", "starts as it likes")


class Own(nn.Conv2d):
    keep_init = True

    def __init__(self, *, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1)
"""


def test_a_way_to_start_that_a_network_does_not_take_is_refused_at_its_key(distribution):
    distribution("i2i-keeping", "1.0", "keeping", {"i2i_keeping.py": KEEPING})
    settings = ["generator.use=keeping/own", "data.size=[16,16]"]
    plain = load_recipe("shapes", set=settings)
    assert build_networks(plain, spec_of(plain)).generators["main"].keep_init
    resolved = load_recipe(plain.table)
    assert build_networks(resolved, spec_of(resolved)).generators["main"].keep_init
    drawn = load_recipe("shapes", set=[*settings, "generator.init=xavier"])
    with pytest.raises(
        RecipeError, match=r"generator\.init\n  keeping/own keeps the weights .*: leave `init` out"
    ):
        build_networks(drawn, spec_of(drawn))
