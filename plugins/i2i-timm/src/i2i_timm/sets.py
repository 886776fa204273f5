"""Distances of two sets of features, (N,D) and (M,D), in float64; they need no pairs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SEED = 2020
"""The seed of random subsets, which are those that torch-fidelity draws."""


def kernel_distance(fake: Tensor, real: Tensor, *, subset_size: int, subsets: int) -> tuple[float, float]:
    """Return the unbiased kernel distance (Binkowski et al. 2018): mean and deviation over random subsets.

    The kernel is (x.y / D + 1)^3, the deviation that of `subsets` values (not of an estimate from them).
    Needs subsets of 2 features or more.
    """
    rng = np.random.RandomState(SEED)
    distances = []
    for _ in range(subsets):
        chosen = [features[_drawn(rng, len(features), subset_size)].double() for features in (fake, real)]
        distances.append(_discrepancy(*chosen))
    found = torch.tensor(distances, dtype=torch.float64)
    return found.mean().item(), found.std(correction=0).item()


def _drawn(rng: np.random.RandomState, count: int, size: int) -> Tensor:
    return torch.from_numpy(rng.choice(count, size, replace=False))


def _discrepancy(x: Tensor, y: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy of sets of one size: no feature meets itself."""
    size = len(x)
    within = sum(kernel.sum() - kernel.trace() for kernel in (_kernel(x, x), _kernel(y, y)))
    return float(within / (size * (size - 1)) - 2 * _kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Return the Frechet distance (Heusel et al. 2017) of two sets, taken for Gaussians.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). With factors S = R^T R, the trace of the root is the sum of
    the singular values of R1 R2^T, which is exact where there are fewer features than dimensions, too.
    Needs sets of 2 features or more.
    """
    (m1, r1), (m2, r2) = (_gaussian(features.double()) for features in (fake, real))
    spread = r1.square().sum() + r2.square().sum() - 2 * torch.linalg.svdvals(r1 @ r2.T).sum()
    return float((m1 - m2).square().sum() + spread)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and a factor R, (k,D), of the covariance R^T R."""
    mean = features.mean(dim=0)
    factor = torch.linalg.qr((features - mean) / (len(features) - 1) ** 0.5, mode="r").R
    return mean, factor


def precision_recall(fake: Tensor, real: Tensor, *, neighbours: int) -> tuple[float, float]:
    """Return precision and recall (Kynkaanniemi et al. 2019): what lies in the other set's manifold.

    That is within the distance of any feature of the other set to its `neighbours`-th nearest of that set.
    Needs sets of more than so many features.
    """
    fake, real = fake.double(), real.double()
    return _share_within(fake, real, neighbours), _share_within(real, fake, neighbours)


def _share_within(features: Tensor, others: Tensor, neighbours: int) -> float:
    """Return the part of `features` that lie in the manifold of the others."""
    inside = _distances(features, others) <= _radii(others, neighbours)
    return inside.any(dim=1).double().mean().item()


def _radii(features: Tensor, neighbours: int) -> Tensor:
    # The nearest one is the feature itself.
    return _distances(features, features).kthvalue(neighbours + 1).values


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # By differences: products would leave a feature some way off from itself.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
