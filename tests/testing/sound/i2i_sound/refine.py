from typing import Annotated, ClassVar

import torch
from annotated_types import Ge

from i2i import testtime
from i2i.kinds import GeneratorSlot, MethodSlots, TestSettings
from i2i.seeds import generator_for
from i2i.slot_keys import AtTest


class Refine:
    """Learns the target from the source and a poor draft of it.

    Args:
        evaluations: passes for one image, each of which sees the draft that the one before has left.
    """

    slots: ClassVar = MethodSlots(
        generators={"main": GeneratorSlot(("source", "target"), "target")},
        exported=("main",),
        translates_with=("generators.main",),
    )
    test: ClassVar = TestSettings()

    def __init__(self, networks, losses, *, evaluations: Annotated[int, Ge(1), AtTest()] = 3) -> None:
        self.generator = networks.generators["main"]
        self.losses = losses
        self.evaluations = evaluations

    def step(self, batches, run):
        rng = generator_for(run.seed, "drafts", run.step)
        return run.update("generators", (self._objective(b, run, rng) for b in batches), parts=len(batches))

    def translate(self, source):
        with testtime.applied(self.generator, self.test):
            draft = self._pass(source, source.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1))
            for _ in range(1, self.evaluations):
                draft = self._pass(source, draft)
        return draft

    def _pass(self, source, draft):
        return self.generator(torch.cat((source, draft), dim=1))

    def _objective(self, batch, run, rng):
        share = torch.rand(len(batch.ids), 1, 1, 1, generator=rng)
        fake = self._pass(batch.source, share * batch.target)
        terms = self.losses.of("paired-loss")
        logs = {term.name: term.weighted(term(fake, batch.target, batch=batch, run=run)) for term in terms}
        return sum(logs.values()), logs
