"""Pictures for people: input, output and target side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i.evaluate import as_saved
from i2i.images import png_bytes
from i2i.kinds import PairSpec
from i2i.resize import resize


def strip_png(source: Tensor, fake: Tensor, real: Tensor, spec: PairSpec) -> bytes:
    """Return one PNG of three equal thirds, 8-bit RGB; sides (C,H,W) in [-1,1], sized as the target."""
    thirds = [
        _shown(as_saved(source.cpu(), spec.source), spec),
        _shown(as_saved(fake.cpu(), spec.target), spec),
        _shown(as_saved(real.cpu(), spec.target), spec),
    ]
    return png_bytes((torch.cat(thirds, dim=2) * 255).round().to(torch.uint8))


def _shown(image: Tensor, spec: PairSpec) -> Tensor:
    """Return an image in [0,1] as RGB: grey is repeated, further channels are left out."""
    image = image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
    return resize(image, spec.target.size, labels=False) if image.shape[1:] != spec.target.size else image
