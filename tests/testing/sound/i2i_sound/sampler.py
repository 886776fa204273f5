from typing import ClassVar

import torch
from torch import nn

from i2i.kinds import GeneratorSlot, MethodSlots, TestSettings
from i2i.seeds import generator_for


class Drift(nn.Module):
    """Where a picture is to move at a time, without bounds, of a stack of source and picture.

    Args:
        wide: channels in between; a paper's network has many.
        dropped: how often a value is zeroed.
    """

    small: ClassVar = {"wide": 4}

    def __init__(
        self, *, in_channels: int, out_channels: int, wide: int = 1024, dropped: float = 0.1
    ) -> None:
        super().__init__()
        self.into = nn.Conv2d(in_channels, wide, 3, padding=1)
        self.deep = nn.Conv2d(wide, wide, 3, padding=1)
        self.when = nn.Linear(1, wide)
        self.drop = nn.Dropout(dropped)
        self.out = nn.Conv2d(wide, out_channels, 3, padding=1)

    def forward(self, stack, time):
        inner = self.into(stack) + self.when(time[:, None])[:, :, None, None]
        return self.out(self.drop(torch.relu(self.deep(torch.relu(inner)))))


class Flow:
    """Straight paths from noise to the target, given the source; translated in a few steps.

    Args:
        rounds: how many.
    """

    slots: ClassVar = MethodSlots(
        generators={"velocity": GeneratorSlot(("source", "target"), needs=frozenset({"time"}))},
        exported=("velocity",),
        losses={},
        translates_with=("generators.velocity",),
    )
    test = TestSettings()

    def __init__(self, networks, losses, *, rounds: int = 3) -> None:
        self.velocity = networks.generators["velocity"]
        self.terms = losses.of("paired-loss")
        self.rounds = rounds

    def step(self, batches, run):
        parts = len(batches)
        return run.update("generators", (self.moving(b, n, run) for n, b in enumerate(batches)), parts=parts)

    def moving(self, batch, number, run):
        rng = generator_for(run.seed, "flow", run.step, number)
        noise = torch.randn(batch.target.shape, generator=rng)
        time = torch.rand(len(noise), generator=rng)
        part = time[:, None, None, None]
        between = (1 - part) * noise + part * batch.target
        found = self.velocity(torch.cat((batch.source, between), dim=1), time)
        moved = batch.target - noise
        parts = {term.name: term(found, moved, batch=batch, run=run) for term in self.terms}
        return sum(term.weighted(parts[term.name]) for term in self.terms), parts

    def translate(self, source):
        modes = [(part, part.training) for part in self.velocity.modules()]
        self.velocity.eval()
        last = [*self.velocity.parameters()][-1]  # the bias of the last convolution
        picture = torch.randn(len(source), len(last), *source.shape[-2:])
        for number in range(self.rounds):
            time = torch.full((len(source),), number / self.rounds)
            picture = picture + self.velocity(torch.cat((source, picture), dim=1), time) / self.rounds
        for part, mode in modes:
            part.training = mode
        return picture.clamp(-1, 1)
