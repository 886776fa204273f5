"""Optimizers: defaults, what they accept, and that fused steps hit the right weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from i2i.core.optim import adam, adamw, sgd
from i2i.runs import state

if TYPE_CHECKING:
    from collections.abc import Callable

FACTORIES = [adam, adamw, sgd]


def train(optimizer: torch.optim.Optimizer, weight: nn.Parameter, steps: range) -> None:
    for step in steps:
        rng = torch.Generator().manual_seed(step)
        gradient = torch.randn(weight.shape, generator=rng)
        weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()


def start(layout: torch.memory_format) -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 8 * 4 * 9).reshape(8, 4, 3, 3).to(memory_format=layout))


def test_adam_starts_from_the_settings_of_pix2pix() -> None:
    defaults = adam(nn.Linear(2, 2).parameters()).defaults
    assert defaults["lr"] == 2e-4
    assert defaults["betas"] == (0.5, 0.999)
    assert defaults["weight_decay"] == 0


def test_adamw_decays_weights_and_adam_does_not() -> None:
    for factory, shrinks in ((adam, False), (adamw, True)):
        weight = nn.Parameter(torch.ones(3))
        weight.grad = torch.zeros(3)
        factory([weight], lr=0.1).step()
        assert (weight < 1).all().item() is shrinks


def test_sgd_with_momentum_by_hand() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = sgd([weight], lr=0.1, momentum=0.5)
    for _ in range(2):
        weight.grad = torch.ones(1)
        optimizer.step()
    assert weight.item() == pytest.approx(-0.1 - 0.15)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        sgd(nn.Linear(2, 2).parameters(), momentum=0.0, nesterov=True)


@pytest.mark.parametrize("factory", FACTORIES)
class TestEveryOptimizer:
    def test_parameters_may_come_from_a_generator(
        self, factory: Callable[..., torch.optim.Optimizer]
    ) -> None:
        net = nn.Linear(3, 2)
        optimizer = factory(parameter for parameter in net.parameters())
        assert len(optimizer.param_groups[0]["params"]) == 2
        assert optimizer.defaults["fused"] is True

    def test_on_a_device_without_fused_kernels_it_is_still_made(
        self, factory: Callable[..., torch.optim.Optimizer]
    ) -> None:
        optimizer = factory(nn.Linear(3, 2, device="meta").parameters())
        assert optimizer.defaults["fused"] is None

    def test_channels_last_weights_take_the_same_steps(
        self, factory: Callable[..., torch.optim.Optimizer]
    ) -> None:
        plain, last = start(torch.contiguous_format), start(torch.channels_last)
        for weight in (plain, last):
            train(factory([weight], lr=0.1), weight, range(4))
        torch.testing.assert_close(last, plain)

    def test_loaded_state_lies_as_its_weights_do(self, factory: Callable[..., torch.optim.Optimizer]) -> None:
        whole, halves = start(torch.channels_last), start(torch.channels_last)
        train(factory([whole], lr=0.1), whole, range(4))
        first = factory([halves], lr=0.1)
        train(first, halves, range(2))
        second = factory([halves], lr=0.1)
        state.restore(second, contiguous(first.state_dict()))
        train(second, halves, range(2, 4))
        assert torch.equal(halves, whole)


def contiguous(state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state as a file gives it back: every tensor contiguous."""
    weights = {
        index: {
            name: value.clone(memory_format=torch.contiguous_format)
            if isinstance(value, torch.Tensor)
            else value
            for name, value in entry.items()
        }
        for index, entry in state["state"].items()
    }
    return {**state, "state": weights}


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (5, 3, 1, 1), (1, 7, 4, 4), (6,), (4, 3)])
@pytest.mark.parametrize(
    ("factory", "torchs_own"),
    [
        (adam, lambda p: torch.optim.Adam(p, lr=2e-4, betas=(0.5, 0.999), fused=True)),
        (adamw, lambda p: torch.optim.AdamW(p, lr=2e-4, betas=(0.5, 0.999), fused=True)),
        (sgd, lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, fused=True)),
    ],
)
def test_channels_last_weights_step_as_torchs_own_do_and_stay_as_they_lie(factory, torchs_own, shape) -> None:
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    mine, theirs = (
        nn.Parameter(torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape).to(memory_format=layout))
        for _ in range(2)
    )
    before = mine.data_ptr()
    optimizers = factory([mine], **({"momentum": 0.9} if factory is sgd else {})), torchs_own([theirs])
    for optimizer, weight in zip(optimizers, (mine, theirs), strict=True):
        train(optimizer, weight, range(5))
    assert torch.equal(mine, theirs)
    assert (mine.shape, mine.stride(), mine.data_ptr()) == (theirs.shape, theirs.stride(), before)
    assert mine.grad is not None
    assert mine.grad.shape == mine.shape
    for key, value in optimizers[0].state[mine].items():
        expected = optimizers[1].state[theirs][key]
        assert torch.equal(value, expected)
        assert (value.shape, value.stride()) == (expected.shape, expected.stride())


def test_a_step_that_fails_leaves_weights_as_they_lie() -> None:
    weight = start(torch.channels_last)
    optimizer = adam([weight])
    train(optimizer, weight, range(1))

    def fails(*arguments: object) -> None:
        raise RuntimeError("no step")

    optimizer.register_step_pre_hook(fails)
    with pytest.raises(RuntimeError, match="no step"):
        train(optimizer, weight, range(1, 2))
    assert weight.shape == (8, 4, 3, 3)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert optimizer.state[weight]["exp_avg"].shape == weight.shape


def test_a_closure_sees_the_weights_as_they_are_and_hooks_come_once() -> None:
    torch.optim.Adam([nn.Parameter(torch.zeros(1))])  # whose step torch has wrapped from then on
    weight = start(torch.channels_last)
    optimizer, seen, hooks = adam([weight]), list[torch.Size](), list[int]()
    optimizer.register_step_post_hook(lambda *about: hooks.append(1))

    def closure() -> torch.Tensor:
        seen.append(weight.shape)
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(2):
        optimizer.step(closure)
    assert seen == [torch.Size((8, 4, 3, 3))] * 2
    train(optimizer, weight, range(2))
    assert len(hooks) >= 4
    before = len(hooks)
    train(optimizer, weight, range(1))
    assert len(hooks) == before + 1
