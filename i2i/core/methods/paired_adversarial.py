"""pix2pix's training step, in plain view.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017), sections 3 and
3.3: one step on the discriminators, then one on the generator, whose objective adds a paired loss to
the adversarial one. Any number of discriminators; without any it is plain regression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from i2i import testtime
from i2i.kinds import Batch, DiscriminatorSlot, GeneratorSlot, MethodSlots, TestSettings
from i2i.maps import Deferred, as_features, as_maps
from i2i.networks import Judge, Losses, Networks

if TYPE_CHECKING:
    from i2i.context import Objective, Run


class PairedAdversarial:
    """Train one generator on aligned pairs, against the discriminators of the recipe.

    Args:
        test_dropout: keep dropout on when translating, as pix2pix does.
        test_norm: normalise with each image's own statistics ("batch", as pix2pix does) or with the
            running averages.
    """

    slots: ClassVar[MethodSlots] = MethodSlots(
        generators={"main": GeneratorSlot("source", "target")},
        exported="main",
        discriminators=DiscriminatorSlot("target", "source"),
        loss_kinds=frozenset({"paired-loss", "adversarial-loss", "feature-loss", "penalty"}),
    )

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        *,
        test_dropout: bool = True,
        test_norm: Literal["batch", "running"] = "batch",
    ) -> None:
        self.generator = networks.generators["main"]
        self.judges = tuple(networks.judges.values())
        self.losses = losses
        self.test = TestSettings(test_dropout, test_norm)

    def step(self, batches: Sequence[Batch], run: Run) -> dict[str, Tensor]:
        """Update the discriminators over all batches, then the generator."""
        logs: dict[str, Tensor] = {}
        fakes, parts = self._fakes(batches, run), len(batches)

        # 1. Each discriminator learns to tell the real target from the fake, which carries no gradient.
        if self.judges:
            judging = (self._judging(batches[i], fakes(i).detach(), run) for i in range(parts))
            logs |= run.update("discriminators", judging, parts=parts)

        # 2. The generator learns to pass them for real and to stay near the target.
        with run.frozen(*(judge.module for judge in self.judges)):
            translating = (self._translating(batches[i], fakes(i)) for i in range(parts))
            logs |= run.update("generators", translating, parts=parts)
        return logs

    def translate(self, source: Tensor) -> Tensor:
        """Return translations of `source` under the test settings."""
        with testtime.applied(self.generator, self.test):
            output: Tensor = self.generator(source)
        return output

    def _fakes(self, batches: Sequence[Batch], run: Run) -> Callable[[int], Tensor]:
        """The translation of each batch; one serves both updates, several are made anew for each.

        Keeping the graphs of several batches would need the memory that accumulation saves.
        """

        def fake(index: int) -> Tensor:
            with run.autocast():
                output: Tensor = self.generator(batches[index].source)
            return output

        return cache(fake) if len(batches) == 1 else fake

    def _judging(self, batch: Batch, fake: Tensor, run: Run) -> Objective:
        total = torch.zeros((), device=fake.device)
        logs = {}
        for judge in self.judges:
            on_fake = judge.maps(fake, batch.source)
            on_real = judge.maps(batch.target, batch.source)
            score = torch.zeros((), device=fake.device)
            for term in self.losses.of("adversarial-loss", judge):
                score = score + term.loss.discriminator(on_fake, on_real)
            total = total + score
            logs[f"discriminators.{judge.name}"] = score
            for term in self.losses.of("penalty", judge):
                if term.due(run.step):
                    penalty = term.loss(judge.given(batch.source), batch.target, fake)
                    total = total + penalty * (term.weight * term.every)
                    logs[f"{term.name}.{judge.name}"] = penalty
        return total, logs

    def _translating(self, batch: Batch, fake: Tensor) -> Objective:
        parts = {term.name: term.loss(fake, batch.target) for term in self.losses.of("paired-loss")}
        for judge in self.judges:
            for name, value in self._persuading(judge, batch, fake).items():
                parts[name] = parts[name] + value if name in parts else value
        total = torch.zeros((), device=fake.device)
        for name, part in parts.items():
            total = total + self.losses[name].weight * part
        return total, parts

    def _persuading(self, judge: Judge, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """The generator's losses that go through one discriminator."""

        @cache
        def reference() -> object:
            with torch.no_grad():  # how the real image is judged is a reference, not a way to learn
                return judge.look(batch.target, batch.source)

        seen = judge.look(fake, batch.source)
        parts: dict[str, Tensor] = {}
        for term in self.losses.of("adversarial-loss", judge):
            parts[term.name] = term.loss.generator(as_maps(seen), Deferred(reference))
        for term in self.losses.of("feature-loss", judge):
            parts[term.name] = term.loss(as_features(seen), as_features(reference()))
        return parts
