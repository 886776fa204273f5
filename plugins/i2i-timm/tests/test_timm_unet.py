"""The generator: sizes, scales of its own, noise, and training it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from i2i_timm.unet import TimmUNet
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from i2i import testtime
from i2i.building.initialise import initialise
from i2i.cli import app
from i2i.errors import DataError
from i2i.kinds import TestSettings
from i2i.sync_batch_norm import SyncBatchNorm2d
from i2i.testing import run_tiny

SMALL = {"in_channels": 3, "out_channels": 3, "widths": (4, 8, 8)}


@pytest.mark.parametrize(
    "name", ["resnet10t", "mobilenetv3_small_050", "test_convnext", "test_mambaout", "test_vit", "test_nfnet"]
)
def test_each_family_translates_any_size_and_learns_everywhere(name):
    network = TimmUNet(backbone=name, **SMALL)
    for size in ((64, 64), (50, 70), (9, 33)):
        image = network(torch.rand(2, 3, *size) * 2 - 1)
        assert image.shape == (2, 3, *size)
        assert image.abs().max() <= 1
    image.square().mean().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


def test_large_families_have_the_right_shapes():
    with torch.device("meta"):
        for name in ("swin_tiny_patch4_window7_224", "hrnet_w18_small", "vgg11", "dla34"):
            network = TimmUNet(in_channels=1, out_channels=4, backbone=name)
            assert network(torch.empty(2, 1, 100, 68)).shape == (2, 4, 100, 68)


@pytest.mark.parametrize(
    ("name", "scales"), [("vgg11", 0), ("resnet10t", 1), ("test_convnext", 2), ("test_vit", 4)]
)
def test_scales_that_the_backbone_lacks_are_its_own(name, scales):
    with torch.device("meta"):
        network = TimmUNet(backbone=name, **SMALL)
    assert len(network.stem) == scales
    if scales:
        found = network._own(torch.empty(1, 3, 64, 64, device="meta"))
        assert [part.shape[-1] for part in found] == [64 // 2**level for level in range(scales)]


def test_fine_lines_pass_a_backbone_that_begins_at_a_sixteenth():
    torch.manual_seed(0)
    network = TimmUNet(backbone="test_vit", **SMALL).eval()
    image = torch.zeros(1, 3, 64, 64)
    dotted = image.clone()
    dotted[..., 30, 30] = 1
    change = (network(dotted) - network(image)).abs().sum(1)[0]
    assert change[28:33, 28:33].max() > 3 * change[:16, :16].max()


def test_widths_are_those_of_the_decoder_from_the_full_size_down():
    network = TimmUNet(in_channels=3, out_channels=2, backbone="test_convnext", widths=(3, 5, 7))
    outputs = [block[1][0].out_channels for block in network.decoder]
    assert outputs == [7, 7, 7, 5, 3]  # at a sixteenth, an eighth, a quarter, half and the full size
    assert network.last.in_channels == 3


def test_dropout_is_in_the_innermost_blocks_and_the_only_noise():
    network = TimmUNet(backbone="test_convnext", dropout=0.5, **SMALL)
    assert [block[-1].p for block in network.decoder] == [0.5, 0.5, 0.5, 0.0, 0.0]
    image = torch.rand(1, 3, 64, 64)
    for dropout in (True, False):
        with testtime.applied(network, TestSettings(dropout, "running")), torch.no_grad():
            assert torch.equal(network(image), network(image)) is not dropout


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_each_images_own_statistics_leave_the_rest_of_a_norm_as_it_is(name):
    # The norms of timm's mobile networks activate as well.
    network = TimmUNet(backbone=name, dropout=0.0, **SMALL)
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    with testtime.applied(network, TestSettings(False, "batch")), torch.no_grad():
        together = network(images)
        alone = network(images[:1])
    assert torch.allclose(together[:1], alone, atol=1e-4)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 0.0
    with torch.no_grad():
        assert torch.allclose(network.train()(images[:1]), alone, atol=1e-3)


def test_norms_that_activate_are_copied_and_exported_with_each_images_own_statistics():
    network = TimmUNet(backbone="mobilenetv3_small_050", dropout=0.0, **SMALL)
    names, kinds = list(network.state_dict()), [type(part) for part in network.modules()]
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with testtime.applied(network, TestSettings(False, "batch")), torch.no_grad():
        assert list(network.state_dict()) == names
        answer = network(images)
        for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert list(twin.state_dict()) == names
            assert torch.equal(twin(images), answer)
        program = torch.export.export(network, (images,))
        assert torch.allclose(program.module()(images), answer, atol=1e-5)
        assert sorted(program.state_dict) == sorted(names)
    assert [type(part) for part in network.modules()] == kinds


def test_statistics_of_all_processes_are_a_norm_with_the_weights_of_a_batch_norm():
    plain, shared = (TimmUNet(backbone="resnet10t", norm=norm, **SMALL) for norm in ("batch", "sync-batch"))
    assert sum(isinstance(part, SyncBatchNorm2d) for part in shared.decoder.modules()) == 10
    shared.load_state_dict(plain.state_dict())
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(plain.eval()(image), shared.eval()(image))


def test_init_is_for_the_decoder():
    torch.manual_seed(0)
    network = TimmUNet(backbone="resnet10t", **SMALL)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    initialise(network, "normal")
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert not any(key.startswith("backbone.") for key in changed)
    assert network.last.weight.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(("size", "shown"), [(["--size", "native"], "50x70"), ([], "160x224")])
def test_a_model_of_one_size_says_so_of_images_that_it_cannot_translate(tmp_path, size, shown):
    run_tiny(
        "generator.use=timm/unet",
        "generator.backbone=test_coatnet",
        "generator.widths=[4, 8]",
        "data.size=[160, 160]",
        steps=1,
        out=tmp_path / "run",
    )
    Image.new("RGB", (70, 50)).save(tmp_path / "other.png")
    command = ["translate", str(tmp_path / "run/model.safetensors"), str(tmp_path / "other.png"), "out.png"]
    answer = CliRunner().invoke(app, [*command, *size])
    assert isinstance(answer.exception, DataError)
    assert answer.exception.problems[0].message.startswith(
        f"timm's 'test_coatnet' cannot take images of {shown} pixels, it was made for 160x160"
    )


def test_a_backbone_of_one_size_trains_at_the_size_that_it_is_built_for_and_translates_smaller_images(
    tmp_path,
):
    run_tiny(
        "generator.use=timm/unet",
        "generator.backbone=test_coatnet",
        "generator.widths=[4, 8]",
        "generator.img_size=[64, 64]",
        "data.size=[48, 64]",
        "discriminators.patch.use=timm/projected",
        "discriminators.patch.pretrained=false",
        "discriminators.patch.backbone=test_coatnet",
        "discriminators.patch.img_size=[64, 64]",
        "discriminators.patch.width=4",
        "losses.likeness.use=timm/perceptual",
        "losses.likeness.pretrained=false",
        "losses.likeness.backbone=test_coatnet",
        "losses.likeness.img_size=[64, 64]",
        steps=1,
        out=tmp_path / "run",
    )
    Image.new("RGB", (60, 50)).save(tmp_path / "other.png")
    out = tmp_path / "out.png"
    command = ["translate", str(tmp_path / "run/model.safetensors"), str(tmp_path / "other.png"), str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    with Image.open(out) as image:
        assert image.size == (60, 50)


def test_it_trains_from_a_recipe_and_its_loss_falls():
    done = run_tiny(
        "generator.use=timm/unet",
        "generator.backbone=test_convnext",
        "generator.widths=[8, 16]",
        "generator.dropout=0.0",
        "optimizers.generators.lr=3e-3",
        steps=20,
    )
    assert done.losses[-1]["l1"] < 0.8 * done.losses[0]["l1"]
