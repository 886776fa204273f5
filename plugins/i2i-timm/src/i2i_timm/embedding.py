"""Images as one vector each: what a frozen network of timm's has last, before it names classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from i2i.errors import DataError, RecipeError
from i2i.images import resize
from i2i.seeds import seeded
from i2i_timm import pretrained as weights_of
from i2i_timm.backbone import COLOURS, check_name
from i2i_timm.published import PUBLISHED, Published

DEFAULT: Published = "efficientnet-lite0"
"""The weights that are taken where nobody names any."""

SMALLEST = 16
"""The least side of an image in pixels: what is enlarged from less shows a network next to nothing."""


class Embedding:
    """The features of images by a network that was taught elsewhere, or by one of random weights.

    (N,1,H,W) or (N,3,H,W) in [0,1] -> (N,D) float32 on the CPU. Images are resized to the size that the
    network was made for, whatever their proportions, by bilinear interpolation that smooths as it shrinks;
    grey ones are repeated. The network is built, and its weights are read, at the first call.

    `label` is the short name of the features, `about` says in words what they are.

    Raises ValueError where the keys contradict each other, or name no network of timm's.

    Args:
        owner: the component's reference, for sentences.
        published: weights of an installed distribution, and their network.
        backbone: another network, with its `weights` or `random`.
        weights: a file with the backbone's weights.
        random: take the backbone's random start.
    """

    def __init__(
        self,
        owner: str,
        *,
        published: Published | None,
        backbone: str | None,
        weights: Path | None,
        random: bool,
    ) -> None:
        if not any((published, backbone, weights, random)):
            published = DEFAULT
        self._owner = owner
        self._name, self.label, of = _wanted(published, backbone, weights, random)
        self._source = None if random else weights_of.find(self._name, weights, published)
        self._network: Any = None
        config: Any = timm.get_pretrained_cfg(self._name)
        self._size: tuple[int, int] = tuple(config.input_size[1:])
        self._mean, self._std = (
            torch.tensor(values).view(1, -1, 1, 1) for values in (config.mean, config.std)
        )
        height, width = self._size
        self.about = (
            f"the pooled features of {of}; images resized to {height}x{width} by bilinear interpolation that "
            "smooths as it shrinks, grey ones repeated"
        )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features of a batch.

        Raises DataError for images of other channels or too few pixels, and what reading the weights raises.
        """
        channels, height, width = images.shape[1:]
        if channels not in (1, COLOURS) or min(height, width) < SMALLEST:
            raise DataError(
                f"{self._owner} looks at grey or RGB images of at least {SMALLEST} pixels a side, not at "
                f"{channels} channels of {height}x{width}: leave this metric out."
            )
        if self._network is None:
            self._network = self._built()
        seen = resize(images.float(), self._size, labels=False).expand(-1, COLOURS, -1, -1)
        mean, std = (values.to(images.device) for values in (self._mean, self._std))
        features: Tensor = self._network.to(images.device)((seen - mean) / std)
        if features.dim() != 2:
            raise RecipeError(
                f"{self._owner}: timm's '{self._name}' gives an image features of shape "
                f"{tuple(features.shape[1:])} and no vector: choose another backbone."
            )
        return features.float().cpu()

    def _built(self) -> Any:
        options: dict[str, Any] = {"num_classes": 0}
        if self._source is not None:
            network = self._source.load(options)
        else:
            with seeded(0, "random features", self._name):
                network = timm.create_model(self._name, **options)
        return network.eval().requires_grad_(False)


def _wanted(
    published: Published | None, backbone: str | None, weights: Path | None, random: bool
) -> tuple[str, str, str]:
    """Return timm's name of the network, the short name of its features, and in words what it is."""
    if published is not None:
        if backbone is not None or weights is not None or random:
            raise ValueError("`published` names a network and its weights: leave the others out, or it")
        return PUBLISHED[published].backbone, published, PUBLISHED[published].about
    if backbone is None or (weights is None) is not random:
        raise ValueError(
            "other features than published ones take `backbone`, and either `weights`, a file of them, or "
            "random = true"
        )
    check_name(backbone)
    if weights is None:
        return backbone, f"{backbone}-random", f"timm's {backbone} with random weights"
    return backbone, backbone, f"timm's {backbone} with the weights of {weights.name}"
