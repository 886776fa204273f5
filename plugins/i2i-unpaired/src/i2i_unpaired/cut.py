"""CUT's training step: the discriminator, then the generator and the heads on its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from i2i import testtime
from i2i.abilities import HandsOutFeatures
from i2i.augmentation import Augmentation
from i2i.kinds import (
    Batch,
    DiscriminatorSlot,
    GeneratorSlot,
    MethodSlots,
    NetworkSlot,
    OwnTerm,
    PairSpec,
    TestSettings,
)
from i2i.networks import Losses, Networks
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest
from i2i_unpaired.game import Game
from i2i_unpaired.patch_nce import patch_nce

if TYPE_CHECKING:
    from i2i.context import Objective, Run


class CUT:
    """Park et al. 2020, "Contrastive Learning for Unpaired Image-to-Image Translation" (arXiv 2007.15651).

    Sections 3 and 4. A patch of a translation has to resemble its own patch of the source more than others
    of that source, in the features of the generator's encoder and by the vectors of `[networks.heads]`. With
    `identity = false`, `nce = 10` and `flip = true` it is FastCUT. First the discriminator steps, then the
    generator and the heads.

    Args:
        nce: weight of the contrastive loss.
        identity: also compare targets with their own translations, and take the mean of both.
        temperature: similarities are divided by it: smaller minds the most similar patches more.
        patches: at most so many places of each feature are compared, with each other: one alone would be told
            from nothing.
        flip: one step in two translate the mirrored source, which is to resemble the source all the same.
        test_dropout: keep dropout on when translating.
        test_norm: normalise with each image's own statistics ("batch") or with the running averages, where
            there are such: instance norm always takes the image's own.
    """

    slots: ClassVar[MethodSlots] = MethodSlots(
        generators={"main": GeneratorSlot(needs=frozenset({"features"}))},
        exported="main",
        discriminators={"target": DiscriminatorSlot("target", None)},
        networks={"heads": NetworkSlot(on="generators.main", reads="source")},
        loss_kinds=frozenset({"adversarial-loss", "penalty"}),
    )

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        augmentation: Augmentation,
        spec: PairSpec,
        *,
        nce: Annotated[float, Gt(0)] = 1.0,
        identity: bool = True,
        temperature: Annotated[float, Gt(0)] = 0.07,
        patches: Annotated[int, Ge(2)] = 256,
        flip: bool = False,
        test_dropout: Annotated[bool, AtTest()] = False,
        test_norm: Annotated[Literal["batch", "running"], AtTest()] = "running",
    ) -> None:
        source, target = spec.source.channels, spec.target.channels
        if source != target:
            raise ValueError(
                "translations are shown to the encoder that reads sources, so both sides have as many "
                f"channels, not {source} and {target}: turn one of them into the other's kind"
            )
        generator = networks.generators["main"]
        assert isinstance(generator, HandsOutFeatures)  # which its slot asks for
        self.generator, self.features = networks.generators["main"], generator.features
        self.heads = networks.others["heads"]
        self.losses = losses
        roles = self.slots.discriminators
        assert isinstance(roles, Mapping)
        self.game = Game(networks.judges["target"], roles["target"], losses, augmentation)
        self.nce, self.identity, self.temperature = nce, identity, temperature
        self.patches, self.flip = patches, flip
        self.test = TestSettings(test_dropout, test_norm)

    @staticmethod
    def own_terms(keys: Mapping[str, Any]) -> Mapping[str, OwnTerm]:
        """Say that patches are compared, of translations and of targets, and with which weight."""
        weight, of = keys["nce"], ("generators", "networks")
        if not keys["identity"]:
            return {"nce": OwnTerm("patches of sources found again", weight, of)}
        return {
            "nce": OwnTerm("patches of sources found again", weight / 2, of),
            "nce-identity": OwnTerm("patches of targets found again", weight / 2, of),
        }

    def step(self, batches: Sequence[Batch], run: Run) -> dict[str, Tensor]:
        """Update the discriminator over all batches, then the generator and the heads."""
        parts = len(batches)
        mirrored = (
            self.flip and float(torch.rand((), generator=generator_for(run.seed, "flip", run.step))) < 0.5
        )
        fakes = self._fakes(batches, run, mirrored=mirrored)
        logs = run.update("discriminators", self._judging(batches, fakes, run), parts=parts)
        with run.frozen(self.game.judge.module):
            both = self._translating(batches, fakes, run, mirrored=mirrored)
            return logs | run.update_together(("generators", "networks"), both, parts=parts)

    def translate(self, source: Tensor) -> Tensor:
        """Return translations of `source` under the test settings."""
        with testtime.applied(self.generator, self.test):
            output: Tensor = self.generator(source)
        return output

    def _fakes(self, batches: Sequence[Batch], run: Run, *, mirrored: bool) -> list[Tensor]:
        """Return the translation of each batch; that of a single one has its graph, and serves both updates.

        Those of several are made anew for the generator: keeping all graphs would need the memory that
        accumulation saves.
        """
        with run.autocast(), torch.set_grad_enabled(len(batches) == 1):
            return [self.generator(_turned(batch.source, mirrored=mirrored)) for batch in batches]

    def _judging(self, batches: Sequence[Batch], fakes: Sequence[Tensor], run: Run) -> Iterator[Objective]:
        """Yield what the discriminator minimises on each batch."""
        rng = generator_for(run.seed, "discriminators", run.step)
        for batch, fake in zip(batches, fakes, strict=True):
            yield self.game.telling_apart(fake.detach(), fake.detach(), batch, run, rng)

    def _translating(
        self, batches: Sequence[Batch], fakes: Sequence[Tensor], run: Run, *, mirrored: bool
    ) -> Iterator[dict[str, Objective]]:
        """Yield what the generator and what the heads minimise on each batch."""
        rng = generator_for(run.seed, "generators", run.step)
        places = generator_for(run.seed, "patches", run.step)
        for batch, made in zip(batches, fakes, strict=True):
            fake = made if made.requires_grad else self.generator(_turned(batch.source, mirrored=mirrored))
            parts = self.game.fooling(fake, batch, run, rng)
            values = [self.losses[name].weighted(value) for name, value in parts.items()]
            contrast = parts["nce"] = self._contrast(fake, batch.source, places, mirrored=mirrored)
            if self.identity:
                same = self.generator(_turned(batch.target, mirrored=mirrored))
                parts["nce-identity"] = self._contrast(same, batch.target, places, mirrored=mirrored)
                contrast = (contrast + parts["nce-identity"]) / 2
            contrast = self.nce * contrast
            yield {"generators": (torch.stack([*values, contrast]).sum(), parts), "networks": (contrast, {})}

    def _contrast(self, fake: Tensor, source: Tensor, rng: torch.Generator, *, mirrored: bool) -> Tensor:
        """Return PatchNCE between a translation and what it was made of, the mean over the heads' layers."""
        seen = [_turned(feature, mirrored=mirrored) for feature in (fake, *self.features(fake))]
        places = [
            torch.randperm(feature[0, 0].numel(), generator=rng)[: self.patches].to(feature.device)
            for feature in seen
        ]
        with torch.no_grad():
            keys = self.heads((source, *self.features(source)), places)
        pairs = zip(self.heads(seen, places), keys, strict=True)
        return torch.stack([patch_nce(q, k, temperature=self.temperature) for q, k in pairs]).mean()


def _turned(image: Tensor, *, mirrored: bool) -> Tensor:
    """Return an image or a feature (B,c,h,w), left to right where it is mirrored."""
    return image.flip(-1) if mirrored else image
