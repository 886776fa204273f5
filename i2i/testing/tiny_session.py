"""A session of the real engine around one method or callback, on tiny networks and tiny data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from i2i.context import Run
from i2i.data.opening import open_data
from i2i.data.stream import HeldOutPairs, collate
from i2i.engine.session import Session
from i2i.errors import I2IError
from i2i.kinds import Batch, DiscriminatorSlot, MethodSlots
from i2i.plugins.catalog import Catalog
from i2i.system.device import resolve
from i2i.testing.subjects import Subject
from i2i.testing.tiny_plugin import with_tiny_data
from i2i.testing.tiny_run import TINY, load_table

CHANNELS = {"source_channels": 1, "target_channels": 3}
"""The sides differ, so that a method that takes one for the other is found out."""

CPU = resolve("cpu", "fp32")
GENERATOR = {"use": "unet", "depth": 2, "width": 4}
JUDGE = {"use": "patch", "layers": 1, "width": 4}
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "paired-loss": {"use": "l1"},
    "adversarial-loss": {"use": "lsgan"},
    "feature-loss": {"use": "feature-matching"},
    "penalty": {"use": "r1", "every": 2},
}
"""A component of core for each kind of loss that a method makes use of."""


def method_session(
    subject: Subject,
    *,
    judges: tuple[str, ...] | None = None,
    weights: Mapping[str, float] = {},
    parts: Mapping[str, str] = {},
    folder: Path | None = None,
    run: type[Run] = Run,
) -> Session:
    """Assemble what the method declares: networks for its slots, and one loss of each of its kinds.

    `judges` are the names of the discriminators where the method takes any number of them: one by default.
    Those that it names itself see the image alone, as it may have no pairs to take a condition from.
    `weights` are of losses, by name, in place of 1; `parts` are those of the target, "first" or "rest", that
    losses compare alone; `run` is what the method sees of the run.
    """
    slots: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    names = _judges(slots) if judges is None else judges
    free = isinstance(slots.discriminators, DiscriminatorSlot)
    table = {
        **copy.deepcopy(dict(TINY)),
        "data": {"use": "testing/pairs", "batch_size": 2, "parts": bool(parts), **CHANNELS},
        "generators": dict.fromkeys(slots.generators, GENERATOR),
        "discriminators": {name: {**JUDGE, "conditional": free} for name in names},
        "losses": {
            name: {**loss, "weight": weights.get(name, 1.0)} | _part(name, parts)
            for name, loss in _losses(slots, judged=bool(names)).items()
        },
        "method": {"use": subject.entry.ref, **subject.table},
    }
    if not names:
        del table["discriminators"], table["optimizers"]["discriminators"]
    return _session(table, subject.catalog, folder, run)


def callback_session(catalog: Catalog, folder: Path | None = None, *, run: type[Run] = Run) -> Session:
    """Return a session of the tiny recipe, in which a callback can be called."""
    return _session(TINY, catalog, folder, run)


class Unseeded(Run):
    """A run whose steps draw from torch's global generator as they find it."""

    def begin(self, step: int, epoch: float, *, ids: Sequence[str] = ()) -> None:
        with torch.random.fork_rng(devices=[]):
            super().begin(step, epoch, ids=ids)


def attend(callback: Any, session: Session, *, steps: int = 2) -> None:
    """Take `steps` steps and validate, and call the events of `callback` as the engine does."""

    def tell(event: str, *details: Any) -> None:
        if hasattr(callback, event):
            getattr(callback, event)(session.run, *details)

    tell("run_start")
    for number in range(steps):
        tell("step_end", session.advance([batch(session, 2 * number, 2 * number + 1)]))
    figures, _ = session.evaluate()
    tell("eval_end", dict(figures))
    tell("run_end", None)


def batch(session: Session, *indices: int) -> Batch:
    """Return some pairs of the training data as one batch."""
    pairs = HeldOutPairs(session.data["train"])
    return collate([pairs[index % len(pairs)] for index in indices])


def _session(table: Mapping[str, Any], catalog: Catalog, folder: Path | None, run: type[Run]) -> Session:
    try:
        recipe = load_table(table, with_tiny_data(catalog))
        data = {split: open_data(recipe, split) for split in ("train", "val")}
        return Session(recipe, data=data, runtime=CPU, provenance={}, folder=folder, run=run)
    except I2IError as error:
        # The place is one in a temporary file.
        raise type(error)(*(replace(problem, file="", line=None) for problem in error.problems)) from error


def _part(name: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {"part": parts[name]} if name in parts else {}


def _judges(slots: MethodSlots) -> tuple[str, ...]:
    return ("judge",) if isinstance(slots.discriminators, DiscriminatorSlot) else tuple(slots.discriminators)


def _losses(slots: MethodSlots, *, judged: bool) -> dict[str, Mapping[str, Any]]:
    """Return a loss for each name that the method wants, and one of each other kind that it can use."""
    usual = next(kind for kind in LOSSES if kind in slots.loss_kinds)
    losses = dict.fromkeys(sorted(slots.losses), LOSSES[usual])
    for kind, loss in LOSSES.items():
        covered = kind == usual and losses
        if kind in slots.loss_kinds and not covered and (judged or kind == "paired-loss"):
            losses[f"own-{kind}"] = loss
    return losses
