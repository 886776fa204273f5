"""Several patch discriminators of one build, each on the image at half the size of the one before.

The first judges texture, the last how the whole hangs together; one recipe table makes them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.discriminators.patch import Field, Patch
from i2i.maps import Maps
from i2i.norms import Norm


class MultiScale(nn.Module):
    """Multi-scale discriminator of pix2pixHD (Wang et al. 2018, arXiv 1711.11585, section 3.2).

    (B,in_channels,H,W) -> raw logits (B,1,h,w) for each scale, from the full size down, and for each the
    output of its activations as features. Images are halved by averages over 3x3 pixels. The attribute
    `receptive_field` is that of the coarsest scale, in pixels of the full image.

    Args:
        scales: how many sizes of the image are judged; 3 in the paper, for images of 2048x1024.
        width: channels of each discriminator's first layer; they double with each layer up to 8 times.
        layers: convolutions of stride 2 in each; left out, it follows from the receptive field.
        receptive_field: side of the patch that one logit judges, in pixels of its own scale, 70 if
            neither is given; 16 is one strided layer, 34 two, 70 three, 142 four, 286 five.
        norm: normalisation after every convolution but the first and the last; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        spectral: divide each convolution's weight by its largest singular value.
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    def __init__(
        self,
        *,
        in_channels: int,
        scales: Annotated[int, Ge(1)] = 2,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        layers: Annotated[int, Ge(1), Le(12)] | None = None,
        receptive_field: Field | None = None,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            Patch(
                in_channels=in_channels,
                width=width,
                layers=layers,
                receptive_field=receptive_field,
                norm=norm,
                spectral=spectral,
            )
            for _ in range(scales)
        )
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        patch = self.scales[0]
        assert isinstance(patch, Patch)
        # One pixel of a halved image is made of 3 pixels, and its neighbour's centre is 2 away. A side
        # of n pixels is halved to n / 2, rounded up.
        self.receptive_field, self.smallest = patch.receptive_field, patch.smallest
        for _ in range(scales - 1):
            self.receptive_field = 2 * self.receptive_field + 1
            self.smallest = 2 * self.smallest - 1

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W); raise ValueError when a side is shorter than `smallest`."""
        height, width = image.shape[-2:]
        if height < self.smallest or width < self.smallest:
            raise ValueError(
                f"{len(self.scales)} scales of this discriminator need sides of at least {self.smallest} "
                f"pixels, not {height}x{width}: choose fewer scales, fewer layers or larger images"
            )
        logits: list[Tensor] = []
        features: list[list[Tensor]] = []
        for number, patch in enumerate(self.scales):
            image = self.halve(image) if number > 0 else image
            maps: Maps = patch(image)
            logits += maps.logits
            features += maps.features
        return Maps(logits, features)
