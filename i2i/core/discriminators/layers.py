"""What the built-in discriminators are made of, and how their features are handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from i2i.norms import NORMS, Norm, biased

if TYPE_CHECKING:
    from collections.abc import Iterable


def bounded(layer: nn.Module, spectral: bool) -> nn.Module:
    """Return `layer`, its weight divided by its largest singular value if `spectral`.

    Miyato et al. 2018, arXiv 1802.05957, with one power iteration in each pass of training.
    """
    return spectral_norm(layer) if spectral else layer


def block(
    inputs: int, outputs: int, *, kernel: int, stride: int, norm: Norm, spectral: bool
) -> list[nn.Module]:
    """Return convolution, norm and LeakyReLU; before a batch norm the convolution has no bias."""
    padding = (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=biased(norm))
    return [bounded(conv, spectral), NORMS[norm](outputs), nn.LeakyReLU(0.2)]


def outputs_and_features(layers: Iterable[nn.Module], image: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run `image` through `layers`; return what comes out, and what came out of each activation."""
    features = []
    for layer in layers:
        image = layer(image)
        if isinstance(layer, nn.LeakyReLU):
            features.append(image)
    return image, features
