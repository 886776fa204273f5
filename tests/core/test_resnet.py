"""The residual generator: counts, names and outputs of the reference, and what sizes it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i.core.generators.resnet import ResNet

DATA = os.environ.get("I2I_TEST_DATA")


@pytest.mark.parametrize(
    ("blocks", "norm", "parameters"),
    [
        (9, "instance", 11_378_179),
        (9, "batch", 11_383_427),
        (6, "instance", 7_837_699),
        (6, "batch", 7_841_411),
    ],
)
def test_parameter_counts_are_those_of_the_layers(blocks: int, norm: str, parameters: int) -> None:
    """CycleGAN's is the first: its authors' code prints 11.378 M of resnet_9blocks with instance norm."""
    with torch.device("meta"):
        net = ResNet(in_channels=3, out_channels=3, blocks=blocks, norm=norm)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    convolutions = [p for p in net.modules() if isinstance(p, (nn.Conv2d, nn.ConvTranspose2d))]
    counted = sum(part.weight.numel() + part.out_channels * (part.bias is not None) for part in convolutions)
    norms = sum(2 * part.num_features for part in net.modules() if isinstance(part, nn.BatchNorm2d))
    assert counted + norms == parameters
    assert len(convolutions) == 2 * blocks + 6


@pytest.mark.parametrize(("dropout", "second"), [(0.0, 5), (0.5, 6)])
def test_parameters_have_the_names_of_the_reference(dropout: float, second: int) -> None:
    with torch.device("meta"):
        net = ResNet(in_channels=3, out_channels=3, blocks=2, width=2, norm="none", dropout=dropout)
    layers = [
        "1",
        "4",
        "7",
        *(f"{n}.conv_block.{i}" for n in (10, 11) for i in (1, second)),
        "12",
        "15",
        "19",
    ]
    assert list(net.state_dict()) == [
        f"model.{layer}.{part}" for layer in layers for part in ("weight", "bias")
    ]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("size", [(8, 8), (12, 40)])
def test_multiples_of_4_from_8_up_are_translated(norm: str, size: tuple[int, int]) -> None:
    net = ResNet(in_channels=4, out_channels=2, blocks=1, width=2, norm=norm, dropout=0.5)
    image = net(torch.randn(1, 4, *size))
    assert image.shape == (1, 2, *size)
    assert image.abs().max() <= 1
    image.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("size", [(16, 18), (4, 16)])
def test_a_size_that_does_not_fit_is_named(size: tuple[int, int]) -> None:
    net = ResNet(in_channels=3, out_channels=3, blocks=1, width=2)
    with pytest.raises(ValueError, match=f"multiples of 4 and at least 8, not {size[0]}x{size[1]}: pad"):
        net(torch.zeros(1, 3, *size))


def test_a_block_adds_to_what_goes_in() -> None:
    net = ResNet(in_channels=3, out_channels=3, blocks=1, width=2, norm="none")
    block = net.model[10]
    image = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(image), image + block.conv_block(image))
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(image), image)


def test_dropout_is_noise_and_there_is_none_unless_asked() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 3, 16, 16)
    still, noisy = (ResNet(in_channels=3, out_channels=3, blocks=1, width=4, dropout=p) for p in (0.0, 0.5))
    assert torch.equal(still(image), still(image))
    assert not torch.equal(noisy(image), noisy(image))


@pytest.mark.skipif(not DATA, reason="I2I_TEST_DATA names no folder with the reference's weights")
def test_weights_of_the_reference_give_the_outputs_of_the_reference() -> None:
    import numpy as np

    folder = Path(DATA) / "reference"
    golden = np.load(folder / "golden.npz")
    net = ResNet(in_channels=3, out_channels=3, blocks=6, width=8)
    net.load_state_dict(torch.load(folder / "resnet6_instance.pth", weights_only=True))
    image = torch.from_numpy(golden["x"])
    with torch.no_grad():
        trained, tested = net.train()(image), net.eval()(image)
    torch.testing.assert_close(trained, torch.from_numpy(golden["resnet6_instance_train"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(tested, torch.from_numpy(golden["resnet6_instance_eval"]), atol=1e-5, rtol=0)
