"""Every family as one thing: sizes, layouts, channels and names. Shapes are looked at without memory."""

from __future__ import annotations

import sys

import pytest
import timm
import torch
from i2i_timm.backbone import Backbone, coarse_layers
from timm.models import register_model


def shapes(name: str, height: int, width: int) -> list[tuple[int, ...]]:
    with torch.device("meta"):
        return [
            tuple(part.shape[1:]) for part in Backbone(name, in_channels=3)(torch.empty(2, 3, height, width))
        ]


@pytest.mark.parametrize(
    ("name", "size", "finest", "coarsest"),
    [
        ("resnet18", (64, 96), (64, 32, 48), (512, 2, 3)),
        ("mobilenetv3_small_050", (64, 96), (16, 32, 48), (288, 2, 3)),
        ("convnext_atto", (64, 96), (40, 16, 24), (320, 2, 3)),
        ("swin_tiny_patch4_window7_224", (64, 96), (96, 16, 24), (768, 2, 3)),
        ("swinv2_tiny_window8_256", (64, 96), (96, 16, 24), (768, 2, 3)),
        ("mambaout_femto", (64, 96), (48, 16, 24), (288, 2, 3)),
        ("vit_tiny_patch16_224", (64, 96), (192, 4, 6), (192, 4, 6)),
        ("vgg16", (64, 96), (64, 64, 96), (512, 2, 3)),
        ("hrnet_w18_small", (64, 96), (64, 32, 48), (1024, 2, 3)),
        ("pvt_v2_b0", (64, 96), (32, 16, 24), (256, 2, 3)),
    ],
)
def test_maps_of_each_family_come_from_fine_to_coarse_with_channels_first(name, size, finest, coarsest):
    found = shapes(name, *size)
    assert (found[0], found[-1]) == (finest, coarsest)


def test_channels_and_reductions_are_those_of_the_maps():
    backbone = Backbone("test_mambaout", in_channels=3)
    maps = backbone(torch.zeros(1, 3, 64, 128))
    assert [part.shape[1] for part in maps] == list(backbone.channels)
    assert [(64 // part.shape[2], 128 // part.shape[3]) for part in maps] == [
        (r, r) for r in backbone.reductions
    ]
    assert maps[0].is_contiguous()


def test_maps_with_channels_last_hold_what_timm_computed():
    backbone = Backbone("test_mambaout", in_channels=3).eval()
    image = torch.rand(1, 3, 64, 64)
    for mine, theirs in zip(backbone(image), backbone.net(image), strict=True):
        assert torch.equal(mine[0, :, 1, 0], theirs[0, 1, 0, :])
        assert not torch.equal(mine, theirs)


@pytest.mark.parametrize("size", [(50, 70), (33, 97), (16, 16), (3, 200)])
def test_any_size_is_padded_to_whole_maps(size):
    maps = shapes("resnet10t", *size)
    assert all(side >= 2 for part in maps for side in part[1:])
    assert maps[0][1] == maps[-1][1] * 16
    assert maps[0][2] == maps[-1][2] * 16


def test_padding_is_on_the_right_and_below():
    with torch.device("meta"):
        backbone = Backbone("resnet10t", in_channels=3)
    image = torch.rand(1, 3, 40, 70)
    padded = backbone.whole(image)
    assert padded.shape[-2:] == (64, 96)
    assert torch.equal(padded[..., :40, :70], image)
    assert torch.equal(padded[..., 40, :70], image[..., 38, :])  # mirrored
    assert backbone.whole(padded) is padded


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_network_that_takes_one_size_alone_says_so(device):
    with torch.device(device), torch.no_grad():
        backbone = Backbone("levit_128s", in_channels=3)  # whose coarsest map of that size is not whole
        assert backbone(torch.zeros(2, 3, 224, 224))[-1].shape[-1] == 4
        with pytest.raises(ValueError, match="cannot take images of 64x48 pixels, it was made for 224x224"):
            backbone(torch.zeros(2, 3, 64, 48))


@pytest.mark.parametrize("name", ["levit_128s", "mixer_s32_224", "test_coatnet", "hiera_tiny_224"])
def test_a_network_of_one_size_is_built_for_the_one_that_is_named(name):
    with torch.device("meta"), torch.no_grad():
        with pytest.raises(
            ValueError, match=r"64x64 pixels.*: build it with img_size = \[\d+, \d+\], or choose"
        ):
            Backbone(name, in_channels=3)(torch.zeros(2, 3, 64, 64))
        backbone = Backbone(name, in_channels=3, img_size=(128, 64))
        shapes = [part.shape for part in backbone(torch.zeros(2, 3, 128, 64))]
        assert [part.shape for part in backbone(torch.zeros(2, 3, 99, 50))] == shapes  # padded to its size
        with pytest.raises(ValueError, match="cannot take images of 160x64 pixels, it was made for 128x64"):
            backbone(torch.zeros(2, 3, 160, 64))


def test_a_size_that_cannot_be_is_refused_and_one_that_need_not_be():
    with pytest.raises(ValueError, match="'resnet18' is not built for a size: leave `img_size` out"):
        Backbone("resnet18", in_channels=3, img_size=(64, 64))
    with pytest.raises(
        ValueError, match="cannot be built for images of 63x95 pixels: choose another `img_size`"
    ):
        Backbone("levit_128s", in_channels=3, img_size=(63, 95))


def test_a_network_whose_table_of_positions_ends_says_so_before_anything_is_computed():
    with torch.device("meta"):
        backbone = Backbone("mvitv2_tiny", in_channels=1)
        assert backbone(torch.empty(2, 1, 64, 96))[-1].shape[-2:] == (2, 3)
        with pytest.raises(ValueError, match="cannot take images of 64x256 pixels, it was made for 224x224"):
            backbone(torch.empty(2, 1, 64, 256))


@pytest.mark.filterwarnings("ignore:CSATv2 is designed for 3-channel:UserWarning")
def test_a_network_of_three_channels_alone_does_not_blame_the_size():
    sentence = "'csatv2' takes images of 3 channels alone, not of 4: choose"
    with torch.device("meta"), pytest.raises(ValueError, match=sentence):
        Backbone("csatv2", in_channels=4)(torch.empty(2, 4, 64, 64))


def test_other_mistakes_are_not_taken_for_a_matter_of_size():
    backbone = Backbone("resnet10t", in_channels=3)
    with pytest.raises(RuntimeError, match="expected input"):
        backbone.net(torch.zeros(1, 4, 64, 64))
    backbone.net.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("a fault elsewhere")))
    with pytest.raises(RuntimeError, match="a fault elsewhere"):
        backbone(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_the_first_layer_takes_any_channels(channels):
    maps = Backbone("test_convnext", in_channels=channels)(torch.zeros(1, channels, 64, 64))
    assert len(maps) == 4


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet81", "has no network 'resnet81' - did you mean 'resnet18'"),
        ("resnet18.a1_in1", "no weights 'a1_in1' for 'resnet18' - did you mean 'resnet18.a1_in1k'"),
        ("hf-hub:someone/something", "has no network 'hf-hub:someone/something'"),
        ("local-dir:/somewhere", "has no network"),
        ("", "has no network"),
    ],
)
def test_names_that_timm_does_not_have_are_refused(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        Backbone(name, in_channels=3)


def test_a_network_without_feature_maps_says_so(monkeypatch):
    @register_model
    def featureless(pretrained: bool = False, **options: object) -> None:
        raise RuntimeError("features_only not implemented")

    monkeypatch.delattr(sys.modules[__name__], "__all__")  # which timm adds
    with pytest.raises(ValueError, match=r"'featureless' hands out no feature maps: .*\(features_only not"):
        Backbone("featureless", in_channels=3)


def test_chosen_layers_are_those_and_wrong_ones_are_refused():
    backbone = Backbone("test_convnext", in_channels=3, layers=(0, 2))
    assert backbone.reductions == (4, 16)
    for wrong in ((), (0, 4), (2, 0), (1, 1)):
        with pytest.raises(ValueError, match="has the layers 0 to 3"):
            Backbone("test_convnext", in_channels=3, layers=wrong)


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet10t", (1, 2, 3, 4)), ("convnext_atto", (0, 1, 2, 3)), ("vit_tiny_patch16_224", (9, 10, 11))],
)
def test_layers_from_a_quarter_of_the_size_on(name, layers):
    assert coarse_layers(name, reduction=4) == layers


def test_only_a_pretrained_network_is_shown_what_it_expects():
    plain = Backbone("resnet10t", in_channels=3)
    assert (plain.scale.unique().tolist(), plain.shift.unique().tolist()) == ([1.0], [0.0])
    config = timm.get_pretrained_cfg("resnet10t")
    mean, std = torch.tensor(config.mean), torch.tensor(config.std)
    image = torch.rand(3)
    for channels in (3, 5):
        taught = Backbone("resnet10t", in_channels=channels, pretrained=True, fetch=False)
        shown = (image * 2 - 1) * taught.scale.flatten()[:3] + taught.shift.flatten()[:3]
        assert torch.allclose(shown, (image - mean) / std, atol=1e-6)
        assert taught.scale.shape == (1, channels, 1, 1)
    assert not {"scale", "shift"} & taught.state_dict().keys()


def test_building_draws_the_same_weights_each_time():
    built = []
    for _ in range(2):
        torch.manual_seed(4)
        built.append(Backbone("test_vit2", in_channels=3).state_dict())
    assert all(torch.equal(value, built[1][key]) for key, value in built[0].items())
