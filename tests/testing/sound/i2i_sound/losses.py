import torch
from torch.nn import functional as F


class Distance:
    """(fake, real), both (B,C,H,W) -> a scalar.

    Args:
        delta: where the parabola ends.
    """

    def __init__(self, *, delta: float = 0.5) -> None:
        self.delta = delta

    def __call__(self, fake, real):
        fake, real = fake.float(), real.float()
        return F.huber_loss(fake, real, delta=self.delta)


class Fading(torch.nn.Module):
    """L1, of which bright sources count more, and everything less from step to step."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lightest", torch.ones(()))

    def forward(self, fake, real, *, source, step):
        light = (source.float() + self.lightest).mean(dim=(1, 2, 3), keepdim=True)
        return ((fake.float() - real.float()).abs() * light).mean() / (1 + step / 1000)


class Game:
    """Cross-entropy over lists of maps."""

    def generator(self, fake, real):
        fake = [m.float() for m in fake]
        return torch.stack([F.softplus(-m).mean() for m in fake]).mean()

    def discriminator(self, fake, real):
        fake, real = [m.float() for m in fake], [m.float() for m in real]
        halves = [F.softplus(f).mean() + F.softplus(-r).mean() for f, r in zip(fake, real)]
        return torch.stack(halves).mean() / 2

    def accuracy(self, fake, real):
        found = torch.stack([(m < 0).float().mean() for m in fake]).mean()
        return found, torch.stack([(m > 0).float().mean() for m in real]).mean()


class Match:
    """L1 of features, the mean over layers and scales."""

    requires = {"features": "sound/match needs discriminators that hand out features"}

    def __call__(self, fake, real):
        scales = [torch.stack([F.l1_loss(f, r) for f, r in zip(a, b)]).mean() for a, b in zip(fake, real)]
        return torch.stack(scales).mean()


class Slope:
    """Half the squared slope at real images."""

    def __call__(self, judge, real, fake):
        image = real.detach().float().requires_grad_(True)
        with torch.autocast("cpu", enabled=False):
            scores = torch.stack([m.float().flatten(1).mean(dim=1) for m in judge(image)]).mean(dim=0)
            (slope,) = torch.autograd.grad(scores.sum(), image, create_graph=True)
        return slope.square().flatten(1).sum(dim=1).mean() / 2


class Masked:
    """Mean squared difference of (fake, real) where the mask is set, (B,1,H,W) of 0 and 1."""

    requires = {"extra:mask": "sound/masked needs a mask of each picture"}

    def __call__(self, fake, real, *, mask):
        return ((fake - real).float().square() * mask).mean()
