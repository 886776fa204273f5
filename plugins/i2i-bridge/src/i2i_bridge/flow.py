"""A rectified flow from noise to the target, given the source.

Liu et al., "Flow Straight and Fast" (2022, arXiv 2209.03003), and Lipman et al., "Flow Matching for
Generative Modeling" (2022, arXiv 2210.02747), with a network that predicts the target, from which the
velocity follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from i2i import testtime
from i2i.context import Objective, Run
from i2i.kinds import Batch, GeneratorSlot, MethodSlots, OwnTerm, PairSpec, TestSettings
from i2i.networks import Losses, Networks
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest
from i2i_bridge.paths import Evaluations, Stochastic, drawn_noise, drawn_times, objective, walked


class Flow:
    """Rectified flow with the source as its condition: x_t = (1-t) target + t noise, t from 0 to 1.

    The network sees x_t and the source as one stack, and t, and predicts the target (Liu et al. 2022, arXiv
    2209.03003; Lipman et al. 2022, arXiv 2210.02747). All paired losses of the recipe compare its prediction
    with the target. L2 gives the mean of the plausible targets, which is what the flow is derived for. Each
    translation starts from noise of its own, so one source has many.

    Args:
        drop: how often, in training, the source is left out: all its values are 0, in the middle of [-1,1].
            Without it there is no `guidance` (Ho and Salimans 2022, arXiv 2207.12598).
        evaluations: steps of a translation; each is one pass of the network, two with `guidance`. One gives
            about the mean of the plausible targets.
        stochastic: how much new noise there is in each step. 0 follows the flow's own paths, which the noise
            at the start decides; 1 is ancestral sampling, as of diffusion models.
        guidance: how far to go from the prediction without source to the one with it: 1 is the latter, more
            keeps closer to the source, and varies less.
    """

    slots: ClassVar = MethodSlots(
        generators={"main": GeneratorSlot(("target", "source"), needs=frozenset({"time"}))},
        exported="main",
        translates_with=("generators.main",),
    )
    own_terms: ClassVar[Mapping[str, OwnTerm]] = {
        "paired-loss": OwnTerm("the target guessed at a time of the flow")
    }
    requires: ClassVar[Mapping[str, str]] = {
        "pairs": "bridge/flow makes the target of each source, and the data has no pairs"
    }

    def __init__(
        self,
        networks: Networks,
        losses: Losses,
        spec: PairSpec,
        *,
        drop: Annotated[float, Ge(0), Lt(1)] = 0.0,
        evaluations: Evaluations = 8,
        stochastic: Stochastic = 0.0,
        guidance: Annotated[float, Ge(0), AtTest()] = 1.0,
    ) -> None:
        if guidance != 1 and not drop:
            raise ValueError(
                f"guidance = {guidance:g} compares predictions with and without the source, and drop = 0 "
                "trains with it alone: train with drop = 0.1 or so, or leave guidance at 1"
            )
        self.generator = networks.generators["main"]
        self.losses = losses
        self.channels = spec.target.channels
        self.drop, self.guidance = drop, guidance
        self.evaluations, self.stochastic = evaluations, stochastic
        self.test = TestSettings()

    def step(self, batches: Sequence[Batch], run: Run) -> Mapping[str, Tensor]:
        """Update the network over all batches, each at times of its own."""
        rng = generator_for(run.seed, "flow", run.step)
        guessing = (self._objective(batch, rng, run) for batch in batches)
        return run.update("generators", guessing, parts=len(batches))

    def translate(self, source: Tensor) -> Tensor:
        """Return the end of a flow that starts from noise, which torch's own generator draws."""
        batch, _, height, width = source.shape
        noise = torch.randn((batch, self.channels, height, width), dtype=source.dtype, device=source.device)
        with testtime.applied(self.generator, self.test):
            return walked(noise, partial(self._guess, source), self._move, evaluations=self.evaluations)

    def _objective(self, batch: Batch, rng: torch.Generator, run: Run) -> Objective:
        time = drawn_times(batch.target, rng)
        point = (1 - time) * batch.target + time * drawn_noise(batch.target, rng)
        kept = torch.rand((len(point), 1, 1, 1), generator=rng) >= self.drop
        shown = batch.source * kept.to(point.device)
        guess = self.generator(torch.cat((point, shown), dim=1), time.flatten())
        return objective(self.losses, guess, batch, run)

    def _guess(self, source: Tensor, point: Tensor, time: float) -> Tensor:
        shown = [source] if self.guidance == 1 else [source, torch.zeros_like(source)]
        stack = torch.cat([torch.cat((point, given), dim=1) for given in shown])
        times = torch.full((len(stack),), time, device=stack.device)
        guess, *without = self.generator(stack, times).to(source.dtype).chunk(len(shown))
        return torch.lerp(without[0], guess, self.guidance) if without else guess

    def _move(self, point: Tensor, guess: Tensor, time: float, earlier: float) -> Tensor:
        """Return where the flow is earlier, if its end is the guess; old and new noise add up.

        That is equation 12 of DDIM (Song et al. 2020, arXiv 2010.02502), for this path.
        """
        share = (1 - time) * earlier / ((1 - earlier) * time)  # of the noise, as against the target's share
        fresh = self.stochastic * earlier * math.sqrt(1 - share**2)
        noise = (point - (1 - time) * guess) / time
        moved = (1 - earlier) * guess + math.sqrt(earlier**2 - fresh**2) * noise
        return moved + fresh * torch.randn_like(moved) if fresh else moved
