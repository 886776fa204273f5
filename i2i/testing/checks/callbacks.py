"""What a callback promises: events that the engine calls, a state that survives, no hand in the training."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from i2i.engine.session import Session
from i2i.errors import did_you_mean
from i2i.kinds import CALLBACK_EVENTS
from i2i.runs import state
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import attend, callback_session


@check("events", "callback", needs=["builds"])
def events(subject: Subject) -> None:
    """It has at least one of the events that the engine calls, each with the arguments that it is given."""
    built = subject.shared
    there = [event for event in CALLBACK_EVENTS if callable(getattr(built, event, None))]
    for name in _methods(built):
        close = did_you_mean(name, CALLBACK_EVENTS)
        require(
            name in CALLBACK_EVENTS or not close or not name.startswith(("run_", "step_", "eval_", "on_")),
            f"the engine never calls '{name}'{close}",
        )
    known = ", ".join(CALLBACK_EVENTS)
    require(there, f"it has none of the events that the engine calls: define one of {known}")
    for event in there:
        try:
            inspect.signature(getattr(built, event)).bind(*CALLBACK_EVENTS[event])
        except TypeError as error:
            arguments = ", ".join(CALLBACK_EVENTS[event])
            fail(f"{event}() cannot be called as {event}({arguments}): {error}")


@check("any-end", "callback", needs=["works", "settings-untouched"])
def any_end(subject: Subject) -> None:
    """It lives through a run that fails before its first step: run_end is given the error."""
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        session = callback_session(subject, Path(folder))
        callback = subject.build()
        for event, details in (("run_start", ()), ("run_end", (RuntimeError("out of luck"),))):
            if not hasattr(callback, event):
                continue
            try:
                getattr(callback, event)(session.run, *details)
            except Exception as error:
                fail(
                    f"in a run that fails before its first step, {event}() raises {told(error)}: let it do "
                    "without what later events bring"
                )


@check("logs-untouched", "callback", needs=["works", "settings-untouched"])
def logs_untouched(subject: Subject) -> None:
    """It changes neither the logs nor the figures that it is shown."""
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        session = callback_session(subject, Path(folder))
        attend(_Guarded(subject.build()), session)


class _Guarded:
    """A callback whose events end the check where they change what they are given."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        event = getattr(self._callback, name)

        def guarded(run: Any, *given: Any) -> None:
            before = [_frozen(value) for value in given]
            event(run, *given)
            require(
                before == [_frozen(value) for value in given],
                f"{name}() changes what it is given, which is also what is written down: make a copy of it",
            )

        return guarded


def _frozen(value: Any) -> Any:
    return {name: float(part) for name, part in value.items()} if isinstance(value, Mapping) else value


@check("state", "callback", needs=["works", "settings-untouched"])
def callback_state(subject: Subject) -> None:
    """Its state, if it has any, is tensors and JSON values, and another one can take it over."""
    callback, other = subject.build(), subject.build()
    saves, loads = (hasattr(callback, name) for name in ("state_dict", "load_state_dict"))
    require(
        saves == loads,
        f"it has {'state_dict' if saves else 'load_state_dict'} without the other: define both",
    )
    if not saves:
        return
    try:
        state.of(callback)
    except Exception as error:
        fail(
            f"asked for its state before its first event it raises {told(error)}: let __init__ set all that "
            "it returns"
        )
    _attended(callback, subject)
    try:
        tensors, skeleton = state.pack(state.of(callback))
    except TypeError as error:
        fail(f"its state cannot be saved ({told(error)}): return tensors and JSON values from state_dict()")
    state.restore(other, state.unpack(tensors, skeleton))
    require(
        _same(state.of(other), state.of(callback)),
        "loaded into another one, its state is not what was saved: let load_state_dict take over all of it",
    )


@check("leaves-training-alone", "callback", needs=["works", "settings-untouched"])
def leaves_training_alone(subject: Subject) -> None:
    """With it a run ends on the same weights as without."""
    alone, attended = _attended(object(), subject), _attended(subject.build(), subject)
    for path, network in alone.networks.modules():
        other = dict(attended.networks.modules())[path].state_dict()
        for name, value in network.state_dict().items():
            require(
                torch.equal(value, other[name]),
                f"with it '{path}.{name}' comes out otherwise: look at networks under torch.no_grad and in "
                "eval mode, put back what was, and draw from a generator of its own",
            )


def _attended(callback: Any, subject: Subject) -> Session:
    """Run a tiny session to its end with `callback` and return it."""
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        session = callback_session(subject, Path(folder))
        attend(callback, session)
    return session


def _methods(built: Any) -> list[str]:
    return [name for name in dir(built) if not name.startswith("_") and callable(getattr(built, name))]


def _same(one: Any, other: Any) -> bool:
    """Whether two states are equal, tensors by value."""
    first, second = state.pack(one), state.pack(other)
    equal = [torch.equal(value, second[0][name]) for name, value in first[0].items() if name in second[0]]
    return first[1] == second[1] and len(equal) == len(first[0]) and all(equal)


CHECKS = (events, any_end, logs_untouched, callback_state, leaves_training_alone)
