"""LPIPS, FID and KID as torch-fidelity defines them; its package and pretrained weights are not i2i's.

Weights are looked for in a folder that the recipe names, or in torch's own cache, where they are
downloaded to at the first use. They are pickles: each file is read as plain tensors first, which refuses
whatever holds more, before torch-fidelity is given it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from i2i.core.metrics.pixel import PerImage, needs_pairs
from i2i.core.metrics.rgb import as_rgb
from i2i.errors import ResourceError
from i2i.slot_keys import Count
from i2i.torch_files import read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from i2i.kinds import Direction

INCEPTION = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
LPIPS_HEADS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-vgg16-lpips.pth"
VGG16 = "https://download.pytorch.org/models/vgg16-397923af.pth"


class LPIPS(PerImage):
    """Learned perceptual distance (Zhang et al., CVPR 2018); 0 is perfect.

    VGG16 with the heads of version 0.1, at the images' own size, by torch-fidelity. Other trunks give other
    figures.

    Args:
        weights: a folder with vgg16-397923af.pth and weights-vgg16-lpips.pth; downloaded by default.
    """

    name = "lpips"
    directions: Mapping[str, Direction] = {"lpips": "min"}
    requires = needs_pairs("lpips")

    def __init__(self, *, weights: Path | None = None) -> None:
        super().__init__()
        require_torch_fidelity("lpips")
        self._weights = weights
        self._network: nn.Module | None = None

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the distance of each image from its truth; the first call loads the weights."""
        if self._network is None:
            files = [weights_file(url, self._weights, metric="lpips") for url in (VGG16, LPIPS_HEADS)]
            self._network = _lpips(files)
        network = self._network.to(real.device)
        fake, real = (as_rgb(image, metric="lpips") * 255 for image in (fake, real))
        distances: Tensor = network(fake, real)
        return distances


class _Inception:
    """All images of a split as features of InceptionV3: translations and truths apart.

    Images are brought to 8 bits and to 299x299 by the bilinear filter of TensorFlow 1, which does not smooth
    as it shrinks.
    """

    def __init__(self, metric: str, weights: Path | None) -> None:
        require_torch_fidelity(metric)
        self._metric, self._weights = metric, weights
        self._network: nn.Module | None = None
        self.reset()

    def reset(self) -> None:
        self._fake: list[Tensor] = []
        self._real: list[Tensor] = []

    def update(self, fake: Tensor, real: Tensor) -> None:
        self._fake.append(self._features(fake.reshape(-1, *real.shape[1:])))
        self._real.append(self._features(real))

    def both(self) -> tuple[Tensor, Tensor]:
        """Return the features of translations and of truths, (N,2048) each."""
        return torch.cat(self._fake), torch.cat(self._real)

    def enough(self) -> bool:
        """Whether there are the two images a side that a distance of sets needs."""
        return sum(map(len, self._real)) > 1

    def _features(self, images: Tensor) -> Tensor:
        if self._network is None:
            self._network = _inception(weights_file(INCEPTION, self._weights, metric=self._metric))
        levels = (as_rgb(images, metric=self._metric) * 255).round().to(torch.uint8)
        features: Tensor = self._network.to(images.device)(levels)[0].cpu()
        return features


class FID:
    """Frechet distance of InceptionV3 features (Heusel et al. 2017), translations to truths; 0 is perfect.

    Features of 2,048 channels from the weights of 2015-12-05; images brought to 8 bits and to 299x299 by
    TensorFlow 1's bilinear filter, which does not smooth as it shrinks; by torch-fidelity. Under about 2,000
    images it is badly biased upwards: compare kid then.

    Args:
        weights: the file weights-inception-2015-12-05-6726825d.pth, or its folder; downloaded by default.
    """

    directions: Mapping[str, Direction] = {"fid": "min"}

    def __init__(self, *, weights: Path | None = None) -> None:
        self._images = _Inception("fid", weights)

    def reset(self) -> None:
        """Forget all images."""
        self._images.reset()

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> None:
        """Count a batch in; several draws for a source are counted all."""
        self._images.update(fake, real)

    def compute(self) -> Mapping[str, float]:
        """Return the distance over all images since `reset`; not a number for a single one."""
        return {"fid": frechet_distance(*self._images.both()) if self._images.enough() else torch.nan}


class KID:
    """Kernel distance of InceptionV3 features (Binkowski et al. 2018), translations to truths; 0 is perfect.

    The unbiased estimate with the kernel (x.y / 2048 + 1)^3, the mean over random subsets, which hold at
    most as many images as there are; chance can put it below 0. Features and resize as for fid, by
    torch-fidelity.

    Args:
        weights: the file weights-inception-2015-12-05-6726825d.pth, or its folder; downloaded by default.
        subset_size: images in a subset; all of them where there are fewer.
        subsets: how many subsets are drawn.
    """

    directions: Mapping[str, Direction] = {"kid": "min"}

    def __init__(
        self, *, weights: Path | None = None, subset_size: Count = 1000, subsets: Count = 100
    ) -> None:
        self._images = _Inception("kid", weights)
        self._subset_size, self._subsets = subset_size, subsets

    def reset(self) -> None:
        """Forget all images."""
        self._images.reset()

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> None:
        """Count a batch in; several draws for a source are counted all."""
        self._images.update(fake, real)

    def compute(self) -> Mapping[str, float]:
        """Return the distance over all images since `reset`; not a number for a single one."""
        if not self._images.enough():
            return {"kid": torch.nan}
        fake, real = self._images.both()
        return {"kid": kernel_distance(fake, real, subset_size=self._subset_size, subsets=self._subsets)}


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Return the Frechet distance of two sets of features (N,D), taken for Gaussians."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = (fid_features_to_statistics(features.double()) for features in (fake, real))
    (distance,) = fid_statistics_to_metric(*statistics, verbose=False).values()
    return float(distance)


def kernel_distance(fake: Tensor, real: Tensor, *, subset_size: int, subsets: int) -> float:
    """Return the unbiased kernel distance of two sets of features (N,D), the mean over random subsets."""
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    size = min(subset_size, len(fake), len(real))
    # A subset that is the whole set is the same each time.
    count = 1 if size == len(fake) == len(real) else subsets
    found = kid_features_to_metric(
        fake.double(), real.double(), kid_subset_size=size, kid_subsets=count, verbose=False
    )
    return float(found[KEY_METRIC_KID_MEAN])


# --- the package and its weights --------------------------------------------------------------------


def require_torch_fidelity(metric: str) -> None:
    """Raise ResourceError when torch-fidelity, or torchvision that it needs, is not installed."""
    missing = [name for name in ("torch_fidelity", "torchvision") if find_spec(name) is None]
    if missing:
        raise ResourceError(
            f"{metric} is computed by torch-fidelity, and {' and '.join(missing)} cannot be found: "
            "install i2i-toolkit with its extra 'metrics', or leave this metric out."
        )


def weights_file(url: str, weights: Path | None, *, metric: str) -> Path:
    """Return the file that `url` names: in the folder `weights` or `weights` itself, else downloaded.

    It is checked to hold nothing but tensors. Raises ResourceError when it cannot be had, DataError when
    it is damaged.
    """
    name = url.rpartition("/")[2]
    if weights is not None:
        given = weights.expanduser()
        path = given / name if given.is_dir() else given
        if not path.is_file():
            raise ResourceError(f"{metric} needs its weights, and there is no file {path}: get {url}.")
    else:
        path = Path(torch.hub.get_dir(), "checkpoints", name)
        if not path.is_file():
            _download(url, path, metric)
    read_tensors(path)
    return path


def _download(url: str, path: Path, metric: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        named = re.search(r"-([0-9a-f]{8})\.pth$", path.name)  # the beginning of the file's sha256
        torch.hub.download_url_to_file(url, str(path), named[1] if named else None, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        reason = getattr(error, "reason", None) or error
        raise ResourceError(
            f"{metric} needs pretrained weights, which could not be downloaded ({reason}): get {url} where "
            f"there is a connection, and set `weights` to the folder it is in, or put it at {path}."
        ) from error


def _inception(path: Path) -> nn.Module:
    from torch_fidelity import FeatureExtractorInceptionV3

    network: nn.Module = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    )
    return network


def _lpips(files: Sequence[Path]) -> nn.Module:
    from torch_fidelity import SampleSimilarityLPIPS

    with _torch_cache_of(files):
        network: nn.Module = SampleSimilarityLPIPS("lpips-vgg16")
    return network


@contextmanager
def _torch_cache_of(files: Sequence[Path]) -> Iterator[None]:
    """Let torch find `files` in its cache for a while: torch-fidelity's LPIPS takes no paths."""
    before = torch.hub.get_dir()
    if all(path.parent == Path(before, "checkpoints") for path in files):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "checkpoints")
        cache.mkdir()
        for path in files:
            try:
                (cache / path.name).symlink_to(path.resolve())
            except OSError:  # not everybody may make links on Windows
                shutil.copyfile(path, cache / path.name)
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(before)
