import torch
from torch import nn
from torch.nn import functional as F

from i2i import testtime
from i2i.kinds import GeneratorSlot, MethodSlots, NetworkSlot, TestSettings


class Encoder(nn.Module):
    """(B,in_channels,H,W) to what it sees (B,4,h,w), with a norm that gathers statistics."""

    groups = {"body": "body", "colour": ("colour",)}

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 4, 4, stride=2, padding=1), nn.BatchNorm2d(4))
        self.colour = nn.Linear(4, in_channels)

    def forward(self, image):
        return self.body(image)

    def guess(self, image):
        return self.colour(self(image).mean(dim=(2, 3)))


class Clumsy(Encoder):
    groups = {"all": ("body", "colour"), "colour": ("colour",)}


class Taught:
    """In the stage `first` the encoder learns to tell colours; in others the generator learns from it."""

    slots = MethodSlots(
        generators={"main": GeneratorSlot()},
        exported="main",
        networks={"encoder": NetworkSlot(reads="target")},
    )
    test = TestSettings()

    def __init__(self, networks, losses) -> None:
        self.generator, self.encoder = networks.generators["main"], networks.others["encoder"]
        self.losses = losses

    def step(self, batches, run):
        logs = run.update("networks", map(self._telling, batches), parts=len(batches))
        if run.stage == "first":
            return logs
        with run.frozen(self.encoder):
            return logs | run.update(
                "generators", (self._resembling(b, run) for b in batches), parts=len(batches)
            )

    def translate(self, source):
        with testtime.applied(self.generator, self.test):
            return self.generator(source)

    def _telling(self, batch):
        score = F.mse_loss(self.encoder.guess(batch.target), batch.target.mean(dim=(2, 3)))
        return score, {"colour": score}

    def _resembling(self, batch, run):
        fake = self.generator(batch.source)
        alike = F.l1_loss(self.encoder(fake), self.encoder(batch.target))
        given = {"batch": batch, "run": run}
        parts = {t.name: t(fake, batch.target, **given) for t in self.losses.of("paired-loss")}
        weighted = [self.losses[name].weighted(part) for name, part in parts.items()]
        return torch.stack([alike, *weighted]).sum(), {**parts, "alike": alike}
