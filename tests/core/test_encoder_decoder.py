"""The encoder-decoder: the U-Net's layers and rules, and no way around the innermost one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i.core.generators.encoder_decoder import EncoderDecoder
from i2i.core.generators.unet import UNet


def test_its_parameter_count_is_that_of_the_paper() -> None:
    with torch.device("meta"):
        net = EncoderDecoder(in_channels=3, out_channels=3)
    assert sum(parameter.numel() for parameter in net.parameters()) == 39_075_459


def test_each_layer_reads_as_many_channels_as_the_one_before_writes() -> None:
    with torch.device("meta"):
        net = EncoderDecoder(in_channels=3, out_channels=1)
    assert [(up.conv.in_channels, up.conv.out_channels) for up in net.decoder] == [
        (512, 512), (512, 512), (512, 512), (512, 512), (512, 256), (256, 128), (128, 64), (64, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("placement", ["paper", "pytorch"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("depth", [2, 6])
def test_norms_biases_and_dropout_stand_where_the_unet_has_them(
    depth: int, norm: str, placement: str
) -> None:
    def layout(make: type[nn.Module]) -> list[tuple[str, str, bool]]:
        with torch.device("meta"):
            net = make(
                in_channels=3, out_channels=3, depth=depth, width=2, norm=norm, dropout_placement=placement
            )
        parts = net.named_modules()
        return [(name, type(part).__name__, getattr(part, "bias", None) is not None) for name, part in parts][
            1:
        ]

    assert layout(EncoderDecoder) == layout(UNet)


def test_nothing_gets_around_the_innermost_layer() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16)
    for make, differ in ((EncoderDecoder, False), (UNet, True)):
        net = make(in_channels=3, out_channels=3, depth=3, width=2, dropout=0.0).eval()
        net.encoder[-1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        first, second = net(images)
        assert torch.equal(first, second) != differ


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_one_image_of_the_smallest_size_is_translated(norm: str) -> None:
    net = EncoderDecoder(in_channels=4, out_channels=2, depth=3, width=2, norm=norm)
    assert net.size_multiple == 8
    image = net(torch.randn(1, 4, 8, 16))
    assert image.shape == (1, 2, 8, 16)
    assert image.abs().max() <= 1


def test_a_size_that_does_not_fit_is_named_with_the_way_out() -> None:
    net = EncoderDecoder(in_channels=3, out_channels=3, depth=3, width=2)
    with pytest.raises(ValueError, match="depth 3 needs sides that are multiples of 8, not 16x20: pad"):
        net(torch.zeros(1, 3, 16, 20))
