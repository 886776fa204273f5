"""Networks whose weights are about to be read are built without drawing initial ones."""

from __future__ import annotations

import torch
from torch import nn

from i2i.building.unfilled import without_initial_weights


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList((nn.Conv2d(3, 8, 4), nn.ConvTranspose2d(8, 3, 4), nn.Linear(8, 8)))
        self.layers.append(nn.Embedding(5, 2))
        self.norm = nn.BatchNorm2d(8)
        noise = torch.empty(4)
        nn.init.normal_(noise)
        self.register_buffer("noise", noise, persistent=False)


def test_nothing_is_drawn_for_parameters():
    torch.manual_seed(0)
    with without_initial_weights():
        layers = [nn.Conv2d(3, 8, 4), nn.Linear(8, 8), nn.Embedding(5, 2), nn.LSTM(3, 4)]
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for each in layers for p in each.parameters())


def test_what_no_file_holds_is_as_ever():
    torch.manual_seed(0)
    with without_initial_weights():
        network = Network()
    torch.manual_seed(0)
    assert torch.equal(network.noise, torch.empty(4).normal_())
    assert torch.equal(network.norm.weight, torch.ones(8))
    assert torch.equal(network.norm.running_var, torch.ones(8))


def test_afterwards_layers_draw_theirs_again():
    with without_initial_weights():
        pass
    torch.manual_seed(0)
    one = nn.Conv2d(3, 8, 4)
    torch.manual_seed(0)
    assert torch.equal(one.weight, nn.Conv2d(3, 8, 4).weight)
