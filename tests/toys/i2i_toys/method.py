import torch

from i2i.kinds import DiscriminatorSlot, GeneratorSlot, LossSlot, MethodSlots, TestSettings


class TwoWay:
    """There and back again: cycle consistency, one judge a side, on data without pairs."""

    slots = MethodSlots(
        generators={"there": GeneratorSlot("source", "target"), "back": GeneratorSlot("target", "source")},
        exported="there",
        discriminators={
            "target": DiscriminatorSlot("target", None),
            "source": DiscriminatorSlot("source", None),
        },
        loss_kinds=frozenset({"paired-loss", "adversarial-loss"}),
        losses={"cycle": LossSlot("paired-loss")},
    )
    test = TestSettings()

    def __init__(self, networks, losses) -> None:
        self.there, self.back = networks.generators["there"], networks.generators["back"]
        self.judges = networks.judges
        self.cycle = losses["cycle"]
        (self.adversarial,) = losses.of("adversarial-loss")

    def step(self, batches, run):
        logs = dict(run.update("discriminators", map(self._judging, batches), parts=len(batches)))
        with run.frozen(*(judge.module for judge in self.judges.values())):
            logs |= run.update("generators", map(self._travelling, batches), parts=len(batches))
        assert all(p.grad is None for judge in self.judges.values() for p in judge.module.parameters())
        return logs

    def translate(self, source):
        self.there.eval()
        try:
            return self.there(source)
        finally:
            self.there.train()

    def _judging(self, batch):
        with torch.no_grad():
            fakes = {"target": self.there(batch.source), "source": self.back(batch.target)}
        reals = {"target": batch.target, "source": batch.source}
        logs = {
            f"discriminators.{side}": self.adversarial.loss.discriminator(
                self.judges[side].maps(fakes[side]), self.judges[side].maps(reals[side])
            )
            for side in ("target", "source")
        }
        return sum(logs.values()), logs

    def _travelling(self, batch):
        there, back = self.there(batch.source), self.back(batch.target)
        cycle = self.cycle(self.back(there), batch.source) + self.cycle(self.there(back), batch.target)
        fooled = sum(
            self.adversarial.loss.generator(self.judges[side].maps(fake), [])
            for side, fake in (("target", there), ("source", back))
        )
        return self.cycle.weight * cycle + self.adversarial.weight * fooled, {
            "cycle": cycle,
            "fooled": fooled,
        }
