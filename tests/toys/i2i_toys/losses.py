import torch
from torch.nn import functional as F


class Huber:
    def __init__(self, *, delta: float = 0.5) -> None:
        self.delta = delta

    def __call__(self, fake, real):
        return F.huber_loss(fake.float(), real.float(), delta=self.delta)


class Margin:
    requires = {"penalty": "toys/margin needs a penalty: without one its judge is unbounded"}

    def generator(self, fake, real):
        return -torch.stack([m.float().mean() for m in fake]).mean()

    def discriminator(self, fake, real):
        return (
            torch.stack([F.relu(1 + f).mean() + F.relu(1 - r).mean() for f, r in zip(fake, real)]).mean() / 2
        )


class Features:
    requires = {"features": "toys/features needs a discriminator that hands out features"}

    def __call__(self, fake, real):
        pairs = [(f, r) for a, b in zip(fake, real) for f, r in zip(a, b)]
        return torch.stack([F.l1_loss(f.float(), r.float()) for f, r in pairs]).mean()


class Slope:
    def __call__(self, judge, real, fake):
        image = real.detach().requires_grad_(True)
        total = sum(m.float().sum() for m in judge(image))
        (gradient,) = torch.autograd.grad(total, image, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()


class Poison:
    """Harmless for `after` calls, then not a number; keeps count in its state."""

    def __init__(self, *, after: int = 3) -> None:
        self.after = after
        self.calls = 0

    def __call__(self, fake, real):
        self.calls += 1
        return (fake - real).abs().mean() * (float("nan") if self.calls > self.after else 1.0)

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]
