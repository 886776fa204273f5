"""What optimizers and schedules promise: the learning rate is obeyed, the step alone decides its factor."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i.runs import state
from i2i.seeds import seeded
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject

TOTAL, EPOCH = 20, 5
LONG, LEAST = 100_000, 0.01
"""Steps of a long run, and a factor that is reached at some time in it."""


@check("optimizer", "optimizer", needs=["works", "settings-untouched", "random-state-untouched"])
def optimizer(subject: Subject) -> None:
    """It is a torch.optim.Optimizer over all the parameters, of any iterable, with or without gradients."""
    params = _parameters()
    built = subject.build(params=iter(params))
    require(
        isinstance(built, Optimizer),
        f"it returns a {type(built).__name__}: return a torch.optim.Optimizer",
    )
    held = [id(parameter) for group in built.param_groups for parameter in group["params"]]
    require(
        sorted(held) == sorted(id(parameter) for parameter in params),
        f"it holds {len(held)} of {len(params)} parameters: make a list of `params` once and pass on all of "
        "it",
    )
    for group in built.param_groups:
        require(
            isinstance(group.get("lr"), float),
            f"the learning rate 'lr' of a group is {group.get('lr')!r}: give each a plain number, which "
            "schedules multiply",
        )
    for parameter in params:
        parameter.grad = torch.ones_like(parameter)
    built.zero_grad(set_to_none=True)
    require(
        all(parameter.grad is None for parameter in params),
        "its zero_grad(set_to_none=True) leaves gradients, which the next step's are added to: leave it "
        "to torch",
    )
    built.step()


@check("minimises", "optimizer", needs=["optimizer"])
def minimises(subject: Subject) -> None:
    """Its steps lower what they are to minimise."""
    params = _parameters()
    built = subject.build(params=params)
    before = _cost(params).item()
    _steps(built, params, 20)
    after = _cost(params).item()
    require(
        after < before,
        f"20 steps take a parabola from {before:.4g} to {after:.4g}: step against the gradient",
    )


@check("obeys-lr", "optimizer", needs=["optimizer"])
def obeys_lr(subject: Subject) -> None:
    """Its groups have the `lr` that it is given; with 0, as a schedule may set it, nothing changes."""
    if "lr" in subject.schema.names:
        rates = [
            [
                group["lr"]
                for group in replace(subject, params={**subject.params, "lr": lr}).build().param_groups
            ]
            for lr in (1e-3, 2e-3)
        ]
        require(
            all(one != other for one, other in zip(*rates, strict=True)),
            f"with lr = 0.001 and with lr = 0.002 its groups have a learning rate of {rates[0][0]:g}: pass "
            "its parameter on",
        )
    params = _parameters()
    built = subject.build(params=params)
    for group in built.param_groups:
        group["lr"] = 0.0
    before = [parameter.detach().clone() for parameter in params]
    _steps(built, params, 2)
    require(
        all(map(torch.equal, before, params)),
        "with a learning rate of 0 weights change: read group['lr'] at every step, and scale decay by it",
    )


@check("optimizer-resumes", "optimizer", needs=["optimizer"])
def optimizer_resumes(subject: Subject) -> None:
    """Its state, saved and loaded, leads to the same weights, bit for bit."""
    whole = _parameters()
    first = subject.build(params=whole)
    _steps(first, whole, 3)
    params = [nn.Parameter(parameter.detach().clone()) for parameter in whole]
    second = subject.build(params=params)
    try:
        tensors, skeleton = state.pack(copy.deepcopy(first.state_dict()))
    except TypeError as error:
        fail(f"its state cannot be saved ({told(error)}): keep tensors and JSON values in `state`")
    state.restore(second, state.unpack(tensors, skeleton))
    _steps(first, whole, 3)
    _steps(second, params, 3)
    require(
        all(map(torch.equal, whole, params)),
        "saved and loaded half-way it leads elsewhere: keep all that it remembers in `state` and "
        "`param_groups`",
    )


@check("factor", "schedule", needs=["works", "settings-untouched", "random-state-untouched"])
def factor(subject: Subject) -> None:
    """It gives a finite number from 0 up for every step of a run, short or long, and some far from 0."""
    for total, epoch in ((TOTAL, EPOCH), (1, 1)):
        schedule = subject.build(total_steps=total, steps_per_epoch=epoch)
        for step in range(total):
            value = schedule(step)
            require(
                isinstance(value, (int, float)) and math.isfinite(value) and value >= 0,
                f"at step {step} of {total} it gives {value!r}: give a number from 0 up, which the learning "
                "rate is multiplied by",
            )
    schedule = subject.build(total_steps=LONG, steps_per_epoch=LONG // 100)
    reached = [schedule(step) for step in (*range(TOTAL), *range(TOTAL, LONG, LONG // 200))]
    require(
        all(math.isfinite(value) and value >= 0 for value in reached),
        f"in a run of {LONG} steps it gives {min(reached):g} to {max(reached):g}: give finite numbers "
        "from 0 up",
    )
    require(
        max(reached[1:]) >= LEAST,
        f"in a run of {LONG} steps it gives {max(reached[1:]):g} at the most after its first, so next to "
        "nothing is learnt: give a factor on the learning rate, not the rate, and divide with / rather "
        "than //",
    )


@check("depends-on-step", "schedule", needs=["factor"])
def depends_on_step(subject: Subject) -> None:
    """The factor at a step does not depend on which steps it was asked for before."""
    forth, back = subject.build(), subject.build()
    there = [forth(step) for step in range(TOTAL)]
    again = [back(step) for step in reversed(range(TOTAL))][::-1]
    require(
        there == again,
        "asked in another order it gives other factors, so a resumed run would differ: compute the factor "
        "from the step alone",
    )


@check("observes", "schedule", needs=["factor"])
def observes(subject: Subject) -> None:
    """One that listens to validations says which figure it watches, and its state can be saved."""
    schedule, other = subject.build(), subject.build()
    if not hasattr(schedule, "observe"):
        return
    watched = getattr(schedule, "watches", "some figure")
    require(isinstance(watched, str), f"its `watches` is {watched!r}: name the figure that it needs")
    try:
        schedule.observe({watched: 1.0})
    except KeyError as error:
        fail(f"observe() asks for the figure {error}, and `watches` does not name it: set that attribute")
    require(
        hasattr(schedule, "state_dict") and hasattr(schedule, "load_state_dict"),
        "it remembers validations and has no state: define state_dict() and load_state_dict(state)",
    )
    for value in (1.0, 0.5, *[0.6] * 12, 0.1):
        schedule.observe({watched: value})
    try:
        tensors, skeleton = state.pack(schedule.state_dict())
        json.dumps(skeleton)
    except (TypeError, ValueError) as error:
        fail(f"its state cannot be saved ({told(error)}): return tensors and JSON values from state_dict()")
    state.restore(other, state.unpack(tensors, skeleton))
    for listening in (schedule, other):
        for _ in range(12):
            listening.observe({watched: 0.2})
    require(
        [schedule(step) for step in range(TOTAL)] == [other(step) for step in range(TOTAL)],
        "with the state of another it gives other factors: let load_state_dict take over all of it",
    )


def _parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3)), nn.Parameter(torch.ones(3))]


def _cost(params: list[nn.Parameter]) -> Tensor:
    return torch.stack([(parameter - 3).square().sum() for parameter in params]).sum()


def _steps(built: Any, params: list[nn.Parameter], count: int) -> None:
    for number in range(count):
        built.zero_grad()
        _cost(params).backward()  # type: ignore[no-untyped-call]
        with seeded(number, "step"):  # as the engine does, for those that draw noise
            built.step()


CHECKS = (
    optimizer,
    minimises,
    obeys_lr,
    optimizer_resumes,
    factor,
    depends_on_step,
    observes,
)
