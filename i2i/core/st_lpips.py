"""ST-LPIPS: how different two images look, hardly moved by a shift of a pixel.

Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric" (ECCV 2022, arXiv 2207.13686): LPIPS on an
AlexNet that blurs wherever it drops samples. Its figures are not LPIPS figures and are never called that.
The weights come with the PyPI package stlpips-pytorch, whose code is not needed: the file is looked up
among installed packages and read as plain tensors.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.errors import DataError, RecipeError, ResourceError
from i2i.torch_files import read_tensors

PACKAGE = "stlpips_pytorch"
WEIGHTS = Path("weights", "vST0.0", "alex_shift_tolerant.pth")
SMALLEST = 21
"""Shortest side in pixels: below it a map is too small for the padding of its blur."""

NAMES = {
    "shift": "scaling_layer.shift",
    "scale": "scaling_layer.scale",
    **{
        f"convs.{number}.{part}": f"net.{theirs}.{part}"
        for number, theirs in enumerate(("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13"))
        for part in ("weight", "bias")
    },
    **{f"heads.{number}.weight": f"lin{number}.model.1.weight" for number in range(5)},
}
"""Our parameters, and what the published file calls them."""


class STLPIPS(nn.Module):
    """The network without its weights; `load` gives one that can judge.

    (first, second), both (B,3,H,W) or (B,1,H,W) in [-1,1] -> (B,), 0 for equal images, about 0.5 for
    unrelated photos. Always computed in float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        # How much a difference in each channel of each layer matters to the eye.
        self.heads = nn.ModuleList(
            nn.Conv2d(channels, 1, 1, bias=False) for channels in (64, 192, 384, 256, 256)
        )
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of each pair of images; raise RecipeError for a size that is too small."""
        with torch.autocast(first.device.type, enabled=False):
            total = torch.zeros(len(first), device=first.device)
            layers = zip(self.features(first), self.features(second), self.heads, strict=True)
            for one, other, head in layers:
                # Channels as a direction; where all are 0, F.normalize still has a gradient, sqrt has none.
                difference = F.normalize(one, eps=1e-10) - F.normalize(other, eps=1e-10)
                total = total + head(difference.square()).mean(dim=(1, 2, 3))
        return total

    def features(self, image: Tensor) -> list[Tensor]:
        """Return what each of the five convolutions sees in `image`."""
        channels, height, width = image.shape[1:]
        if channels not in (1, 3) or min(height, width) < SMALLEST:
            raise RecipeError(
                f"ST-LPIPS compares grey or RGB images of at least {SMALLEST} pixels a side, "
                f"not {channels} channels of {height}x{width}: leave it out, or change the data."
            )
        seen = (image.float().expand(-1, 3, -1, -1) - self.shift) / self.scale
        seen = F.relu(_halved(self.convs[0](seen)))
        found = [seen]
        for number, conv in enumerate(self.convs[1:], start=1):
            if number <= 2:
                seen = _halved(F.max_pool2d(seen, 3, stride=1))
            seen = F.relu(conv(seen))
            found.append(seen)
        return found


def _halved(image: Tensor) -> Tensor:
    """Blur with the binomial filter 1 2 1 both ways, and keep each second sample."""
    line = torch.tensor([1.0, 2.0, 1.0], device=image.device)
    channels = image.shape[1]
    kernel = (torch.outer(line, line) / 16).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


def load(weights: Path | None = None) -> STLPIPS:
    """Return the network with the published weights, frozen, in test mode, on the CPU.

    Without `weights` they are looked for in the installed package stlpips-pytorch, which is not
    imported. Raises ResourceError when there are none, DataError when the file holds something else.
    """
    path = _installed() if weights is None else weights.expanduser()
    if path is None or not path.is_file():
        missing = "they are not installed" if path is None else f"there is no file {path}"
        raise ResourceError(
            f"ST-LPIPS needs its weights, and {missing}: set `weights` to the file {WEIGHTS.name}, or "
            "install the PyPI package stlpips-pytorch 0.0.2, without its dependencies."
        )
    tensors, network = read_tensors(path), STLPIPS()
    for ours, own in network.state_dict().items():
        theirs = NAMES[ours]
        if theirs not in tensors or tensors[theirs].shape != own.shape:
            raise DataError(f"{path} holds no weights of ST-LPIPS: '{theirs}' is missing or misshapen.")
    network.load_state_dict({ours: tensors[theirs] for ours, theirs in NAMES.items()})
    return network.eval().requires_grad_(False)


def _installed() -> Path | None:
    """Find the weights in the installed package; looking up a package's place runs none of its code."""
    spec = find_spec(PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((Path(folder, WEIGHTS) for folder in folders if Path(folder, WEIGHTS).is_file()), None)
