"""The heads of CUT: what is left of a patch of a feature before patches are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F


class PatchHeads(nn.Module):
    """An MLP of two layers for each chosen feature (Park et al. 2020, arXiv 2007.15651, section 3.2).

    Its input are the image, as layer 0, and the features of a generator in their order, from layer 1.

    Args:
        layers: which of them are compared; left out, all features, without the image. A feature of a single
            pixel has nothing to be compared with.
        width: length of the vectors that stand for patches.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 8}

    def __init__(
        self,
        *,
        in_channels: int,
        feature_channels: tuple[int, ...],
        layers: tuple[Annotated[int, Ge(0)], ...] | None = None,
        width: Annotated[int, Ge(1), Le(4096)] = 256,
    ) -> None:
        super().__init__()
        channels = (in_channels, *feature_channels)
        self.layers = tuple(range(1, len(channels))) if layers is None else layers
        if not self.layers or list(self.layers) != sorted({*self.layers}):
            raise ValueError(f"'layers' are different numbers in rising order, not {list(self.layers)}")
        if self.layers[-1] >= len(channels):
            raise ValueError(
                f"there is no layer {self.layers[-1]}: 0 is the image, and the generator hands out "
                f"{len(feature_channels)} features, 1 to {len(feature_channels)}"
            )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(channels[layer], width), nn.ReLU(), nn.Linear(width, width))
            for layer in self.layers
        )

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return unit vectors (B,N,width) for each chosen layer, float32.

        `features` are the image and all features of it, (B,c,h,w); `places` has for each the N pixels to
        take, counted row by row.
        """
        found: list[Tensor] = []
        for layer, head in zip(self.layers, self.heads, strict=True):
            patches = features[layer].flatten(2)[:, :, places[layer]].transpose(1, 2)
            found.append(F.normalize(head(patches).float(), dim=-1))
        return found
