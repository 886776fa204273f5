"""Published weights: from a file, from the cache of the hub's client, and from a hub that is out of reach."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch
from i2i_timm.backbone import Backbone
from i2i_timm.unet import TimmUNet

from i2i import load_generator
from i2i.errors import DataError, ResourceError
from i2i.testing import run_tiny


def published(name: str) -> dict[str, torch.Tensor]:
    """Weights as timm publishes them, a classifier among them."""
    torch.manual_seed(11)
    network = timm.create_model(name)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.01 * torch.rand_like(tensor))
    return {key: tensor.contiguous() for key, tensor in network.state_dict().items()}


def saved(name: str, path: Path) -> Path:
    safetensors.torch.save_file(published(name), path)
    return path


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_vit", "test_convnext"])
def test_a_file_gives_what_timm_makes_of_it(name, tmp_path):
    path = saved(name, tmp_path / "weights.safetensors")
    mine = Backbone(name, in_channels=3, pretrained=True, weights=path).eval()
    options = {"dynamic_img_size": True} if name == "test_vit" else {}
    theirs = timm.create_model(
        name, features_only=True, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **options
    ).eval()
    config = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    image = torch.rand(1, 3, 96, 64)
    for one, other in zip(mine(image * 2 - 1), theirs((image - mean) / std), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_state_dict_of_torchs_will_do_as_well(tmp_path):
    torch.save(published("test_convnext"), tmp_path / "weights.pth")
    one = Backbone("test_convnext", in_channels=3, pretrained=True, weights=tmp_path / "weights.pth")
    path = saved("test_convnext", tmp_path / "weights.safetensors")
    other = Backbone("test_convnext", in_channels=3, pretrained=True, weights=path)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


class Planted:
    def __reduce__(self):
        return (Path.touch, (Path("planted"),))


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights.pth").write_bytes(pickle.dumps({"conv1.weight": Planted()}))
    with pytest.raises(DataError, match="not a file of tensors"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=Path("weights.pth"))
    assert not Path("planted").exists()


def test_the_filters_of_colours_serve_other_channels(tmp_path):
    path = saved("resnet10t", tmp_path / "weights.safetensors")
    grey = Backbone("resnet10t", in_channels=1, pretrained=True, weights=path).eval()
    colour = Backbone("resnet10t", in_channels=3, pretrained=True, weights=path).eval()
    assert torch.allclose(
        grey.net.conv1[0].weight, colour.net.conv1[0].weight.sum(1, keepdim=True), atol=1e-6
    )
    assert Backbone("resnet10t", in_channels=6, pretrained=True, weights=path)(torch.rand(2, 6, 64, 64))


@pytest.mark.parametrize(
    ("other", "reason"), [("test_resnet", "size mismatch"), ("test_vit", "it has nothing for")]
)
def test_weights_of_another_network_are_refused(other, reason, tmp_path):
    path = saved(other, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=f"does not hold weights of timm's 'resnet10t': {reason}"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=path)


def test_a_file_that_lacks_one_layer_is_refused(tmp_path):
    tensors = published("test_convnext")
    del tensors["stages.1.blocks.0.conv_dw.weight"]
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(
        DataError, match=r"nothing for 1 tensors, such as 'stages_1\.blocks\.0\.conv_dw\.weight'"
    ):
        Backbone("test_convnext", in_channels=3, pretrained=True, weights=tmp_path / "weights.safetensors")


def test_a_file_without_the_statistics_of_batch_norms_is_refused(tmp_path):
    tensors = {key: value for key, value in published("resnet10t").items() if "running" not in key}
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"nothing for 14 tensors, such as 'conv1\.1\.running_var'"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=tmp_path / "weights.safetensors")


def test_a_norm_that_was_never_used_is_no_reason_to_refuse_a_file(tmp_path):
    tensors = published("resnet10t")
    tensors["layer1.0.bn2.running_mean"].zero_()
    tensors["layer1.0.bn2.running_var"].fill_(1)
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    assert Backbone("resnet10t", in_channels=3, pretrained=True, weights=tmp_path / "weights.safetensors")


def test_a_file_with_numbers_that_are_not_finite_is_refused(tmp_path):
    tensors = published("test_convnext")
    tensors["stages.1.blocks.0.conv_dw.weight"][0] = torch.nan
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"not finite, such as in 'stages_1\.blocks\.0\.conv_dw\.weight'"):
        Backbone("test_convnext", in_channels=3, pretrained=True, weights=tmp_path / "weights.safetensors")


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(ResourceError, match=r"which is a folder: give the path of the file with the weights"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=tmp_path)
    with pytest.raises(ResourceError, match=r"nowhere\.safetensors, and there is no such file"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=tmp_path / "nowhere.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    with pytest.raises(DataError, match=r"cut\.safetensors is not a safetensors file"):
        Backbone("resnet10t", in_channels=3, pretrained=True, weights=tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("regnetz_b16_evos", "knows no published weights for 'regnetz_b16_evos'"),
        ("vit_huge_patch14_gap_224.in1k_ijepa", "published as a pickle alone"),
    ],
)
def test_weights_that_nobody_can_fetch_are_refused(name, sentence):
    with torch.device("meta"), pytest.raises(ValueError, match=sentence):
        Backbone(name, in_channels=3, pretrained=True)
    with torch.device("meta"):  # a model that started from a file is built again without that
        assert Backbone(name, in_channels=3, pretrained=True, fetch=False)


def test_a_file_is_not_passed_over():
    with torch.device("meta"), pytest.raises(ValueError, match="only read with pretrained = true"):
        Backbone("resnet10t", in_channels=3, weights=Path("x"), fetch=False)


def test_without_a_network_one_sentence_tells_what_to_do():
    with pytest.raises(ResourceError) as caught:
        run_tiny("generator.use=timm/unet", "generator.backbone=resnet10t", "generator.pretrained=true")
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 4
    assert problem.message.startswith(
        "the pretrained weights of timm's 'resnet10t' could not be downloaded ("
    )
    assert problem.message.endswith(
        "set `weights` to a file of them, such as model.safetensors from "
        "https://huggingface.co/timm/resnet10t.c3_in1k, or pretrained = false."
    )


def test_a_host_that_has_no_address_is_not_asked_again(monkeypatch):
    # RFC 2606: a name that nothing ever has
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    url = "https://hub.invalid/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    started = time.monotonic()
    with pytest.raises(ResourceError, match="could not be downloaded"):
        Backbone("resnet10t", in_channels=3, pretrained=True)
    assert time.monotonic() - started < 20


def test_what_the_hubs_client_has_cached_needs_no_network(hub, tmp_path):
    folder = hub / "models--timm--resnet10t.c3_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123456789")
    (folder / "snapshots" / "0123456789").mkdir(parents=True)
    saved("resnet10t", folder / "snapshots" / "0123456789" / "model.safetensors")
    cached = Backbone("resnet10t", in_channels=3, pretrained=True)
    path = saved("resnet10t", tmp_path / "same.safetensors")
    named = Backbone("resnet10t", in_channels=3, pretrained=True, weights=path)
    assert all(torch.equal(value, named.state_dict()[key]) for key, value in cached.state_dict().items())


def test_weights_are_not_kept_twice(tmp_path):
    path = saved("test_vit", tmp_path / "weights.safetensors")
    backbone = Backbone("test_vit", in_channels=3, pretrained=True, weights=path)
    for part in backbone.modules():
        assert "state_dict" not in (getattr(part, "pretrained_cfg", None) or {})


def test_a_trained_model_needs_no_published_weights(tmp_path):
    path = saved("test_convnext", tmp_path / "weights.safetensors")
    run_tiny(
        "generator.use=timm/unet",
        "generator.backbone=test_convnext",
        "generator.widths=[4, 8]",
        "generator.pretrained=true",
        f'generator.weights="{path}"',
        "optimizers.generators.lr=1e-9",
        steps=2,
        out=tmp_path / "run",
    )
    started = Backbone("test_convnext", in_channels=3, pretrained=True, weights=path)
    path.unlink()
    model = load_generator(tmp_path / "run" / "model.safetensors")
    assert isinstance(model, TimmUNet)
    assert torch.equal(model.backbone.scale, started.scale)
    for name, value in started.net.state_dict().items():
        assert torch.allclose(model.backbone.net.state_dict()[name], value, atol=1e-6)
