"""CycleGAN's training step: both generators at once, then both discriminators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from i2i import testtime
from i2i.augmentation import Augmentation
from i2i.kinds import (
    Batch,
    DiscriminatorSlot,
    GeneratorSlot,
    LossSlot,
    MethodSlots,
    OwnTerm,
    PairSpec,
    TestSettings,
)
from i2i.networks import Losses, Networks
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest
from i2i_unpaired.game import Game
from i2i_unpaired.image_pool import ImagePool

if TYPE_CHECKING:
    from i2i.context import Objective, Run

Fakes = Mapping[str, Tensor]
"""Translations without their graphs, by the discriminator that judges them."""


class CycleGAN:
    """Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks".

    arXiv 1703.10593, sections 3 and 4. Of the generators, `forward` makes targets of sources and `backward`
    sources of targets. The discriminators `target` and `source` each judge one side. The loss `cycle`
    compares what went there and back with where it began, in both directions; the loss `identity`, which may
    be left out, compares an image with its translation to the side that it is of already (section 5.2).
    First both generators step, then both discriminators, on the same fakes, as in the authors' code.

    Args:
        pool: earlier fakes to keep of each side; once there are so many, one time in two the discriminator is
            shown one of them in place of a new one. 0 shows new ones only.
        test_dropout: keep dropout on when translating.
        test_norm: normalise with each image's own statistics ("batch") or with the running averages, where
            there are such: instance norm always takes the image's own.
    """

    slots: ClassVar[MethodSlots] = MethodSlots(
        generators={
            "forward": GeneratorSlot("source", "target"),
            "backward": GeneratorSlot("target", "source"),
        },
        exported=("forward", "backward"),
        discriminators={
            "target": DiscriminatorSlot("target", None),
            "source": DiscriminatorSlot("source", None),
        },
        loss_kinds=frozenset({"adversarial-loss", "penalty"}),
        losses={"cycle": LossSlot("paired-loss"), "identity": LossSlot("paired-loss", required=False)},
    )
    own_terms: ClassVar[Mapping[str, OwnTerm]] = {
        "cycle": OwnTerm("there and back, from both sides"),
        "identity": OwnTerm("what is of its side already, on both sides"),
    }

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        augmentation: Augmentation,
        spec: PairSpec,
        *,
        pool: Annotated[int, Ge(0)] = 50,
        test_dropout: Annotated[bool, AtTest()] = False,
        test_norm: Annotated[Literal["batch", "running"], AtTest()] = "running",
    ) -> None:
        source, target = spec.source.channels, spec.target.channels
        if "identity" in losses and source != target:
            raise ValueError(
                f"the loss 'identity' shows each generator what it is to make, and sources have {source} "
                f"channels, targets {target}: leave that loss out"
            )
        self.there, self.back = networks.generators["forward"], networks.generators["backward"]
        self.losses = losses
        roles = self.slots.discriminators
        assert isinstance(roles, Mapping)
        self.games = {
            side: Game(networks.judges[side], role, losses, augmentation) for side, role in roles.items()
        }
        self.pools = {side: ImagePool(pool) for side in self.games}
        self.test = TestSettings(test_dropout, test_norm)

    def step(self, batches: Sequence[Batch], run: Run) -> dict[str, Tensor]:
        """Update both generators over all batches, then both discriminators on what they made."""
        parts = len(batches)
        fakes: list[Fakes] = []
        with run.frozen(*(game.judge.module for game in self.games.values())):
            logs = run.update("generators", self._translating(batches, fakes, run), parts=parts)
        return logs | run.update("discriminators", self._judging(batches, fakes, run), parts=parts)

    def translate(self, source: Tensor) -> Tensor:
        """Return translations of `source` under the test settings."""
        with testtime.applied(self.there, self.test):
            output: Tensor = self.there(source)
        return output

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must not lose: the pools."""
        return {side: pool.state_dict() for side, pool in self.pools.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of another run."""
        for side, pool in self.pools.items():
            pool.load_state_dict(state[side])

    def _translating(self, batches: Sequence[Batch], fakes: list[Fakes], run: Run) -> Iterator[Objective]:
        """Yield what the generators minimise on each batch, and put what they made into `fakes`."""
        rng = generator_for(run.seed, "generators", run.step)
        for batch in batches:
            fake = {"target": self.there(batch.source), "source": self.back(batch.target)}
            fakes.append({side: image.detach() for side, image in fake.items()})
            compared = {
                "cycle": [
                    (self.back(fake["target"]), batch.source),
                    (self.there(fake["source"]), batch.target),
                ]
            }
            if "identity" in self.losses:
                compared["identity"] = [
                    (self.there(batch.target), batch.target),
                    (self.back(batch.source), batch.source),
                ]
            parts: dict[str, Tensor] = {}
            for name, both in compared.items():
                one, other = (self.losses[name](*images, batch=batch, run=run) for images in both)
                parts[name] = one + other
            for side, game in self.games.items():
                for name, value in game.fooling(fake[side], batch, run, rng).items():
                    parts[name] = parts[name] + value if name in parts else value
            yield self.losses.total(parts), parts

    def _judging(self, batches: Sequence[Batch], fakes: Sequence[Fakes], run: Run) -> Iterator[Objective]:
        """Yield what the discriminators minimise on each batch."""
        rng = generator_for(run.seed, "discriminators", run.step)
        for batch, fake in zip(batches, fakes, strict=True):
            total = torch.zeros((), device=batch.source.device)
            parts: dict[str, Tensor] = {}
            for side, game in self.games.items():
                shown = self.pools[side].exchange(fake[side], rng)
                value, logged = game.telling_apart(fake[side], shown, batch, run, rng)
                total, parts = total + value, parts | logged
            yield total, parts
