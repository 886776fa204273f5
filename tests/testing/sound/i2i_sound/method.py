import torch

from i2i import testtime
from i2i.kinds import DiscriminatorSlot, GeneratorSlot, MethodSlots, TestSettings


class Duel:
    """One step on the discriminators, then one on the generator."""

    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        discriminators=DiscriminatorSlot(),
        loss_kinds=frozenset({"paired-loss", "adversarial-loss"}),
    )

    def __init__(self, networks, losses) -> None:
        self.generator = networks.generators["main"]
        self.judges = tuple(networks.judges.values())
        self.losses = losses
        self.test = TestSettings()
        self.seen = 0

    def step(self, batches, run):
        logs = {}
        self.seen += 1
        if self.judges:
            logs |= run.update("discriminators", map(self._judging, batches), parts=len(batches))
        with run.frozen(*(judge.module for judge in self.judges)):
            logs |= run.update("generators", map(self._translating, batches), parts=len(batches))
        return logs

    def translate(self, source):
        with testtime.applied(self.generator, self.test):
            return self.generator(source)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]

    def _judging(self, batch):
        with torch.no_grad():
            fake = self.generator(batch.source)
        logs = {}
        for judge in self.judges:
            maps = judge.maps(fake, batch.source), judge.maps(batch.target, batch.source)
            terms = self.losses.of("adversarial-loss", judge)
            logs[judge.name] = sum(term.loss.discriminator(*maps) for term in terms)
        return sum(logs.values()), logs

    def _translating(self, batch):
        fake = self.generator(batch.source)
        logs = {t.name: t.weight * t(fake, batch.target) for t in self.losses.of("paired-loss")}
        pull = 1.0 + 0.1 * self.seen
        for judge in self.judges:
            maps = judge.maps(fake, batch.source)
            for term in self.losses.of("adversarial-loss", judge):
                logs[f"{term.name}.{judge.name}"] = pull * term.weight * term.loss.generator(maps, maps)
        return sum(logs.values()), logs
