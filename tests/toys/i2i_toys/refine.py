from typing import Annotated

import torch
from annotated_types import Ge

from i2i.kinds import GeneratorSlot, MethodSlots, TestSettings
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest
from i2i.testtime import applied


class Refine:
    """Learns the target from the source and a poor draft of it; translates from none, better each time.

    Args:
        evaluations: passes of the generator for one image.
    """

    slots = MethodSlots(
        generators={"main": GeneratorSlot(("source", "target"), "target")},
        exported="main",
        translates_with=("generators.main",),
    )

    def __init__(self, networks, losses, *, evaluations: Annotated[int, Ge(1), AtTest()] = 4) -> None:
        self.generator = networks.generators["main"]
        self.losses = losses.of("paired-loss")
        self.evaluations = evaluations
        self.test = TestSettings()

    def step(self, batches, run):
        rng = generator_for(run.seed, "drafts", run.step)
        return run.update("generators", (self._objective(b, run, rng) for b in batches), parts=len(batches))

    def _objective(self, batch, run, rng):
        share = torch.rand(len(batch.ids), 1, 1, 1, generator=rng).to(batch.target.device)
        fake = self.generator(torch.cat((batch.source, share * batch.target), dim=1))
        parts = {term.name: term(fake, batch.target, batch=batch, run=run) for term in self.losses}
        return sum(self._weighted(name, part) for name, part in parts.items()), parts

    def _weighted(self, name, part):
        return next(term for term in self.losses if term.name == name).weighted(part)

    def translate(self, source):
        draft = torch.zeros_like(source)
        with applied(self.generator, self.test):
            for number in range(self.evaluations):
                better = self.generator(torch.cat((source, draft), dim=1))
                draft = draft + (better - draft) / (self.evaluations - number)
        return draft
