"""Park et al. 2020 (CUT), in small: no pairs, and a patch of a fake resembles its own patch of the source."""

import torch
from torch import nn
from torch.nn import functional as F

from i2i import testtime
from i2i.kinds import DiscriminatorSlot, GeneratorSlot, MethodSlots, NetworkSlot, TestSettings
from i2i.seeds import generator_for


class Head(nn.Module):
    """An MLP for each feature: vectors at some places (N, channels) to unit vectors (N, width)."""

    def __init__(self, *, feature_channels: tuple[int, ...], width: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))
            for channels in feature_channels
        )

    def forward(self, features, places):
        picked = (f.flatten(2)[:, :, at % f[0, 0].numel()] for f, at in zip(features, places, strict=True))
        vectors = (p.permute(0, 2, 1).flatten(0, 1) for p in picked)
        return [F.normalize(layer(v), dim=1) for layer, v in zip(self.layers, vectors, strict=True)]


class Deaf(nn.Module):
    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.only = nn.Linear(in_channels, 1)


class Contrast:
    slots = MethodSlots(
        generators={"main": GeneratorSlot(needs=frozenset({"features"}))},
        exported="main",
        discriminators={"judge": DiscriminatorSlot(condition=None)},
        networks={"head": NetworkSlot(on="generators.main"), "spare": NetworkSlot(required=False)},
        loss_kinds=frozenset({"adversarial-loss"}),
    )
    test = TestSettings()

    def __init__(self, networks, losses, *, patches: int = 8) -> None:
        self.generator, self.judge = networks.generators["main"], networks.judges["judge"]
        self.head, self.patches = networks.others["head"], patches
        (self.game,) = losses.of("adversarial-loss")

    def step(self, batches, run):
        logs = dict(
            run.update("discriminators", (self._judging(b, run) for b in batches), parts=len(batches))
        )
        rng = generator_for(run.seed, "patches", run.step)
        with run.frozen(self.judge.module):
            both = (self._translating(batch, rng, run) for batch in batches)
            return logs | run.update_together(("generators", "networks"), both, parts=len(batches))

    def translate(self, source):
        with testtime.applied(self.generator, self.test):
            return self.generator(source)

    def _judging(self, batch, run):
        with torch.no_grad():
            fake = self.generator(batch.source)
        maps = self.judge.maps(fake), self.judge.maps(batch.target)
        score = self.game.discriminator(*maps, batch=batch, run=run)
        return score, {"discriminators.judge": score}

    def _translating(self, batch, rng, run):
        fake = self.generator(batch.source)
        fooled = self.game.generator(self.judge.maps(fake), [], batch=batch, run=run)
        seen, wanted = self.generator.features(fake), self.generator.features(batch.source)
        places = [torch.randint(10**6, (self.patches,), generator=rng) for _ in seen]
        pairs = zip(self.head(seen, places), self.head(wanted, places), strict=True)
        apart = sum(F.cross_entropy(a @ b.T / 0.07, torch.arange(len(a))) for a, b in pairs)
        return {
            "generators": (self.game.weighted(fooled) + apart, {"fooled": fooled}),
            "networks": (apart, {"nce": apart}),
        }
