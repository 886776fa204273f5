"""What a training method promises of its translation: it is what its model files will answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.engine import stored
from i2i.engine.agreement import disagreement
from i2i.engine.session import Session
from i2i.errors import PluginError
from i2i.kinds import MethodSlots
from i2i.plugins.schema import choices_of
from i2i.seeds import seeded
from i2i.testing.checks.methods import modes_of, weights_of
from i2i.testing.outcomes import check, fail, require
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import batch, method_session

STEPS = 2
"""After how many steps a translation is looked at again: what it takes may be learnt in them."""

CLOSE = 1e-4
"""How far answers in [-1,1] may be apart: the same operations on the same weights."""


@check("translates", "method", needs=["logs"])
def translates(subject: Subject) -> None:
    """translate() gives what a model file would, after some steps too, and leaves modes and weights alone."""
    session = method_session(subject)
    _translates(subject, session, "")
    for number in range(STEPS):
        session.advance([batch(session, 2 * number, 2 * number + 1)])
    _translates(subject, session, f"after {STEPS} steps ")


@check("test-keys", "method", needs=["translates"])
def keys_at_test(subject: Subject) -> None:
    """Its test keys change no weights: with other values it learns the same, bit for bit."""
    usual = method_session(subject)
    usual.advance([batch(usual, 0, 1)])
    for key in subject.schema.parameters:
        for value in _others(subject, key.name) if key.at_test else ():
            params = {**subject.params, key.name: value}
            other = method_session(Subject(subject.entry, subject.catalog, params))
            other.advance([batch(other, 0, 1)])
            first, second = weights_of(usual), weights_of(other)
            require(
                all(torch.equal(tensor, second[name]) for name, tensor in first.items()),
                f"with {key.name} = {value!r} it learns other weights, and that key is marked AtTest: take "
                "the mark away, or use it in translate() alone",
            )


def _translates(subject: Subject, session: Session, when: str) -> None:
    source, target = batch(session, 0, 1).source, batch(session, 0, 1).target
    for _, network in session.networks.modules():
        next(network.children(), network).eval()  # so that a plain train() afterwards is found out
    before, modes = weights_of(session), modes_of(session)
    with torch.no_grad(), seeded(0, "translate"):
        out = session.method.translate(source)
    require(
        isinstance(out, Tensor) and out.shape == target.shape,
        f"translate() makes {tuple(getattr(out, 'shape', ()))} of {tuple(source.shape)}, and the target is "
        f"{tuple(target.shape)}: return what the exported generator gives",
    )
    require(
        modes == modes_of(session),
        "translate() leaves a network in another mode: use i2i.testtime.applied, which puts it back",
    )
    after = weights_of(session)
    require(
        all(torch.equal(value, after[name]) for name, value in before.items()),
        "translate() changes weights or running averages: run the generator in eval mode",
    )
    slots: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    held = "networks of `translates_with`" if slots.translates_with else "exported generator"
    try:
        models = stored.model_files(session)
    except PluginError as error:
        fail(f"its model cannot be written: {error.problems[0].message}")
    told = disagreement(session, lambda name: models[name].read(Path(name)), apart=CLOSE)
    require(
        not told,
        f"{when}translate() makes another image than the {held} under `test`, which is all that a model's "
        f"file holds ({told}): return the generator's answer as it is, under i2i.testtime.applied(generator, "
        "self.test), or name in `translates_with` all networks that it takes",
    )


def _others(subject: Subject, name: str) -> list[Any]:
    """Return values for a test key other than the one that it has, as far as some are easily thought of."""
    parameter = subject.schema[name]
    now = subject.bound.toml.get(name)
    tried: list[Any] = [not now] if isinstance(now, bool) else list(choices_of(parameter.annotation))
    if isinstance(now, int | float) and not isinstance(now, bool):
        tried += [now + 1, 2 * now]
    found = []
    for value in tried:
        try:
            parameter.parse(value)
        except ValueError:
            continue
        if value != now:
            found.append(value)
    return found[:1]


CHECKS = (translates, keys_at_test)
