"""Good manners, of whatever kind a component is: it leaves alone what is not its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from i2i.seeds import seeded
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import BUILDABLE, Subject
from i2i.testing.surroundings import RANDOM, SETTINGS, TORCH, changed, read
from i2i.testing.uses import USES, tensors_in

SILENT = ("data", "transform", "metric", "schedule")
"""The kinds that draw nothing from torch's global generator once they are built."""


@check("settings-untouched", *USES, needs=["works"])
def settings_untouched(subject: Subject) -> None:
    """It changes no setting of the process: threads, default dtype, grad mode, deterministic mode."""
    before = read(SETTINGS)
    _used(subject)
    for name in changed(SETTINGS, before):
        fail(f"it changes {name}, which is everybody's: put it back, or use a context manager of torch's")


@check("random-state-untouched", *USES, needs=["works"])
def random_state_untouched(subject: Subject) -> None:
    """It seeds no global generator, and takes its draws from where the engine expects them."""
    use = USES[subject.kind]
    component = use.make(subject)
    if subject.kind in BUILDABLE:
        _draws(subject.construct)
    drew = _draws(lambda: use.call(component, *use.inputs(subject, component)))
    require(
        not drew or subject.kind not in SILENT,
        f"it draws from {TORCH} when it is used: use the generator it is given, or one of its own "
        "with a fixed seed",
    )


@check("inputs-untouched", *USES, needs=["works"])
def inputs_untouched(subject: Subject) -> None:
    """It changes none of its inputs in place."""
    use = USES[subject.kind]
    component = use.make(subject)
    inputs = use.inputs(subject, component)
    before = [(tensor.detach().clone(), tensor.requires_grad) for tensor in tensors_in(inputs)]
    with seeded(0, "use"):
        use.call(component, *inputs)
    for tensor, (value, wanted) in zip(tensors_in(inputs), before, strict=True):
        require(
            torch.equal(tensor, value),
            "it changes its input in place, which others still need: use the form without a trailing "
            "underscore, or a clone",
        )
        require(
            tensor.requires_grad == wanted,
            "it switches gradients on or off on its input itself: do so on input.detach()",
        )


def _draws(act: Callable[[], Any]) -> bool:
    """Whether `act` draws from torch's global generator; it may neither seed it nor draw from another."""
    after, drew = [], False
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = read(RANDOM)
        act()
        for name in changed(RANDOM, before):
            require(
                name == TORCH,
                f"it draws from or seeds {name}, which the engine does not seed: use torch's generators",
            )
            drew = True
        after.append(read(RANDOM)[TORCH])
    require(
        after[0] != after[1],
        f"it seeds {TORCH}: take the call out, the engine seeds each slot and each step",
    )
    return drew


def _used(subject: Subject) -> Any:
    use = USES[subject.kind]
    component = use.make(subject)
    with seeded(0, "use"):
        return use.call(component, *use.inputs(subject, component))


CHECKS = (settings_untouched, random_state_untouched, inputs_untouched)
