from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from i2i import testtime
from i2i.kinds import DiscriminatorSlot, GeneratorSlot, LossSlot, MethodSlots, OwnTerm, TestSettings


class Grain(nn.Module):
    """A convolution of the image and of noise, which is drawn at test too; it hands out features.

    Args:
        amount: how much noise.
    """

    def __init__(self, *, in_channels: int, out_channels: int, amount: float = 0.5) -> None:
        super().__init__()
        self.enter = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.leave = nn.Conv2d(6, out_channels, 3, padding=1)
        self.amount = amount

    def forward(self, source):
        (inner,) = self.features(source)
        return torch.tanh(self.leave(inner + self.amount * torch.randn_like(inner)))

    def features(self, source):
        return [F.silu(self.enter(source))]


class Alike:
    """Answers like the generator's own features of the source, and judges of the answer alone."""

    slots: ClassVar = MethodSlots(
        generators={"main": GeneratorSlot(needs=frozenset({"features"}))},
        exported=("main",),
        discriminators=DiscriminatorSlot(condition=None),
        loss_kinds=frozenset({"adversarial-loss"}),
        losses={"identity": LossSlot("paired-loss", required=False)},
    )
    test = TestSettings()

    own_terms: ClassVar = {"alike": OwnTerm("its own features of the source", 1.0), "identity": OwnTerm()}

    def __init__(self, networks, losses) -> None:
        self.net = networks.generators["main"]
        self.critics = [*networks.judges.values()]
        self.terms = losses

    def step(self, batches, run):
        parts = len(batches)
        found = run.update("discriminators", (self.telling(b, run) for b in batches), parts=parts)
        with run.frozen(*(critic.module for critic in self.critics)):
            return found | run.update("generators", (self.passing(b, run) for b in batches), parts=parts)

    def telling(self, batch, run):
        with torch.no_grad():
            answer = self.net(batch.source)
        parts = {}
        for critic in self.critics:
            both = critic.maps(answer), critic.maps(batch.target)
            for term in self.terms.of("adversarial-loss", critic):
                parts[f"{term.name}.{critic.name}.own"] = term.discriminator(*both, batch=batch, run=run)
        return sum(parts.values()), parts

    def passing(self, batch, run):
        answer = self.net(batch.source)
        inner = self.net.features(batch.source)[0]
        light = answer.mean(1, keepdim=True)
        parts = {"alike": F.mse_loss(light, inner.mean(1, keepdim=True).tanh())}
        total = parts["alike"]
        if "identity" in self.terms:
            term = self.terms["identity"]
            parts["identity"] = term(answer, batch.target, batch=batch, run=run)
            total = total + term.weighted(parts["identity"])
        for critic in self.critics:
            seen = critic.maps(answer)
            for term in self.terms.of("adversarial-loss", critic):
                value = term.generator(seen, seen, batch=batch, run=run)
                parts[f"{term.name}.{critic.name}"] = value
                total = total + term.weighted(value)
        return total, parts

    def translate(self, source):
        with testtime.applied(self.net, self.test):
            return self.net(source)
