"""PatchNCE: a patch of a translation has to tell its own patch of the source from all others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def patch_nce(queries: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
    """Return the mean cross-entropy of finding each query's own key (Park et al. 2020, equations 3 and 4).

    Both are vectors (B,N,C), those at one place belonging together; the other places of the same image are
    the negatives. Keys get no gradient. Counted in float32.
    """
    with torch.autocast(queries.device.type, enabled=False):
        alike = queries.float() @ keys.detach().float().transpose(1, 2) / temperature
        own = torch.arange(alike.shape[1], device=alike.device).expand(alike.shape[:2])
        return F.cross_entropy(alike.flatten(0, 1), own.flatten())
