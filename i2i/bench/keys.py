"""What names a cell: a hash of all that decides its weights, and of nothing else.

So a cell is known again whatever it is called, wherever its data lie, and whichever figures are taken of it.
Metrics have settings of their own, by which a figure is known again; test keys, which change no weights, are
among what decides a figure too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from i2i._version import __version__
from i2i.building.test_keys import SHORT
from i2i.kinds import NETWORK_SECTIONS
from i2i.plugins.discovery import LOCAL
from i2i.plugins.schema import component_schema
from i2i.recipe.recipe import Recipe
from i2i.recipe.slots import STAGES, Slot
from i2i.records import MethodSlots
from i2i.registry import Entry
from i2i.runs.changes import NO_BIT, THREADS

Marks = Mapping[str, Mapping[str, Any]]
"""The fingerprint of each split, by its name (`data/fingerprint`)."""


def key_of(recipe: Recipe, data: Marks | None = None, *, processes: int = 1) -> str:
    """Return the key of a cell over these data: the first 16 hexadecimal digits of a sha256.

    Callbacks are left out, as leaving training alone is what they promise; so is what changes no bit, and
    what changes last bits only. Test keys are left out: figures by other values are taken of the same model.
    The place of the data is left out where their fingerprints know the size of each file: ids alone, or a
    count, would not tell them from others. Where a validation decides something, as for a schedule that
    observes, the metrics, how often they are taken and test keys stay in. Several `processes` that train as
    one draw other noise than one process, and have batch norms of their own, so they make another cell.
    """
    out, watching = NO_BIT | {THREADS}, {"callbacks"}
    if not _decided_by_validations(recipe):
        of_test = {f"{slot.path}.{key}" for slot in recipe.slots.values() for key in _test_keys(slot)}
        out, watching = out | {"train.eval_every"} | of_test, {"callbacks", "metrics"}
    slots = [slot for slot in recipe.slots.values() if slot.section not in watching]
    known = bool(data) and all("file_sizes" in marks for marks in (data or {}).values())
    sections: dict[str, list[Any]] = {}
    for slot in slots:  # in their order, which counts: of transforms, say
        table = _table(slot, recipe, _anywhere if slot.section == "data" and known else _content)
        kept = {key: value for key, value in table.items() if f"{slot.path}.{key}" not in out}
        sections.setdefault(slot.section, []).append([slot.name, kept])
    train = {key: value for key, value in recipe.table["train"].items() if f"train.{key}" not in out}
    marks = {
        split: {name: found[name] for name in ("pairs", "ids", "file_sizes") if name in found}
        for split, found in (data or {}).items()
    }
    about = [recipe.seed, sections, train, marks, _versions(slots)]
    if recipe.stages:
        about.append(list(recipe.table[STAGES].items()))
    if processes > 1:
        about.append({"processes": processes})
    return _hash(about)[:16]


def training_of(recipe: Recipe) -> str:
    """Return what recipes have in common that differ in nothing that is trained: a key, whatever the seed."""
    return key_of(replace(recipe, seed=0))


def trial_of(recipe: Recipe) -> str:
    """Return what recipes have in common of which one has to be tried: training, metrics and callbacks."""
    return _hash([training_of(recipe), recipe.table.get("metrics"), recipe.table.get("callbacks")])[:16]


def digest_of(recipe: Recipe) -> str:
    """Return a hash of all that a recipe says but its name, its summary and how its data are compared."""
    table = {key: value for key, value in recipe.table.items() if key not in ("name", "summary")}
    table |= {"data": {key: value for key, value in table["data"].items() if key != "fingerprint"}}
    return _hash([table, _versions(list(recipe.slots.values()))])[:16]


def metric_settings(recipe: Recipe, *, versions: Mapping[str, str] = {}) -> dict[str, dict[str, Any]]:
    """Return for each metric of a recipe, by its name there, all that decides its figures.

    `versions` of plug-ins, by namespace, are those that it was computed with, where not those of today.
    """
    found = {}
    for slot in recipe.section("metrics"):
        today, namespace = _version(slot.entry), slot.entry.namespace
        version = today if namespace == LOCAL else versions.get(namespace, today)
        found[slot.name] = {**_table(slot, recipe, _content), "version": version}
    return found


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return the hash by which the settings of a metric are known."""
    return _hash(settings)[:16]


@dataclass(frozen=True)
class TestValues:
    """The values of test keys by which a figure is taken, by their paths in a recipe, and their defaults."""

    values: Mapping[str, Any]
    usual: Mapping[str, Any]

    __test__ = False  # not a test class, whatever its name says to a test runner

    def agree(self, said: Mapping[str, Any]) -> bool:
        """Whether what is `said` of some paths is no other than these; of no others, defaults were meant."""
        return all(said.get(path, self.usual.get(path)) == value for path, value in self.values.items())

    def said_in(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the table of a resolved recipe says of these paths."""
        found = {path: _at(table, path) for path in self.values}
        return {path: value for path, value in found.items() if value is not None}


ANY_TEST = TestValues({}, {})
"""Of a figure that no test key decides."""


def values_at_test(recipe: Recipe) -> TestValues:
    """Return the test keys of what a recipe's first model file holds, which decide its figures."""
    roles: MethodSlots = recipe.method.factory.slots  # type: ignore[attr-defined]
    held = roles.translates_with or (f"generators.{roles.exports[0]}",)
    values, usual = {}, {}
    for path in ("method", *held):
        if (slot := recipe.slots.get(path)) is None:
            continue  # a network that the method can do without
        for key, default in _test_keys(slot).items():
            if path == "method" and not roles.translates_with and key not in SHORT.values():
                continue  # the file holds no method
            values[f"{path}.{key}"], usual[f"{path}.{key}"] = _at(recipe.table, f"{path}.{key}"), default
    return TestValues(values, usual)


# --- their parts ------------------------------------------------------------------------------------


def _decided_by_validations(recipe: Recipe) -> bool:
    """Whether what validations find changes the weights, or which of them are kept.

    What a function will return is not known before it is called: it may be something that observes.
    """
    schedules = [slot.factory for slot in recipe.section("schedules")]
    return recipe.train.save_best is not None or any(
        not isinstance(factory, type) or hasattr(factory, "observe") for factory in schedules
    )


def _test_keys(slot: Slot) -> dict[str, Any]:
    """Return the test keys of a component, and their defaults: of what a trained model may have in it."""
    if slot.section not in ("method", *NETWORK_SECTIONS):
        return {}
    _, schema = component_schema(slot.entry)
    found = [key for key in schema.parameters if key.at_test]
    return {key.name: None if key.required else key.dump(key.default) for key in found}


def _at(table: Mapping[str, Any], path: str) -> Any:
    found: Any = table
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _table(slot: Slot, recipe: Recipe, told: Callable[[Path], str]) -> dict[str, Any]:
    """Return a slot's table in the recipe, with what is `told` of each path in it."""
    table = recipe.table[slot.section]
    own: Mapping[str, Any] = table[slot.name] if slot.name else table
    settings = {each.name: getattr(slot.settings, each.name) for each in fields(slot.settings)}
    given = {**settings, **slot.params}
    return {key: _with_paths(value, given.get(key), told) for key, value in own.items()}


def _with_paths(value: Any, given: Any, told: Callable[[Path], str]) -> Any:
    """Return a value of a table with what is `told` of the paths that the component is `given` for it."""
    if isinstance(given, Path):
        return told(given)
    if isinstance(value, Mapping) and isinstance(given, Mapping):
        return {key: _with_paths(item, given.get(key), told) for key, item in value.items()}
    if isinstance(value, list | tuple) and isinstance(given, list | tuple) and len(value) == len(given):
        return [_with_paths(*pair, told) for pair in zip(value, given, strict=True)]
    return value


def _anywhere(_: Path) -> str:
    return "anywhere"


def _content(path: Path) -> str:
    """Return a hash of a file's content, wherever it lies; of what is no file, where that is."""
    place = path.expanduser()
    if not place.is_file():
        return str(path)
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(slots: list[Slot]) -> list[str]:
    entries = {(each.entry.namespace, each.entry.distribution, _version(each.entry)) for each in slots}
    return sorted({f"core {__version__}", *map(" ".join, entries)})


def _version(entry: Entry) -> str:
    """Return a plug-in's version; a file has none, so its content stands for it."""
    if entry.namespace != LOCAL:
        return entry.version
    return hashlib.sha256(Path(entry.distribution).expanduser().read_bytes()).hexdigest()


def _hash(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
