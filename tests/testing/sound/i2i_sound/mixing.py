from dataclasses import replace

import torch


class Cut:
    """Rows from the top of another pair, on both sides, in half of the draws."""

    def __call__(self, pair, *, size, rng, another):
        if torch.rand((), generator=rng) < 0.5:
            return pair
        other, height = another(), pair.target.shape[-2]
        rows = int(torch.randint(1, height // 2, (), generator=rng))
        sides = ((other.source, pair.source), (other.target, pair.target))
        source, target = (torch.cat([top[:, :rows], own[:, rows:]], dim=1) for top, own in sides)
        return replace(pair, target=target, source=source)


class Slopes:
    """How fast the light of the source changes from left to right, as one more channel."""

    def spec(self, spec):
        return replace(spec, source=replace(spec.source, channels=spec.source.channels + 1))

    def __call__(self, pair, *, size, rng):
        light = pair.source.mean(dim=0, keepdim=True)
        slopes = torch.diff(light, dim=-1, append=light[..., -1:]) / 2
        return replace(pair, source=torch.cat([pair.source, slopes]))
