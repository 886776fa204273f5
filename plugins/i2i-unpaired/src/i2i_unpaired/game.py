"""The game of one discriminator that sees images alone: what it minimises, and what fooling it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from i2i.augmentation import Augmentation
from i2i.kinds import Batch, DiscriminatorSlot
from i2i.maps import Deferred
from i2i.networks import Judge, Losses

if TYPE_CHECKING:
    from i2i.context import Run


@dataclass(frozen=True)
class Game:
    """A discriminator, its losses, and what stands between images and it."""

    judge: Judge
    role: DiscriminatorSlot
    losses: Losses
    augmentation: Augmentation

    def telling_apart(
        self, fake: Tensor, shown: Tensor, batch: Batch, run: Run, rng: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the discriminator minimises, and the parts of it by name.

        `shown` are the fakes that it judges, from a pool perhaps; penalties take the `fake` of this step.
        Neither has a graph.
        """
        augment = self.augmentation.drawn(rng, role=self.role)
        real = augment(batch.side(self.role.judges), None)[0]
        on_fake, on_real = self.judge.maps(augment(shown, None)[0]), self.judge.maps(real)
        if run.logged:
            run.measure(self.losses.accuracy(self.judge, on_fake, on_real))
        total = torch.zeros((), device=real.device)
        for term in self.losses.of("adversarial-loss", self.judge):
            total = total + term.discriminator(on_fake, on_real, batch=batch, run=run)
        parts = {f"discriminators.{self.judge.name}": total}
        for extra in self.losses.of("penalty", self.judge):
            if extra.due(run.step):
                value = extra(self.judge.given(), real, augment(fake, None)[0], batch=batch, run=run)
                parts[f"{extra.name}.{self.judge.name}"] = value
                total = total + extra.weighted(value)
        return total, parts

    def fooling(self, fake: Tensor, batch: Batch, run: Run, rng: torch.Generator) -> dict[str, Tensor]:
        """Return what each adversarial loss lets the generator of `fake` minimise, by the loss's name."""
        augment = self.augmentation.drawn(rng, role=self.role)
        seen = self.judge.maps(augment(fake, None)[0])

        def judged_real() -> list[Tensor]:
            with torch.no_grad():
                return self.judge.maps(augment(batch.side(self.role.judges), None)[0])

        real = Deferred(judged_real)  # relativistic losses look at it, others cost nothing
        return {
            term.name: term.generator(seen, real, batch=batch, run=run)
            for term in self.losses.of("adversarial-loss", self.judge)
        }
