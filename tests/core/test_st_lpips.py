"""ST-LPIPS: the published figures where the weights are at hand, and its properties with made-up ones."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i.core import st_lpips
from i2i.core.losses.st_lpips import STLPIPSLoss
from i2i.errors import DataError, RecipeError, ResourceError

installed = pytest.mark.skipif(
    importlib.util.find_spec(st_lpips.PACKAGE) is None, reason="stlpips-pytorch is not installed"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one, with numbers of our own."""
    torch.manual_seed(0)
    network = st_lpips.STLPIPS()
    tensors = {st_lpips.NAMES[name]: value for name, value in network.state_dict().items()}
    tensors |= {name: value.abs() for name, value in tensors.items() if name.startswith("lin")}
    tensors["net.slice1.1.filt"] = torch.ones(64, 1, 3, 3)
    path = tmp_path_factory.mktemp("st-lpips") / "made-up.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture
def photos() -> Tensor:
    if "I2I_TEST_DATA" not in os.environ:
        pytest.skip("I2I_TEST_DATA is not set")
    from i2i.images import read_image

    folder = Path(os.environ["I2I_TEST_DATA"], "facades", "train")
    return torch.stack([read_image(folder / f"{n}.jpg")[:, :, :256] / 127.5 - 1 for n in (1, 2)])


@installed
@torch.no_grad()
def test_a_facade_against_itself_its_shift_and_another_facade(photos: Tensor) -> None:
    network = st_lpips.load()
    one, other = photos[:1], photos[1:]
    assert network(one, one).item() == 0.0
    assert network(one, one.roll(1, dims=-1)).item() == pytest.approx(0.005, abs=0.001)
    assert network(one, other).item() == pytest.approx(0.465, abs=0.005)


@installed
def test_the_package_is_found_without_being_imported() -> None:
    assert st_lpips.load().scale.shape == (1, 3, 1, 1)
    assert st_lpips.PACKAGE not in sys.modules


@torch.no_grad()
def test_distances_are_one_an_image_and_0_for_equal_ones(weights: Path) -> None:
    network = st_lpips.load(weights)
    one, other = torch.rand(2, 3, 32, 40) * 2 - 1, torch.rand(2, 3, 32, 40) * 2 - 1
    distances = network(one, other)
    assert distances.shape == (2,)
    assert (distances > 0).all()
    assert torch.equal(network(one, one), torch.zeros(2))
    torch.testing.assert_close(distances[:1], network(one[:1], other[:1]))
    torch.testing.assert_close(distances, network(other, one))


@torch.no_grad()
def test_a_grey_image_is_judged_as_its_rgb_form(weights: Path) -> None:
    network = st_lpips.load(weights)
    one, other = torch.rand(1, 1, 24, 24), torch.rand(1, 1, 24, 24)
    torch.testing.assert_close(
        network(one, other), network(one.expand(-1, 3, -1, -1), other.expand(-1, 3, -1, -1))
    )


def test_the_blur_is_binomial_and_halves_the_size() -> None:
    image = torch.zeros(1, 2, 9, 9)
    image[:, :, 4, 4] = 16.0
    blurred = st_lpips._halved(image)
    assert blurred.shape == (1, 2, 6, 6)
    # Two are added on each side, so what stood at 4 is under the middle of no kernel but next to four.
    assert torch.equal(blurred[0, 0, 2:4, 2:4], torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    assert blurred[0].sum() == 8.0


def test_the_loss_leads_to_the_truth_and_is_not_trained(weights: Path) -> None:
    loss = STLPIPSLoss(weights=weights)
    real = torch.rand(1, 3, 24, 24)
    fake = torch.rand(1, 3, 24, 24, requires_grad=True)
    before = loss(fake, real)
    (slope,) = torch.autograd.grad(before, fake)
    assert loss(fake - 1e-2 * slope / slope.norm(), real) < before
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_flat_images_have_finite_gradients(weights: Path) -> None:
    fake = torch.zeros(1, 3, 21, 21, requires_grad=True)
    STLPIPSLoss(weights=weights)(fake, torch.zeros(1, 3, 21, 21)).backward()
    assert fake.grad is not None
    assert torch.isfinite(fake.grad).all()


def test_it_is_computed_in_float32_under_autocast(weights: Path) -> None:
    loss = STLPIPSLoss(weights=weights)
    fake, real = torch.rand(1, 3, 24, 24).bfloat16(), torch.rand(1, 3, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(fake, real) == loss(fake.float(), real)


@pytest.mark.parametrize("shape", [(1, 3, 20, 64), (1, 4, 64, 64)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="ST-LPIPS compares grey or RGB images of at least 21 pixels"):
        st_lpips.STLPIPS()(torch.zeros(shape), torch.zeros(shape))


def test_weights_that_are_nowhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceError, match=r"there is no file .*none\.pth: set `weights`"):
        st_lpips.load(tmp_path / "none.pth")
    monkeypatch.setattr(st_lpips, "PACKAGE", "no_such_package_here")
    with pytest.raises(ResourceError, match="they are not installed: set `weights` to the file alex_shift"):
        STLPIPSLoss()


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"holds no weights of ST-LPIPS: '.+' is missing"):
        st_lpips.load(tmp_path / "other.pth")
