"""What a method minimises of several losses is their sum by weight, as `Losses.total` makes it."""

from __future__ import annotations

import pytest
import torch

from i2i.errors import PluginError
from i2i.networks import Losses, LossTerm

LOSSES = Losses(
    (
        LossTerm("near", "paired-loss", torch.nn.L1Loss(), 10.0, factors={"near": 0.5}),
        LossTerm("flat", "penalty", torch.nn.L1Loss(), 2.0, every=3),
    )
)


def test_each_loss_counts_by_its_weight_its_schedule_and_how_seldom_it_is_applied():
    total = LOSSES.total({"flat": torch.tensor(0.25), "near": torch.tensor(3.0)})
    assert total.item() == pytest.approx(0.25 * 2 * 3 + 3 * 10 * 0.5)


def test_a_gradient_comes_through_to_each_loss():
    parts = {"near": torch.tensor(3.0, requires_grad=True), "flat": torch.tensor(1.0, requires_grad=True)}
    LOSSES.total(parts).backward()
    assert [part.grad.item() for part in parts.values()] == pytest.approx([5.0, 6.0])


def test_a_term_of_the_methods_own_has_no_weight_there_and_is_told():
    with pytest.raises(PluginError, match=r"gives 'nce' to the total of losses.*own to the total"):
        LOSSES.total({"near": torch.tensor(1.0), "nce": torch.tensor(1.0)})


def test_a_total_of_nothing_is_told():
    with pytest.raises(PluginError, match="no loss to the total"):
        LOSSES.total({})
