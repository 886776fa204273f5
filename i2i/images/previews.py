"""Pictures for people: one image as RGB, or input, output and target side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i.images import as_saved, in_colours, png_bytes
from i2i.images.resizing import resize
from i2i.records import ImageSpec, PairSpec


def strip_png(source: Tensor, fake: Tensor, real: Tensor, spec: PairSpec) -> bytes:
    """Return one PNG of three equal thirds, 8-bit RGB; sides (C,H,W) in [-1,1], sized as the target."""
    thirds = [
        _shown(source, spec.source, spec.target.size),
        _shown(fake, spec.target, spec.target.size),
        _shown(real, spec.target, spec.target.size),
    ]
    return _png(torch.cat(thirds, dim=2))


def picture_png(image: Tensor, spec: ImageSpec, size: tuple[int, int]) -> bytes:
    """Return one PNG of an image (C,H,W) in [-1,1], 8-bit RGB."""
    return _png(_shown(image, spec, size))


def _png(image: Tensor) -> bytes:
    return png_bytes((image * 255).round().to(torch.uint8))


def _shown(image: Tensor, spec: ImageSpec, size: tuple[int, int]) -> Tensor:
    """Return an image in [-1,1] as RGB in [0,1]: classes in colours, grey repeated, no further channels."""
    saved = as_saved(image.cpu(), spec)
    if spec.one_hot:
        saved = in_colours(saved, spec)
    rgb = saved[:3] if saved.shape[0] >= 3 else saved[:1].expand(3, -1, -1)
    return resize(rgb, size, labels=spec.labels)
