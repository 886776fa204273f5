"""The last step of Canny's edges: weak edges count where they hang together with a strong one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def kept(edges: Tensor) -> Tensor:
    """Return which edges (B,1,H,W) are kept, 0 or 1: of 0 (none), 0.5 (weak) and 1 (strong).

    A weak edge is kept if a chain of edges, through any of the 8 neighbours, joins it to a strong one. This
    is what kornia's `canny` does with hysteresis, pixel by pixel along each chain, hundreds of times through
    the whole image; here each edge points to the greatest index it knows of in its piece, and pointers are
    followed, which makes them reach twice as far each time (Shiloach and Vishkin 1982, J. Algorithms 3(1)).
    """
    count, _, height, width = edges.shape
    flat = edges.flatten(1)
    there = flat > 0
    own = torch.arange(height * width, device=edges.device).expand(count, -1)
    pieces = own
    # GPUs pool no integers, and some know no float64.
    exact = torch.float32 if height * width <= 2**24 else torch.float64
    while True:
        shown = pieces.where(there, -1).to(exact).view(count, 1, height, width)
        nearby = F.max_pool2d(shown, 3, stride=1, padding=1).flatten(1).long()
        # What an edge has heard of, the one it points to hears as well.
        heard = pieces.scatter_reduce(1, pieces, nearby.where(there, own), "amax")
        followed = heard.gather(1, heard)
        if torch.equal(followed, pieces):
            break
        pieces = followed
    strong = torch.zeros_like(flat).scatter_reduce(1, pieces, flat.eq(1).to(flat.dtype), "amax")
    return (strong.gather(1, pieces) * there).view_as(edges)
