"""What a method is made of: networks that the run knows, and what a recipe may leave out or have more of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from i2i.building.own_terms import asked, misfit
from i2i.context import Run
from i2i.kinds import LOSS_KINDS, DiscriminatorSlot, MethodSlots
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import batch, method_session

DEPTH = 6
"""How far attributes, lists and mappings within each other are looked into."""


@check("declares-networks", "method", needs=["logs"])
def declares_networks(subject: Subject) -> None:
    """It keeps no network, parameter or optimizer of its own, which no checkpoint would hold."""
    session = method_session(subject)
    session.advance([batch(session, 0, 1)])
    modules = [module for _, module in session.networks.modules()]
    modules += [term.loss for term in session.losses.terms if isinstance(term.loss, nn.Module)]
    known = {id(parameter) for module in modules for parameter in module.parameters()}
    optimizers = {id(optimizer) for optimizer in session.run.optimizers.values()}
    for where, part in _parts(session.method, "self", DEPTH, set()):
        if isinstance(part, torch.optim.Optimizer) and id(part) not in optimizers:
            fail(
                f"it has an optimizer of its own in {where}: let recipes name the optimizers, and train by "
                "run.update"
            )
        weights = part.parameters() if isinstance(part, nn.Module) else [part]
        if any(isinstance(weight, nn.Parameter) and id(weight) not in known for weight in weights):
            what = type(part).__name__
            fail(
                f"it has weights of its own in {where}, a {what}, which no checkpoint holds and no recipe "
                "sees: register it as a component of the kind network, declare it in `networks` of its "
                "`slots`, so that recipes have it as [networks.NAME], and take it from networks.others"
            )


@check("optional-losses", "method", needs=["logs"])
def optional_losses(subject: Subject) -> None:
    """It trains without each loss that its `slots` calls optional, and without all of them."""
    declared: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    optional = [name for name, wanted in declared.losses.items() if not wanted.required]
    choices = [(name,) for name in optional] + ([tuple(optional)] if len(optional) > 1 else [])
    for without in choices:
        try:
            session = method_session(subject, without=without)
            session.advance([batch(session, 0, 1)])
        except Exception as error:
            fail(
                f"without the loss {' and '.join(without)} it raises {told(error)}: ask `name in losses`, or "
                "let its LossSlot be required"
            )


@check("own-terms", "method", needs=["logs"])
def own_terms(subject: Subject) -> None:
    """What it says in `own_terms` is of losses that it takes, and of terms that it logs."""
    declared: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    session = method_session(subject)
    said = asked(subject.factory, session.recipe.method.params)
    if problem := misfit(said):
        fail(problem)
    logged = session.advance([batch(session, 0, 1)]).keys()
    for name, term in said.items():
        if name in LOSS_KINDS or name in declared.losses:
            kinds = {*declared.loss_kinds, *(wanted.kind for wanted in declared.losses.values())}
            require(
                name in kinds or name in declared.losses,
                f"its `own_terms` speaks of {name}, and its `slots` takes none: leave it out",
            )
            require(
                term.weight is None,
                f"its `own_terms` gives '{name}' a weight, and a loss has that of its table: leave it out",
            )
            continue
        require(
            term.weight is not None,
            f"its `own_terms` has '{name}', which is no loss that its `slots` names, and gives it no weight",
        )
        require(
            name in logged,
            f"its `own_terms` adds '{name}', and a step logs {', '.join(sorted(logged))}: call it as it is "
            "logged",
        )


@check("any-discriminators", "method", needs=["logs"])
def any_discriminators(subject: Subject) -> None:
    """Where it takes any number of discriminators, it trains with none and with two."""
    declared: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    if not isinstance(declared.discriminators, DiscriminatorSlot):
        return
    choices: Sequence[tuple[str, ...]] = ((), ("one", "two"))
    if "paired-loss" not in declared.loss_kinds or declared.losses:
        choices = choices[1:]  # without a discriminator it would have no loss
    for judges in choices:
        try:
            session = method_session(subject, judges=judges)
            session.advance([batch(session, 0, 1)])
        except Exception as error:
            fail(
                f"with {len(judges) or 'no'} discriminators it raises {told(error)}: go through "
                "networks.judges, or map names to DiscriminatorSlot in `slots`"
            )


def _parts(value: Any, where: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield every module, parameter and optimizer that can be reached from `value`, with the way there."""
    if id(value) in seen or depth < 0 or isinstance(value, Run):
        return
    seen.add(id(value))
    if isinstance(value, (nn.Module, nn.Parameter, torch.optim.Optimizer)) and where != "self":
        yield where, value
        return
    inside: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        inside = [(f"{where}[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = [(f"{where}[{number}]", item) for number, item in enumerate(value)]
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        inside = [(f"{where}.{name}", item) for name, item in vars(value).items()]
    for place, item in inside:
        yield from _parts(item, place, depth - 1, seen)
