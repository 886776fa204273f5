from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn


class Walk(torch.optim.Optimizer):
    """Gradient descent with momentum."""

    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                kept = self.state[parameter].get("kept", torch.zeros_like(parameter))
                self.state[parameter]["kept"] = kept = group["momentum"] * kept + parameter.grad
                parameter.sub_(group["lr"] * kept)


def walk(
    params: Iterable[nn.Parameter], *, lr: Annotated[float, Gt(0)] = 0.01, momentum: float = 0.5
) -> torch.optim.Optimizer:
    """Gradient descent with momentum.

    Args:
        lr: learning rate.
        momentum: how much of the last step is kept.
    """
    return Walk(params, lr, momentum)


class Fade:
    """Down in a line, and by a half when the figure does not fall.

    Args:
        end: where the line leads to.
    """

    watches = "error"

    def __init__(self, total_steps: int, *, end: float = 0.1) -> None:
        self.total, self.end = total_steps, end
        self.best, self.cuts = None, 0

    def __call__(self, step):
        return (1 - (1 - self.end) * step / self.total) * 0.5**self.cuts

    def observe(self, metrics):
        value = metrics[self.watches]
        if self.best is not None and value >= self.best:
            self.cuts += 1
        self.best = value if self.best is None else min(value, self.best)

    def state_dict(self):
        return {"best": self.best, "cuts": self.cuts}

    def load_state_dict(self, state):
        self.best, self.cuts = state["best"], state["cuts"]
