"""PatchGAN: one logit for every patch of the image, by a network that is convolutional throughout.

Its size is told by `layers`, the number of strided convolutions, or by the receptive field they give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.discriminators.layers import block, bounded, outputs_and_features
from i2i.maps import Maps
from i2i.norms import Norm

Field = Literal[16, 34, 70, 142, 286]


class Patch(nn.Module):
    """Patch discriminator (Isola et al. 2017, arXiv 1611.07004, sections 3.2.2 and 6.1.2).

    (B,in_channels,H,W) -> raw logits (B,1,h,w), 30x30 of them on 256x256 with the default of 70 pixels,
    and the output of every activation as features. Give `layers` or `receptive_field`, or neither;
    raises ValueError when both are given and disagree.

    Args:
        width: channels of the first layer; they double with each layer up to 8 times as many.
        layers: convolutions of stride 2; left out, it follows from the receptive field.
        receptive_field: side in pixels of the patch that one logit judges, 70 if neither is given;
            16 is one strided layer, 34 two, 70 three, 142 four, 286 five.
        norm: normalisation after every convolution but the first and the last; "sync-batch" is
            "batch" over the shares of all processes that train as one.
        spectral: divide each convolution's weight by its largest singular value, which bounds how fast
            logits can change; commonly with norm = "instance" or "none".
    """

    small: ClassVar[Mapping[str, Any]] = {"width": 4}

    def __init__(
        self,
        *,
        in_channels: int,
        width: Annotated[int, Ge(1), Le(4096)] = 64,
        layers: Annotated[int, Ge(1), Le(12)] | None = None,
        receptive_field: Field | None = None,
        norm: Norm = "batch",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        count = _layer_count(layers, receptive_field)
        self.receptive_field = field_of(count)
        self.smallest = 3 * 2**count
        channels = [width * min(2**i, 8) for i in range(count + 1)]
        parts: list[nn.Module] = [
            bounded(nn.Conv2d(in_channels, width, 4, stride=2, padding=1), spectral),
            nn.LeakyReLU(0.2),
        ]
        for i in range(1, count + 1):
            stride = 2 if i < count else 1
            parts += block(
                channels[i - 1], channels[i], kernel=4, stride=stride, norm=norm, spectral=spectral
            )
        last = bounded(nn.Conv2d(channels[-1], 1, 4, padding=1), spectral)
        self.model = nn.Sequential(*parts, last)

    def forward(self, image: Tensor) -> Maps:
        """Judge (B,in_channels,H,W); raise ValueError when a side is shorter than `smallest`."""
        height, width = image.shape[-2:]
        if height < self.smallest or width < self.smallest:
            raise ValueError(
                f"a patch discriminator with a receptive field of {self.receptive_field} needs sides of at "
                f"least {self.smallest} pixels, not {height}x{width}: choose fewer layers or larger images"
            )
        logits, features = outputs_and_features(self.model, image)
        return Maps([logits], [features])


def field_of(layers: int) -> int:
    """Return the receptive field in pixels of a patch discriminator with `layers` strided layers."""
    # From the back: the two convolutions of stride 1 see 7, each strided one doubles that and adds 2.
    side = 7
    for _ in range(layers):
        side = 2 * side + 2
    return side


def _layer_count(layers: int | None, field: int | None) -> int:
    if layers is not None:
        if field not in (None, field_of(layers)):
            raise ValueError(
                f"layers = {layers} gives a receptive field of {field_of(layers)}, not {field}: "
                "give only one of the two"
            )
        return layers
    known = {field_of(count): count for count in range(1, 6)}
    wanted = 70 if field is None else field
    if wanted not in known:
        raise ValueError(f"receptive_field cannot be {wanted}: it is one of {', '.join(map(str, known))}")
    return known[wanted]
