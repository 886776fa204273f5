"""LPIPS, FID, KID, ST-LPIPS and MS-SSIM: the arithmetic, and what is said when weights cannot be had."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i.core.metrics import fidelity
from i2i.core.metrics.fidelity import FID, KID, LPIPS, frechet_distance, kernel_distance
from i2i.core.metrics.ssim import MSSSIM
from i2i.core.metrics.st_lpips import STLPIPS
from i2i.errors import DataError, ResourceError

torch_fidelity = pytest.importorskip("torch_fidelity")


def features(count: int, *, shift: float = 0.0, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=rng) * torch.arange(1, 7) + shift


def kernel_distance_by_definition(x: Tensor, y: Tensor) -> float:
    """Return the unbiased estimate: sums over all pairs but those of an image with itself."""
    x, y = x.double(), y.double()

    def kernel(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    def within(z: Tensor) -> float:
        count = len(z)
        pairs = [kernel(z[i], z[j]) for i in range(count) for j in range(count) if i != j]
        return sum(pairs) / (count * (count - 1))

    between = [kernel(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(between) / len(between)


def test_frechet_distance_of_gaussians_by_hand() -> None:
    x, y = features(500), features(500) * 2 + 3
    # The second set is the first one twice as wide, so the covariances commute.
    variances = x.double().T.cov().trace().item()
    expected = (x.mean(0) - y.mean(0)).square().sum().item() + variances * (2 - 1) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)


def test_kernel_distance_is_the_unbiased_estimate() -> None:
    x, y = features(9), features(9, shift=1.0, seed=1)
    expected = kernel_distance_by_definition(x, y)
    assert kernel_distance(x, y, subset_size=1000, subsets=100) == pytest.approx(expected)


def test_kernel_distance_over_subsets_comes_near_the_whole() -> None:
    x, y = features(60), features(60, shift=2.0, seed=1)
    whole = kernel_distance(x, y, subset_size=60, subsets=1)
    assert kernel_distance(x, y, subset_size=30, subsets=400) == pytest.approx(whole, rel=0.2)


def test_a_subset_is_never_larger_than_the_smaller_set() -> None:
    x, y = features(5), features(20, seed=1)
    assert kernel_distance(x, y, subset_size=1000, subsets=3) == kernel_distance(
        x, y, subset_size=5, subsets=3
    )


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and a proxy that nobody answers at."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        (FID, "weights-inception-2015-12-05-6726825d.pth"),
        (KID, "weights-inception-2015-12-05-6726825d.pth"),
        (LPIPS, "vgg16-397923af.pth"),
    ],
)
def test_offline_the_file_and_its_place_are_named(kind, file, offline) -> None:
    metric = kind()
    with pytest.raises(ResourceError) as caught:
        metric.update(IMAGES, IMAGES, IMAGES, ["a", "b"])
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 4
    assert str(offline / file) in problem.message
    assert "could not be downloaded" in problem.message
    assert "set `weights`" in problem.message
    assert not list(offline.iterdir())


@pytest.mark.parametrize("kind", [FID, KID, LPIPS])
def test_weights_that_are_not_there_or_hold_code_are_refused(kind, tmp_path) -> None:
    with pytest.raises(ResourceError, match=r"there is no file .*\.pth: get https://"):
        kind(weights=tmp_path).update(IMAGES, IMAGES, IMAGES, ["a", "b"])
    for url in (fidelity.INCEPTION, fidelity.VGG16):
        torch.save({"weight": Path("code")}, tmp_path / url.rpartition("/")[2])
    with pytest.raises(DataError, match="not a file of tensors"):
        kind(weights=tmp_path).update(IMAGES, IMAGES, IMAGES, ["a", "b"])


def test_without_torch_fidelity_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setattr(fidelity, "find_spec", lambda name: None)
    for kind in (LPIPS, FID, KID):
        with pytest.raises(ResourceError, match="install i2i-toolkit with its extra 'metrics'"):
            kind()


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a weights file of the right shapes, whose numbers mean nothing."""

    class Untrained(torch_fidelity.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: object, **options: object) -> None:
            """Stay as initialised."""

    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    network = Untrained(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(folder / "none.pth")
    )
    torch.save(network.state_dict(), folder / "weights-inception-2015-12-05-6726825d.pth")
    return folder


def test_kid_compares_what_torch_fidelity_extracts_from_eight_bits(inception) -> None:
    real = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    fake = 1 - real
    (file,) = inception.glob("weights-*.pth")
    extract = torch_fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(file)
    )
    expected = [extract((images * 255).round().to(torch.uint8))[0] for images in (fake, real)]
    metric = KID(weights=inception)
    metric.update(real, fake[:1], real[:1], ["a"])
    assert torch.tensor(metric.compute()["kid"]).isnan()  # of single images there is no distance of sets
    metric.update(real, fake[1:], real[1:], ["b", "c"])
    found = metric.compute()["kid"]
    assert found == pytest.approx(kernel_distance_by_definition(*expected), rel=1e-4)


@pytest.mark.slow
def test_fid_of_equal_sets_is_0_and_of_single_images_nothing(inception) -> None:
    (file,) = inception.glob("weights-*.pth")
    metric = FID(weights=file)
    metric.update(IMAGES, IMAGES[:1], IMAGES[:1], ["a"])
    assert torch.tensor(metric.compute()["fid"]).isnan()
    metric.update(IMAGES, IMAGES[1:], IMAGES[1:], ["b"])
    assert metric.compute()["fid"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.slow
def test_lpips_is_torch_fidelitys_given_both_files(tmp_path, offline) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    trunk = torchvision.models.vgg16(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "vgg16-397923af.pth")
    heads = {
        f"lin{number}.model.1.weight": torch.rand(1, channels, 1, 1)
        for number, channels in enumerate((64, 128, 256, 512, 512))
    }
    torch.save(heads, tmp_path / "weights-vgg16-lpips.pth")
    metric = LPIPS(weights=tmp_path)
    distance = metric.score(1 - IMAGES, IMAGES)
    assert distance.shape == (2,)
    assert float(metric.score(IMAGES, IMAGES).abs().max()) == 0.0
    assert torch.hub.get_dir() == str(offline.parent)

    def seen(images: Tensor) -> list[Tensor]:
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        image, found = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1), []
        for place, layer in enumerate(trunk.features[:30]):
            image = layer(image)
            if place in (3, 8, 15, 22, 29):
                found.append(image / image.square().sum(1, keepdim=True).sqrt())
        return found

    expected = sum(
        ((one - other).square() * head).sum(1).mean((1, 2))
        for one, other, head in zip(seen(1 - IMAGES), seen(IMAGES), heads.values())
    )
    assert distance.tolist() == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.skipif(not find_spec("stlpips_pytorch"), reason="needs the weights of stlpips-pytorch")
def test_st_lpips_of_an_image_is_0_and_a_shift_costs_less_than_noise() -> None:
    real = torch.nn.functional.interpolate(IMAGES, (64, 64), mode="bicubic").clamp(0, 1)
    metric = STLPIPS()
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(3))
    shifted, noisy = real.roll(1, dims=-1), (real + 0.3 * noise).clamp(0, 1)
    same, near, far = (metric.score(fake, real).max().item() for fake in (real, shifted, noisy))
    assert same == 0.0
    assert same < near < far


def test_st_lpips_asks_for_its_weights_when_it_is_built(tmp_path) -> None:
    with pytest.raises(ResourceError, match="ST-LPIPS needs its weights"):
        STLPIPS(weights=tmp_path / "none.pth")


def test_ms_ssim_of_identical_images_is_1_and_falls_with_noise() -> None:
    rng = torch.Generator().manual_seed(2)
    real, noise = torch.rand(1, 3, 180, 176, generator=rng), torch.randn(1, 3, 180, 176, generator=rng)
    little, much = ((real + level * noise).clamp(0, 1) for level in (0.05, 0.3))
    same, near, far = (MSSSIM().score(fake, real).item() for fake in (real, little, much))
    assert same == pytest.approx(1.0, abs=1e-5)
    assert same > near > far > 0


def test_ms_ssim_of_images_too_small_for_five_scales_is_refused() -> None:
    with pytest.raises(DataError, match="ms-ssim needs images of at least 176x176 pixels, not 175x300"):
        MSSSIM().score(torch.rand(1, 3, 175, 300), torch.rand(1, 3, 175, 300))
