"""The U-Net: counts to the unit, shapes, where its dropout stands, and how it travels."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from i2i.core.generators.unet import UNet


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def dropped(depth: int, placement: str) -> list[int]:
    """Return the numbers of the decoder layers with dropout, counted from 1 at the innermost."""
    with torch.device("meta"):
        net = UNet(in_channels=3, out_channels=3, depth=depth, width=1, dropout_placement=placement)
    return [i for i, up in enumerate(net.decoder, 1) if any(isinstance(part, nn.Dropout) for part in up)]


@pytest.mark.parametrize(
    ("depth", "parameters"), [(8, 54_413_955), (7, 41_828_995), (6, 29_244_035), (5, 16_659_075)]
)
def test_parameter_counts_match_the_reference(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        net = UNet(in_channels=3, out_channels=3, depth=depth)
    assert count(net) == parameters


def test_the_papers_unet_has_what_the_layers_add_up_to() -> None:
    """unet_256 of the authors' code with batch norm, of which it prints 54.414 M: 4x4 kernels, one bias."""
    counts = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(16 * before * after for before, after in pairwise(counts))
    # What comes from below has the skip beside it, but for the innermost.
    up = sum(32 * after * before for before, after in pairwise(counts)) - 16 * counts[-1] * counts[-2]
    norms = 2 * (sum(counts[2:8]) + sum(counts[1:8]))
    assert down + up + norms + 3 == 54_413_955


def test_with_batch_norm_only_the_last_convolution_has_a_bias() -> None:
    net = UNet(in_channels=3, out_channels=3, depth=4, width=2)
    biased = [name for name, part in net.named_modules() if getattr(part, "bias", None) is not None]
    assert [name for name in biased if name.endswith("conv")] == ["decoder.3.conv"]


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_without_batch_norm_every_convolution_has_a_bias(norm: str) -> None:
    net = UNet(in_channels=3, out_channels=3, depth=4, width=2, norm=norm)
    convolutions = [part for part in net.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d))]
    assert len(convolutions) == 8
    assert all(part.bias is not None for part in convolutions)


def test_the_first_the_innermost_and_the_last_layer_have_no_norm() -> None:
    net = UNet(in_channels=3, out_channels=3, depth=4, width=2)
    normed = [name for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert normed == [
        f"{layer}.norm" for layer in ("encoder.1", "encoder.2", *(f"decoder.{i}" for i in range(3)))
    ]


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_one_image_of_the_smallest_size_is_translated(depth: int, norm: str) -> None:
    net = UNet(in_channels=4, out_channels=2, depth=depth, width=2, norm=norm)
    assert net.size_multiple == 2**depth
    image = net(torch.randn(1, 4, 2**depth, 2 * 2**depth))
    assert image.shape == (1, 2, 2**depth, 2 * 2**depth)
    assert image.abs().max() <= 1
    image.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_layers_are_as_wide_as_the_paper_says() -> None:
    with torch.device("meta"):
        net = UNet(in_channels=3, out_channels=3, depth=8)
    assert [(down.conv.in_channels, down.conv.out_channels) for down in net.encoder] == [
        (3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512), (512, 512),
    ]  # fmt: skip
    assert [(up.conv.in_channels, up.conv.out_channels) for up in net.decoder] == [
        (512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("depth", "layers"), [(8, [1, 2, 3]), (5, [1, 2, 3]), (4, [1, 2, 3]), (3, [1, 2]), (2, [1])]
)
def test_paper_dropout_is_on_the_innermost_three_but_never_on_the_last(depth: int, layers: list[int]) -> None:
    assert dropped(depth, "paper") == layers


@pytest.mark.parametrize(("depth", "layers"), [(8, [2, 3, 4]), (7, [2, 3]), (6, [2]), (5, []), (3, [])])
def test_pytorch_dropout_is_on_the_wide_layers_after_the_innermost(depth: int, layers: list[int]) -> None:
    assert dropped(depth, "pytorch") == layers


def test_dropout_is_the_only_noise() -> None:
    torch.manual_seed(0)
    noisy, still = (UNet(in_channels=1, out_channels=1, depth=3, width=2, dropout=p) for p in (0.5, 0.0))
    image = torch.randn(1, 1, 16, 16)
    assert not torch.equal(noisy(image), noisy(image))
    assert torch.equal(still(image), still(image))


def test_skips_hold_the_encoder_first_and_untouched() -> None:
    net = UNet(in_channels=1, out_channels=1, depth=2, width=3, dropout=0).eval()
    image = torch.randn(1, 1, 8, 8)
    outer = net.encoder[0](image)
    inner = net.decoder[0](net.encoder[1](outer.clone()))
    assert (outer < 0).any()
    assert torch.equal(net(image), net.decoder[1](torch.cat((outer, inner), dim=1)))


def test_a_size_that_does_not_fit_is_named_with_the_way_out() -> None:
    net = UNet(in_channels=3, out_channels=3, depth=3, width=2)
    with pytest.raises(ValueError, match="depth 3 needs sides that are multiples of 8, not 16x20: pad"):
        net(torch.zeros(1, 3, 16, 20))


def test_shapes_are_known_on_the_meta_device() -> None:
    with torch.device("meta"):
        net = UNet(in_channels=3, out_channels=1)
        assert net(torch.empty(2, 3, 256, 512)).shape == (2, 1, 256, 512)


def test_channels_last_stays_so_and_changes_no_more_than_rounding() -> None:
    torch.manual_seed(0)
    net = UNet(in_channels=3, out_channels=3, depth=3, width=4, dropout=0)
    image = torch.randn(2, 3, 16, 16)
    expected = net(image)
    output = net.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    assert output.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_it_can_be_exported_for_any_size_it_takes() -> None:
    net = UNet(in_channels=3, out_channels=1, depth=2, width=2).eval()
    height, width, batch = (torch.export.Dim(name, min=1, max=64) for name in ("height", "width", "batch"))
    sizes = ({0: batch, 2: 4 * height, 3: 4 * width},)
    program = torch.export.export(net, (torch.randn(2, 3, 16, 12),), dynamic_shapes=sizes)
    image = torch.randn(3, 3, 8, 20)
    torch.testing.assert_close(program.module()(image), net(image))
