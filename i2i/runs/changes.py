"""Two recipes of one run: which of their differences change no bit of the training.

A run can be gone on with on another machine, from a folder that was moved, with more worker processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from i2i.plugins.schema import component_schema, slot_schema
from i2i.recipe.recipe import Recipe, differences
from i2i.recipe.resolve import TRAIN
from i2i.recipe.slots import LENGTHS
from i2i.runs.header import OF_THE_MACHINE, holds_path

LENGTH = tuple(f"train.{key}" for key in LENGTHS)
"""The keys that say how long a run is."""

THREADS = "train.threads"
"""The key that decides the order in which a CPU adds up, and so the last bits of sums."""

NO_BIT = frozenset(
    {
        "name",
        "summary",
        *(f"data.{key}" for key in OF_THE_MACHINE),
        *(f"train.{key}" for key in ("log_every", "save_every", "keep")),
    }
)
"""Keys that decide nothing but how long a run takes, and what is written of it how often."""


@dataclass(frozen=True)
class Change:
    """A key in which two recipes differ, and its value in each; None where one lacks it."""

    key: str
    before: Any
    now: Any

    @property
    def why(self) -> str:
        """Why it is harmless, if it is."""
        if self.key == THREADS:
            return "changes last bits only, though the result is not that of an undisturbed run"
        return "changes no bit of the training" if self.of_no_bit else "only says where something is"

    @property
    def of_no_bit(self) -> bool:
        """Whether the key decides nothing of the training; callbacks look on, and have no hand in it."""
        return self.key in NO_BIT or self.key.startswith("callbacks.")

    def __str__(self) -> str:
        return f"{self.key} was {_told(self.before)}, now {_told(self.now)}"


def changes(before: Mapping[str, Any], recipe: Recipe) -> tuple[list[Change], list[Change]]:
    """Return the differences of a run's recipe, as a table, to `recipe`: harmless ones, and the others.

    A key that a later version has added is no difference as long as it has its default.
    """
    harmless: list[Change] = []
    others: list[Change] = []
    for change in (Change(*found) for found in differences(before, recipe.table)):
        if change.before is None and change.now == _default(change.key, recipe):
            continue
        (harmless if _changes_no_bit(change, recipe) else others).append(change)
    return harmless, others


def _changes_no_bit(change: Change, recipe: Recipe) -> bool:
    return change.of_no_bit or change.key == THREADS or _says_where(change, recipe)


def _default(key: str, recipe: Recipe) -> Any:
    """Return the default of a key, as TOML holds it; None where it has none."""
    slot = recipe.slot_around(key)
    if slot is None:
        section, _, name = key.rpartition(".")
        return TRAIN.defaults().get(name) if section == "train" else None
    _, schema = component_schema(slot.entry)
    defaults = slot_schema(slot.kind).defaults() | schema.defaults()
    return defaults.get(key[len(slot.path) + 1 :])


def _says_where(change: Change, recipe: Recipe) -> bool:
    """Whether the key is a path in both recipes: where something is, which may have been moved."""
    owners = [path for path in recipe.slots if change.key.startswith(f"{path}.")]
    if not owners or change.before is None or change.now is None:
        return False
    owner = recipe.slots[max(owners, key=len)]
    name = change.key[len(owner.path) + 1 :].split(".")[0]
    return holds_path(owner.params.get(name, getattr(owner.settings, name, None)))


def _told(value: Any) -> str:
    return "absent" if value is None else str(value)
