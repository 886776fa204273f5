"""A session of the real engine around one method or callback, on tiny networks and tiny data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from i2i.context import Run
from i2i.data.opening import open_data
from i2i.data.stream import HeldOutPairs, collate
from i2i.engine.session import Session
from i2i.errors import I2IError, RecipeError
from i2i.kinds import JUDGED_KINDS, LOSS_KINDS, NETWORK_SECTIONS, Batch, DiscriminatorSlot, MethodSlots
from i2i.plugins.catalog import Catalog
from i2i.system.device import resolve
from i2i.testing.outcomes import fail
from i2i.testing.own_recipe import hands_out_features, own_recipe, recipe_around
from i2i.testing.subjects import Subject
from i2i.testing.tiny_plugin import with_tiny_data
from i2i.testing.tiny_run import TINY, load_table

CHANNELS = {"source_channels": 1, "target_channels": 3}
"""The sides differ, so that a method that takes one for the other is found out; one may refuse such pairs."""

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

ASKING: Mapping[str, Mapping[str, Any]] = {
    "paired-loss": {"use": "testing/paired"},
    "adversarial-loss": {"use": "testing/adversarial"},
    "feature-loss": {"use": "testing/features"},
    "penalty": {"use": "testing/penalty"},
}
"""Others, which cannot be called without all that a loss may ask for."""

HEAVY = 5.0
"""What the weight of a loss is multiplied by, to see whether it makes a difference."""


def method_session(
    subject: Subject,
    *,
    judges: tuple[str, ...] | None = None,
    heavy: str = "",
    without: Collection[str] = (),
    parts: Mapping[str, str] = {},
    folder: Path | None = None,
    run: type[Run] = Run,
    losses: Mapping[str, Mapping[str, Any]] = LOSSES,
    own: dict[str, Any] | None = None,
) -> Session:
    """Assemble what the method declares: networks for its slots, and a loss of each of its kinds.

    They are those of a recipe of its own package that names it, shrunk, and stand-ins where there is none.
    `judges` are the names of the discriminators where the method takes any number of them: one by default.
    Pairs are of 1 and 3 channels; of 3 and 3 for a method whose constructor refuses those.
    `heavy` is a loss whose weight is multiplied by `HEAVY`, `without` are losses to leave out; `run` is what
    the method sees of the run; `losses` has the table of one of each kind. `parts` are those of the target,
    "first" or "rest", that losses compare alone, by the losses' names. `own` are tables to take in place of
    those of the package.
    """
    slots: MethodSlots = subject.factory.slots  # type: ignore[attr-defined]
    catalog = with_tiny_data(subject.catalog)
    own = own_recipe(subject) if own is None else own
    table = {**_stand_ins(slots)} if own is None else own
    if "use" not in table["data"]:
        table["data"] = {"use": "testing/pairs", "batch_size": 2, **CHANNELS, **table["data"]}
    if judges is not None:
        _rename_judges(table, judges)
    _complete_networks(table, subject, slots)
    _complete_losses(table, slots, catalog)
    if losses is not LOSSES:
        _exchange_losses(table, losses, catalog)
    if parts and table["data"]["use"] == "testing/pairs":
        table["data"]["parts"] = True
    for name, part in parts.items():
        table["losses"][name] = {**table["losses"][name], "part": part}
    if heavy:
        loss = table["losses"][heavy]
        loss["weight"] = HEAVY * (loss.get("weight", 1.0) or 1.0)
    table["losses"] = {name: loss for name, loss in table["losses"].items() if name not in without}
    table["method"] = {**table["method"], **subject.table, "use": subject.entry.ref}
    table["optimizers"] = {
        section: TINY["optimizers"]["generators"]
        for section in NETWORK_SECTIONS
        if any(slot.get("frozen") is not True for slot in table.get(section, {}).values())
    }
    filled = {section: content for section, content in table.items() if content != {}}
    shared = {key: TINY[key] for key in ("recipe", "name", "train", "metrics")}
    try:
        return _session({**shared, **filled}, subject.catalog, folder, run)
    except RecipeError as error:
        refused = all(problem.where == "method" for problem in error.problems)
        if not refused or not CHANNELS.items() <= table["data"].items():
            raise
        alike = {**table["data"], "source_channels": CHANNELS["target_channels"]}
        return _session({**shared, **filled, "data": alike}, subject.catalog, folder, run)


def _stand_ins(slots: MethodSlots) -> dict[str, Any]:
    """Return tables with a small network for each of the slots, which has all that the slot needs.

    Discriminators that the method names itself see the image alone, as it may have no pairs to take a
    condition from.
    """
    roles = slots.discriminators
    free = isinstance(roles, DiscriminatorSlot)
    judges = {"judge": roles} if isinstance(roles, DiscriminatorSlot) else roles
    return {
        "data": {},
        "method": {},
        "generators": {
            name: {"use": "testing/net"} if role.needs else dict(GENERATOR)
            for name, role in slots.generators.items()
        },
        "discriminators": {
            name: ({"use": "testing/judge"} if role.needs else dict(JUDGE))
            | ({} if role.condition is None else {"conditional": free})
            for name, role in judges.items()
        },
        "losses": {name: dict(LOSSES[wanted.kind]) for name, wanted in slots.losses.items()},
    }


def _rename_judges(table: dict[str, Any], names: tuple[str, ...]) -> None:
    """Put copies of the first discriminator under `names` in place of all that there are."""
    first = next(iter((table.get("discriminators") or {"judge": JUDGE}).values()))
    table["discriminators"] = {name: dict(first) for name in names}
    judges = [f"discriminators.{name}" for name in names]
    for stage in table.get("stages", {}).values():
        kept = [path for path in stage.get("frozen", []) if not path.startswith("discriminators.")]
        stage["frozen"] = kept + (judges if kept != stage.get("frozen", []) else [])
    for loss in table["losses"].values():
        loss.pop("on", None)
    if not names:
        table.pop("transforms", None)  # those at "judging" are for what discriminators see


def _complete_losses(table: dict[str, Any], slots: MethodSlots, catalog: Catalog) -> None:
    """Add a loss of each kind that the method takes and the tables lack; drop what no judge is for."""
    kinds = {name: catalog.get(LOSS_KINDS, loss["use"]).kind for name, loss in table["losses"].items()}
    judged = bool(table.get("discriminators"))
    if not judged:
        table["losses"] = {n: loss for n, loss in table["losses"].items() if kinds[n] not in JUDGED_KINDS}
    missing = {name: wanted.kind for name, wanted in slots.losses.items()}
    missing |= {f"own-{kind}": kind for kind in LOSSES if kind in slots.loss_kinds - {*kinds.values()}}
    for name, kind in missing.items():
        blind = kind == "feature-loss" and judged and not hands_out_features(table, catalog)
        if name not in table["losses"] and (judged or kind not in JUDGED_KINDS) and not blind:
            table["losses"][name] = dict(LOSSES[kind])


def tiny_session(catalog: Catalog, folder: Path | None = None, *, run: type[Run] = Run) -> Session:
    """Return a session of the tiny recipe."""
    return _session(TINY, catalog, folder, run)


def callback_session(subject: Subject, folder: Path | None = None, *, run: type[Run] = Run) -> Session:
    """Return a session in which a callback can be called, without it.

    It is of the recipe of its own package that names it, shrunk, where that trains by another method than
    the tiny recipe; else of the tiny recipe.
    """
    around = recipe_around(subject, usual=TINY["method"]["use"])
    if around is None:
        return tiny_session(subject.catalog, folder, run=run)
    entry = subject.catalog.get(("method",), around["method"]["use"])
    return method_session(Subject(entry, subject.catalog, {}), folder=folder, run=run, own=around)


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


def through_stages(session: Session, *batches: Batch) -> None:
    """Take the first step of each stage on `batches`; of a recipe without stages it is one step."""
    for step in session.stages.begins():
        session.run.step = step
        session.advance(batches)


def batch(session: Session, *indices: int) -> Batch:
    """Return some pairs of the training data as one batch."""
    pairs = HeldOutPairs(session.data["train"])
    return collate([pairs[index % len(pairs)] for index in indices])


def _session(table: Mapping[str, Any], catalog: Catalog, folder: Path | None, run: type[Run]) -> Session:
    try:
        recipe = load_table(table, with_tiny_data(catalog))
        data = {split: open_data(recipe, split) for split in ("train", "val")}
        # Nothing is fetched, and no file is started from.
        return Session(recipe, data=data, runtime=CPU, provenance={}, folder=folder, run=run, start=False)
    except I2IError as error:
        # The place is one in a temporary file.
        raise type(error)(*(replace(problem, file="", line=None) for problem in error.problems)) from error


def _complete_networks(table: dict[str, Any], subject: Subject, slots: MethodSlots) -> None:
    """Add a network of the method's own plug-in for each that it needs and the tables lack: one of the slot's
    name, or any.
    """
    there = table.get("networks", {})
    wanted = [name for name, slot in slots.networks.items() if slot.required and name not in there]
    plugin = subject.catalog.plugin(subject.entry.namespace, wanted=subject.entry.ref)
    own = {entry.name: {"use": entry.ref} for entry in plugin.entries if entry.kind == "network"}
    if wanted and not own:
        fail(
            f"it needs a network '{wanted[0]}', and its plug-in has none to try it with: register one, so "
            "that a recipe can have it too"
        )
    table["networks"] = {**there, **{name: own.get(name) or next(iter(own.values())) for name in wanted}}


def _exchange_losses(
    table: dict[str, Any], losses: Mapping[str, Mapping[str, Any]], catalog: Catalog
) -> None:
    """Put the loss of its kind among `losses` in place of each."""
    for name, loss in table["losses"].items():
        kind = catalog.get(LOSS_KINDS, loss["use"]).kind
        table["losses"][name] = {**losses[kind], **{key: loss[key] for key in ("on",) if key in loss}}
