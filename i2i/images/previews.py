"""Pictures for people: one image as RGB, or input, output and target side by side.

A side of several files is a column of pictures, one for each, as no single picture shows them all.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.images import as_saved, by_file, in_colours, png_bytes
from i2i.images.resizing import resize
from i2i.records import ImageSpec, PairSpec


def strip_png(source: Tensor, fake: Tensor, real: Tensor, spec: PairSpec) -> bytes:
    """Return one PNG of three equal thirds, 8-bit RGB; sides (C,H,W) in [-1,1], sized as the target.

    Where a side has several files, each third is a column of them, and white where it has fewer than others.
    """
    thirds = [
        _column(source, spec.source, spec.target.size),
        _column(fake, spec.target, spec.target.size),
        _column(real, spec.target, spec.target.size),
    ]
    height = max(third.shape[1] for third in thirds)
    filled = [F.pad(third, (0, 0, 0, height - third.shape[1]), value=1.0) for third in thirds]
    return _png(torch.cat(filled, dim=2))


def picture_png(image: Tensor, spec: ImageSpec, size: tuple[int, int]) -> bytes:
    """Return one PNG of an image (C,H,W) in [-1,1], 8-bit RGB: of several files a column, each at `size`."""
    return _png(_column(image, spec, size))


def _png(image: Tensor) -> bytes:
    return png_bytes((image * 255).round().to(torch.uint8))


def _column(image: Tensor, spec: ImageSpec, size: tuple[int, int]) -> Tensor:
    """Return the files of a side below each other, as RGB in [0,1]."""
    return torch.cat([_shown(piece, file, size) for file, piece in by_file(image, spec)], dim=1)


def _shown(image: Tensor, spec: ImageSpec, size: tuple[int, int]) -> Tensor:
    """Return an image in [-1,1] as RGB in [0,1]: classes in colours, grey repeated, no further channels."""
    saved = as_saved(image.cpu(), spec)
    if spec.one_hot:
        saved = in_colours(saved, spec)
    rgb = saved[:3] if saved.shape[0] >= 3 else saved[:1].expand(3, -1, -1)
    return resize(rgb, size, labels=spec.labels)
