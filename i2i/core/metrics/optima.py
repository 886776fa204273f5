"""Optima: is an answer the mean of what is plausible, as L2 wants it, or the median, as L1 does?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from i2i.core.metrics.labels import as_metrics_see, spread
from i2i.core.metrics.pixel import PerImage
from i2i.errors import DataError
from i2i.slot_keys import Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from i2i.kinds import Direction


class Optima(PerImage):
    """Mean absolute distances in [0,1] of an answer from the mean and from the median of the plausible.

    These are the best answers where the input tells nothing: `to_mean` is 0 for the best under L2,
    `to_median` for the best under L1. Less is nearer, and where mean and median differ no answer is near to
    both. Data that know their optima, such as `edges`, are asked for them; of others they are those of the
    training targets, pixel by pixel, whatever the input.

    Args:
        pairs: the most training pairs to take the mean and the median of, spread evenly over the split.
    """

    name = "optima"
    directions: Mapping[str, Direction] = {"to_mean": "min", "to_median": "min"}

    def __init__(self, *, pairs: Count = 1000) -> None:
        super().__init__()
        self._pairs = pairs

    def prepare(self, train_data: Any) -> None:
        """Take the optima from the data, or from its targets."""
        known = getattr(train_data, "optima", None)
        if known is None:
            targets = self._targets(train_data)
            known = {"mean": targets.mean(dim=0), "median": targets.median(dim=0).values}
        self._mean, self._median = known["mean"], known["median"]

    def measure(self, draws: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return both distances of each image; of several draws the mean."""
        if real.shape[1:] != self._mean.shape:
            wanted, found = (" x ".join(map(str, shape)) for shape in (self._mean.shape, real.shape[1:]))
            raise DataError(f"optima are pictures of {wanted}, and this one is {found}: score at that size.")
        return {
            name: (draws - optimum).abs().mean(dim=(0, 2, 3, 4))
            for name, optimum in (("to_mean", self._mean), ("to_median", self._median))
        }

    def _targets(self, data: Any) -> Tensor:
        """Return the targets of the chosen pairs as metrics see them, (N,C,H,W) in [0,1], of one size."""
        spec = data.spec.target
        return torch.cat([as_metrics_see(item["target"], spec) for item in spread(data, self._pairs)])
