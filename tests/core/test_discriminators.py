"""Discriminators: counts to the unit, receptive fields as stated and as measured, sizes of maps, features."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from i2i.building.initialise import initialise
from i2i.core.discriminators.image import Image
from i2i.core.discriminators.patch import Patch
from i2i.core.discriminators.pixel import Pixel
from i2i.maps import as_features, as_maps

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = [  # layers, receptive field, side of the map on 256, parameters with 6 channels
    (1, 16, 126, 139_585),
    (2, 34, 62, 666_433),
    (3, 70, 30, 2_768_705),
    (4, 142, 14, 6_964_033),
    (5, 286, 6, 11_159_361),
]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def logits_of(net: nn.Module, image: Tensor) -> Tensor:
    (logits,) = as_maps(net(image))
    return logits


def seen(net: nn.Module, image: Tensor, pick: Callable[[Tensor], Tensor]) -> tuple[int, int]:
    """Return height and width of the region of `image` that moves the picked logit."""
    image = image.requires_grad_()
    (gradient,) = torch.autograd.grad(pick(logits_of(net, image)), image)
    rows, columns = gradient.abs().sum(dim=(0, 1)).nonzero(as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(("layers", "field", "side", "parameters"), TABLE)
def test_a_patch_discriminator_is_the_one_of_the_table(
    layers: int, field: int, side: int, parameters: int
) -> None:
    with torch.device("meta"):
        for net in (Patch(in_channels=6, layers=layers), Patch(in_channels=6, receptive_field=field)):
            assert count(net) == parameters
            assert net.receptive_field == field
            assert logits_of(net, torch.empty(2, 6, 256, 256)).shape == (2, 1, side, side)


@pytest.mark.parametrize(
    ("channels", "norm", "parameters"),
    [
        (3, "instance", 2_764_737),  # CycleGAN's: its authors' code prints 2.765 M
        (6, "batch", 2_768_705),  # pix2pix's, which sees the source too: 2.769 M
    ],
)
def test_the_papers_discriminators_have_what_their_layers_add_up_to(
    channels: int, norm: str, parameters: int
) -> None:
    with torch.device("meta"):
        net = Patch(in_channels=channels, norm=norm)
    counts = [channels, 64, 128, 256, 512, 1]
    weights = sum(16 * before * after for before, after in pairwise(counts))
    inner = sum(
        counts[2:5]
    )  # a batch norm has two numbers for each channel, before an instance norm is a bias
    assert weights + 64 + 1 + inner * (2 if norm == "batch" else 1) == parameters
    assert count(net) == parameters


def test_a_pixel_discriminator_is_the_one_of_the_table() -> None:
    net = Pixel(in_channels=6)
    assert count(net) == 9_024
    assert net.receptive_field == 1
    assert logits_of(net, torch.randn(1, 6, 9, 7)).shape == (1, 1, 9, 7)


def test_by_default_a_patch_is_70_pixels() -> None:
    with torch.device("meta"):
        net = Patch(in_channels=3)
    assert net.receptive_field == 70
    assert sum(isinstance(part, nn.Conv2d) and part.stride == (2, 2) for part in net.modules()) == 3


def test_layers_and_receptive_field_may_agree() -> None:
    assert Patch(in_channels=3, width=2, layers=2, receptive_field=34).receptive_field == 34


def test_layers_and_receptive_field_that_disagree_are_refused() -> None:
    sentence = "layers = 3 gives a receptive field of 70, not 34: give only one of the two"
    with pytest.raises(ValueError, match=sentence):
        Patch(in_channels=3, layers=3, receptive_field=34)


def test_a_receptive_field_that_no_number_of_layers_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="receptive_field cannot be 64: it is one of 16, 34, 70, 142, 286"):
        Patch(in_channels=3, receptive_field=64)


@pytest.mark.parametrize("field", [16, 34, 70])
def test_the_receptive_field_is_what_moves_a_logit(field: int) -> None:
    torch.manual_seed(0)
    net = Patch(in_channels=1, width=2, receptive_field=field, norm="none").double()
    image = torch.randn(1, 1, 128, 128, dtype=torch.float64)
    assert seen(net, image, lambda out: out[0, 0, out.shape[2] // 2, out.shape[3] // 2]) == (field, field)


def test_a_pixel_logit_is_moved_by_its_pixel_alone() -> None:
    net = Pixel(in_channels=1, width=2, norm="none").double()
    assert seen(net, torch.randn(1, 1, 8, 8, dtype=torch.float64), lambda out: out[0, 0, 3, 5]) == (1, 1)


def test_an_image_logit_is_moved_by_the_whole_image() -> None:
    torch.manual_seed(0)
    net = Image(in_channels=1, width=4, norm="none").double()
    assert net.receptive_field == 0
    assert seen(net, torch.randn(1, 1, 64, 48, dtype=torch.float64), lambda out: out[0, 0]) == (64, 48)


def test_an_image_logit_is_not_an_average_of_patch_logits() -> None:
    # Were it one, what changing one corner does would not depend on the opposite corner.
    torch.manual_seed(0)
    net = Image(in_channels=1, width=4, norm="none").double()
    images = torch.zeros(4, 1, 128, 128, dtype=torch.float64)
    images[[1, 3], :, :32, :32] = 30 * torch.randn(1, 32, 32, dtype=torch.float64)
    images[[2, 3], :, -32:, -32:] = 30 * torch.randn(1, 32, 32, dtype=torch.float64)
    neither, first, second, both = logits_of(net, images)[:, 0].tolist()
    assert abs((both - second) - (first - neither)) > 1e-6


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (70, 64)])
def test_an_image_discriminator_takes_any_size_from_16(norm: str, size: tuple[int, int]) -> None:
    net = Image(in_channels=6, width=2, norm=norm)
    assert logits_of(net, torch.randn(1, 6, *size)).shape == (1, 1)
    assert logits_of(net, torch.randn(3, 6, *size)).shape == (3, 1)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_a_convolution_has_a_bias_unless_a_batch_norm_follows(norm: str) -> None:
    for net in (Patch(in_channels=3, width=2, norm=norm), Image(in_channels=3, width=2, norm=norm)):
        parts = list(net.modules())
        for part, following in pairwise(parts):
            if isinstance(part, nn.Conv2d):
                assert (part.bias is None) == isinstance(following, nn.BatchNorm2d)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_a_pixel_discriminator_has_biases_throughout_unless_its_norm_is_batch(norm: str) -> None:
    parts = Pixel(in_channels=3, width=2, norm=norm).modules()
    convs = [part for part in parts if isinstance(part, nn.Conv2d)]
    others = norm != "batch"
    assert [conv.bias is not None for conv in convs] == [True, others, others]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_the_smallest_image_gives_one_logit_and_a_smaller_one_a_sentence(layers: int, norm: str) -> None:
    net = Patch(in_channels=3, width=2, layers=layers, norm=norm)
    smallest = 3 * 2**layers
    assert logits_of(net, torch.randn(1, 3, smallest, smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=f"at least {smallest} pixels, not {smallest}x{smallest - 1}"):
        net(torch.randn(1, 3, smallest, smallest - 1))


def test_an_image_too_small_for_an_image_discriminator_is_named() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels, not 15x16: choose fewer layers"):
        Image(in_channels=3, width=2)(torch.randn(1, 3, 15, 16))


def test_logits_are_raw() -> None:
    torch.manual_seed(0)
    for make in (Patch, Pixel, Image):
        net = make(in_channels=3, width=2, norm="none")
        logits = logits_of(net, 1e4 * torch.randn(2, 3, 32, 32))
        assert logits.abs().max() > 1


def test_features_are_what_each_activation_gives_from_the_first_layer_on() -> None:
    image = torch.randn(2, 3, 32, 32)
    channels = {
        Patch(in_channels=3, width=2, layers=3): [2, 4, 8, 16],
        Pixel(in_channels=3, width=2): [2, 4],
        Image(in_channels=3, width=2, layers=3): [2, 4, 8, 8],
    }
    for net, widths in channels.items():
        (features,) = as_features(net(image))
        assert [feature.shape[1] for feature in features] == widths
        assert all((feature < 0).any() for feature in features)  # leaky, and not a logit


def test_logits_follow_from_the_last_feature() -> None:
    net = Patch(in_channels=3, width=2, layers=1)
    maps = net(torch.randn(1, 3, 16, 16))
    assert torch.equal(net.model[-1](maps.features[0][-1]), maps.logits[0])


def test_parameters_of_a_patch_discriminator_have_the_names_of_the_reference() -> None:
    with torch.device("meta"):
        names = Patch(in_channels=6, layers=1).state_dict().keys()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert list(names) == [
        "model.0.weight", "model.0.bias", "model.2.weight", *(f"model.3.{part}" for part in norm),
        "model.5.weight", "model.5.bias",
    ]  # fmt: skip


@pytest.mark.parametrize("make", [Patch, Pixel, Image])
def test_spectral_norm_brings_every_weight_to_a_largest_singular_value_of_1(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = make(in_channels=3, width=2, norm="none", spectral=True)
    assert count(net) == count(make(in_channels=3, width=2, norm="none"))
    initialise(net, "normal")
    for _ in range(100):  # each pass of training is one power iteration
        net(torch.randn(1, 3, 32, 32))
    layers = [part for part in net.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
        assert layer.parametrizations.weight.original.std() < 0.05  # the init's own draw


def test_spectral_norm_bounds_how_fast_logits_change() -> None:
    torch.manual_seed(0)
    net = Pixel(in_channels=3, width=4, norm="none", spectral=True).eval()
    one, other = torch.randn(2, 1, 3, 1, 1)
    change = (logits_of(net, one) - logits_of(net, other)).norm()
    assert 0 < change <= 1.01 * (one - other).norm()
