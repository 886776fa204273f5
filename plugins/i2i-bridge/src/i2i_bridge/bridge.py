"""A Brownian bridge between the two images of a pair: it starts as the source and ends as the target.

Liu et al., "I2SB: Image-to-Image Schrödinger Bridge" (2023, arXiv 2302.05872), and Li et al., "BBDM" (2023,
arXiv 2205.07680), with noise of the same strength at all times and a network that predicts the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from i2i import testtime
from i2i.context import Objective, Run
from i2i.kinds import Batch, GeneratorSlot, MethodSlots, OwnTerm, PairSpec, TestSettings
from i2i.networks import Losses, Networks
from i2i.seeds import generator_for
from i2i_bridge.paths import Evaluations, Stochastic, drawn_noise, drawn_times, objective, walked


class Bridge:
    """Brownian bridge matching: x_t = (1-t) target + t source + sigma sqrt(t (1-t)) noise, t from 0 to 1.

    The network sees x_t and the source as one stack, and t, and predicts the target (Liu et al. 2023, arXiv
    2302.05872; Li et al. 2023, arXiv 2205.07680). All paired losses of the recipe compare its prediction with
    the target. L2 gives the mean of the plausible targets, which is what the sampler is derived for. Source
    and target need the same number of channels.

    Args:
        sigma: the noise on the way; half as much, at its most, is on an image with values in [-1,1]. With 0
            there is none.
        evaluations: passes of the network for a translation. One is plain regression from the source.
        stochastic: how much of the bridge's noise is put back between passes: with 1 it is sampled, as it
            was in training; with 0 each step goes straight: one answer to a source, a smooth one.
    """

    slots: ClassVar = MethodSlots(
        generators={"main": GeneratorSlot(("target", "source"), needs=frozenset({"time"}))},
        exported="main",
        translates_with=("generators.main",),
    )
    own_terms: ClassVar[Mapping[str, OwnTerm]] = {
        "paired-loss": OwnTerm("the target guessed at a time of the bridge")
    }
    requires: ClassVar[Mapping[str, str]] = {
        "pairs": "bridge/bridge goes from each source to its own target, and the data has no pairs"
    }

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        spec: PairSpec,
        *,
        sigma: Annotated[float, Ge(0)] = 1.0,
        evaluations: Evaluations = 8,
        stochastic: Stochastic = 1.0,
    ) -> None:
        ends = spec.source.channels, spec.target.channels
        if ends[0] != ends[1]:
            raise ValueError(
                f"a bridge starts as the source, which has {ends[0]} channels, and ends as the target, which "
                f"has {ends[1]}: take data with as many on both sides, or the method bridge/flow"
            )
        self.generator = networks.generators["main"]
        self.losses = losses
        self.sigma, self.evaluations, self.stochastic = sigma, evaluations, stochastic
        self.test = TestSettings()

    def step(self, batches: Sequence[Batch], run: Run) -> Mapping[str, Tensor]:
        """Update the network over all batches, each at times of its own."""
        rng = generator_for(run.seed, "bridge", run.step)
        guessing = (self._objective(batch, rng, run) for batch in batches)
        return run.update("generators", guessing, parts=len(batches))

    def translate(self, source: Tensor) -> Tensor:
        """Return the end of a bridge that starts at `source`."""
        with testtime.applied(self.generator, self.test):
            return walked(source, partial(self._guess, source), self._move, evaluations=self.evaluations)

    def _objective(self, batch: Batch, rng: torch.Generator, run: Run) -> Objective:
        time = drawn_times(batch.target, rng)
        noise = self.sigma * (time * (1 - time)).sqrt() * drawn_noise(batch.target, rng)
        point = (1 - time) * batch.target + time * batch.source + noise
        guess = self.generator(torch.cat((point, batch.source), dim=1), time.flatten())
        return objective(self.losses, guess, batch, run)

    def _guess(self, source: Tensor, point: Tensor, time: float) -> Tensor:
        times = torch.full((len(source),), time, device=source.device)
        guess: Tensor = self.generator(torch.cat((point, source), dim=1), times)
        return guess.to(source.dtype)

    def _move(self, point: Tensor, guess: Tensor, time: float, earlier: float) -> Tensor:
        """Return where the bridge is earlier, if its end is the guess (I2SB, equation 4)."""
        share = earlier / time
        mean = (1 - share) * guess + share * point
        spread = self.stochastic * self.sigma * math.sqrt(earlier * (1 - share))
        return mean + spread * torch.randn_like(mean) if spread else mean
