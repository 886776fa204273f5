"""The kinds of component as one table, and the facts of the contract that several parts of i2i go by.

What a factory of each kind must return is in `i2i.kinds`, which hands all of this on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from i2i.slot_keys import (
    CallbackSettings,
    DataSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    JudgedLossSettings,
    LossSettings,
    MetricSettings,
    NoSettings,
    PenaltySettings,
    TransformSettings,
)


@dataclass(frozen=True)
class Kind:
    """One row of the contract: where it stands in a recipe, and which names are not a component's own.

    `section` is the top-level table; `named` says whether it holds one table per name. A kind that is
    not `in_recipes` has its table in a benchmark's file instead.
    """

    name: str
    section: str
    injected: frozenset[str]
    settings: type
    named: bool = True
    in_recipes: bool = True


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "generator",
            "generators",
            frozenset({"in_channels", "out_channels", "fetch", "spec"}),
            GeneratorSettings,
        ),
        Kind(
            "discriminator",
            "discriminators",
            frozenset({"in_channels", "condition_channels", "fetch", "spec"}),
            DiscriminatorSettings,
        ),
        Kind("paired-loss", "losses", frozenset({"fetch", "spec"}), LossSettings),
        Kind("adversarial-loss", "losses", frozenset({"spec"}), JudgedLossSettings),
        Kind("feature-loss", "losses", frozenset({"spec"}), JudgedLossSettings),
        Kind("penalty", "losses", frozenset({"spec"}), PenaltySettings),
        Kind("data", "data", frozenset({"split"}), DataSettings, named=False),
        Kind("transform", "transforms", frozenset({"spec"}), TransformSettings),
        Kind(
            "method",
            "method",
            frozenset({"networks", "losses", "augmentation", "spec"}),
            NoSettings,
            named=False,
        ),
        Kind("metric", "metrics", frozenset({"spec"}), MetricSettings),
        Kind("callback", "callbacks", frozenset({"spec"}), CallbackSettings),
        Kind("optimizer", "optimizers", frozenset({"params"}), NoSettings),
        Kind("schedule", "schedules", frozenset({"total_steps", "steps_per_epoch"}), NoSettings),
        Kind("executor", "executor", frozenset(), NoSettings, named=False, in_recipes=False),
    )
}

LOSS_KINDS = tuple(name for name, kind in KINDS.items() if kind.section == "losses")

JUDGED_KINDS = ("adversarial-loss", "feature-loss", "penalty")
"""The losses that work through discriminators: which ones, says `on` in their tables."""

SECTIONS: Mapping[str, bool] = {kind.section: kind.named for kind in KINDS.values() if kind.in_recipes}
"""The sections of a recipe that hold components, and whether they hold a table for each name."""

NETWORK_SECTIONS = ("generators", "discriminators")
"""The sections whose components have weights of their own to train."""

CALLBACK_EVENTS: Mapping[str, tuple[str, ...]] = {
    "run_start": ("run",),
    "step_end": ("run", "logs"),
    "eval_end": ("run", "metrics"),
    "run_end": ("run", "error"),
}
"""What the engine calls of a callback, where the callback has it, and with which arguments."""

NEEDS = ("penalty", "metric", "features", "labels", "pairs")
"""What a component can say, in `requires`, that it cannot do without.

A penalty on each discriminator that it works through, a metric, discriminators that hand out features; of a
loss, label maps as what the generators write; data in which each target belongs to its source. `FIELD` and a
name stand for a further field of the data.
"""

FIELD = "extra:"


def is_need(name: object) -> bool:
    """Whether a component can ask for this in `requires`."""
    return name in NEEDS or (isinstance(name, str) and name.removeprefix(FIELD) not in ("", name))


def kinds_of(section: str) -> tuple[str, ...]:
    """Return the kinds whose tables stand in `section`: one, or all loss kinds for ``losses``."""
    return tuple(name for name, kind in KINDS.items() if kind.section == section)


def changes_spec(factory: Callable[..., Any]) -> bool:
    """Whether the transforms that a class or function makes change what pairs are: it has a method `spec`."""
    return callable(getattr(factory, "spec", None))


def asks_another(transform: Callable[..., Any]) -> bool:
    """Whether a transform asks for a function that returns another pair: its call has a keyword `another`."""
    itself = inspect.unwrap(transform)
    return "another" in inspect.signature(getattr(itself, "forward", itself)).parameters
