"""Short names for recipes that stand side by side: by what differs between them, or by their folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from i2i.recipe.recipe import differences
from i2i.runs.changes import THREADS
from i2i.runs.header import OF_THE_MACHINE

NO_CHANGE = frozenset({"seed", "name", "summary", THREADS, *(f"data.{key}" for key in OF_THE_MACHINE)})
"""Keys that make no other recipe of one."""

MOST_KEYS = 2
TIME_OR_SEED = re.compile(r"[-_. ]*(?:\b|(?<=[-_. ]))(?:seed|s)?[-_.\d ]*$")


def plain_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the keys in which two recipes differ, but for the seed, the name and what the machine needs."""
    return [change for change in differences(old, new) if change[0] not in NO_CHANGE]


def names_of(tables: Sequence[Mapping[str, Any]], folders: Sequence[Sequence[Path]]) -> list[str]:
    """Return a name for each recipe: the values in which they differ, where these are few.

    Else it is the name of its folder, or what the names of its folders have in common. No two are equal.
    """
    keys = _telling({key for table in tables[1:] for key, *_ in plain_changes(tables[0], table)})
    if 1 <= len(keys) <= MOST_KEYS:
        named = [", ".join(_named(key, table) for key in keys) for table in tables]
        if len(set(named)) == len(named):
            return named
    named = [_common([folder.resolve().name for folder in group]) for group in folders]
    if len(set(named)) < len(named):
        named = [group[0].as_posix() for group in folders]
    return named


def _telling(keys: set[str]) -> list[str]:
    """Leave out the keys of a table whose component changed: they changed because of it."""
    swapped = tuple(key.removesuffix("use") for key in keys if key.endswith(".use"))
    return sorted(key for key in keys if key.endswith(".use") or not key.startswith(swapped))


def _named(key: str, table: Mapping[str, Any]) -> str:
    value = next((new for path, _, new in differences({}, table) if path == key), None)
    text = (
        f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    )
    if key.endswith(".use"):
        return text.removeprefix("core/") if value is not None else f"no {key.removesuffix('.use')}"
    return f"{key.rpartition('.')[2]}={text}"


def _common(names: Sequence[str]) -> str:
    """Return what the names of one variant's folders share, without a half of a time or a seed."""
    if len(names) == 1:
        return names[0]
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    return TIME_OR_SEED.sub("", "".join(column[0] for column in alike)) or names[0]
