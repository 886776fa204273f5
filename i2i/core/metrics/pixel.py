"""MAE and PSNR: how far a translation's pixels are from the true ones.

Images are float32 in [0,1], as saved, so that figures do not depend on how a network scales its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from i2i.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Direction


def needs_pairs(metric: str) -> Mapping[str, str]:
    """Return the `requires` of a metric that scores each translation beside its own truth."""
    return {
        "pairs": f"core/{metric} compares each translation with its own target, and the data has no pairs: "
        "take it out, or take a metric of whole sets, such as fid or kid"
    }


class PerImage:
    """Figures for each image, averaged over the images seen since `reset`.

    A subclass names its figure and gives `score`: of several draws for a source each is scored, and an
    image's figure is their mean. One that sees draws differently, or has several figures, gives `measure`.
    """

    name: str
    directions: Mapping[str, Direction]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._totals: dict[str, float] = {}
        self._count = 0

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the figure of each image, (N,), for (N,C,H,W) twice."""
        raise NotImplementedError

    def measure(self, draws: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return each figure of each image, (N,), for (draws,N,C,H,W) and (N,C,H,W)."""
        return {self.name: torch.stack([self.score(draw, real) for draw in draws]).mean(dim=0)}

    def update(
        self,
        source: Tensor,
        fake: Tensor,
        real: Tensor,
        ids: Sequence[str],
    ) -> Mapping[str, Tensor]:
        """Count a batch in and return the figures of each of its images, (B,)."""
        figures = self.measure(fake.reshape(-1, *real.shape), real)
        for name, values in figures.items():
            self._totals[name] = self._totals.get(name, 0.0) + values.sum(dtype=torch.float64).item()
        self._count += len(real)
        return figures

    def compute(self) -> Mapping[str, float]:
        """Return the means over all images since `reset`; raise DataError when there was none."""
        if not self._count:
            raise DataError(
                f"{self.name} has no image to average over: score at least one before computing it"
            )
        return {name: total / self._count for name, total in self._totals.items()}


class MAE(PerImage):
    """Mean absolute difference over pixels and channels, in [0,1]; 0 is perfect."""

    name = "mae"
    directions: Mapping[str, Direction] = {"mae": "min"}
    requires = needs_pairs("mae")

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the mean absolute difference of each image."""
        return (fake - real).abs().mean(dim=(1, 2, 3))


class PSNR(PerImage):
    """Peak signal-to-noise ratio in dB: 10 log10(1 / MSE) for each image, then the mean over images.

    A mean squared error under that of half an 8-bit level everywhere counts as that, (0.5 / 255)**2: so
    54.15 dB is the most that an image can score, and one perfect image does not make the mean infinite.
    """

    name = "psnr"
    directions: Mapping[str, Direction] = {"psnr": "max"}
    requires = needs_pairs("psnr")

    def score(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the ratio of each image in dB."""
        error = (fake - real).square().mean(dim=(1, 2, 3))
        return -10 * error.clamp(min=(0.5 / 255) ** 2).log10()
