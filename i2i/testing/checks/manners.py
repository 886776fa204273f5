"""Good manners, of whatever kind a component is: it leaves alone what is not its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from i2i.seeds import seeded
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import BUILDABLE, NETWORKS, Subject
from i2i.testing.surroundings import RANDOM, SETTINGS, TORCH, changed, read
from i2i.testing.uses import USES, tensors_in

MANNERS = ("settings-untouched", "inputs-untouched")
"""What spoils all that comes after it in a check, and is told once."""

SILENT = ("data", "transform", "metric", "schedule")
"""The kinds that draw nothing from torch's global generator once they are built."""


@check("settings-untouched", *USES, needs=["works"])
def settings_untouched(subject: Subject) -> None:
    """It changes no setting of the process: threads, default dtype, grad mode, deterministic mode."""
    before = read(SETTINGS)
    _used(subject)
    for name in changed(SETTINGS, before):
        fail(f"it changes {name}, which is everybody's: put it back, or use a context manager of torch's")


@check("random-state-untouched", *USES, needs=["works", "settings-untouched"])
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


@check("inputs-untouched", *USES, needs=["works", "settings-untouched"])
def inputs_untouched(subject: Subject) -> None:
    """It changes none of its inputs in place."""
    use = USES[subject.kind]
    precisions = (nullcontext(), _Half()) if subject.kind in NETWORKS else (nullcontext(),)
    for precision in precisions:
        component = use.make(subject)
        inputs = use.inputs(subject, component)
        given = tuple(tensors_in(inputs))
        before = [(tensor.detach().clone(), tensor.requires_grad, tensor._version) for tensor in given]
        with seeded(0, "use"), precision:
            use.call(component, *inputs)
        _require_untouched(given, before)


class _Half(torch.autocast):
    """Autocast to bfloat16, in which another check looks at what a network raises."""

    def __init__(self) -> None:
        super().__init__("cpu", torch.bfloat16)

    def __exit__(self, *raised: Any) -> bool:
        super().__exit__(*raised)
        return raised[0] is not None and issubclass(raised[0], Exception)


def _require_untouched(given: Sequence[Tensor], before: Sequence[tuple[Tensor, bool, int]]) -> None:
    """End the check where a tensor is no longer as it was `before`: its value, its gradient, its version."""
    for tensor, (value, wanted, version) in zip(given, before, strict=True):
        # What is written in place may be what was there, this time.
        require(
            torch.equal(tensor, value) and tensor._version == version,
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
