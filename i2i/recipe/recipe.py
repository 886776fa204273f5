"""A recipe: read, merged, checked, and ready to build.

`load_recipe` runs no code from the recipe and imports only the plug-ins it names. Everything wrong
with it comes out as one error that lists each problem with its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from i2i.errors import Problem, RecipeError
from i2i.kinds import NETWORK_SECTIONS
from i2i.plugins.catalog import CORE, Catalog
from i2i.recipe.crosschecks import cross_check, slot_for
from i2i.recipe.layers import FORMAT, Layer, from_table, read_file, read_settings
from i2i.recipe.merge import Draft, read_draft
from i2i.recipe.network_needs import unmet
from i2i.recipe.origins import Findings, Origin, dotted
from i2i.recipe.resolve import resolve
from i2i.recipe.slots import LENGTHS, Slot, StageSettings, TrainSettings
from i2i.recipe.toml_lines import KeyPath
from i2i.registry import Entry

__all__ = ["Recipe", "Slot", "TrainSettings", "differences", "load_recipe", "load_sections", "read_resolved"]


@dataclass(frozen=True)
class Recipe:
    """One checked recipe: its slots in file order, by path, and the settings of its training.

    `table` is the whole recipe with parents merged and defaults filled in, as resolved.toml holds it;
    `notes` tell what a change of `use` dropped; `source` is the file it was read from; `stages` are the parts
    of its run in their order, if it has any.
    """

    name: str
    seed: int
    train: TrainSettings
    slots: Mapping[str, Slot]
    table: Mapping[str, Any]
    notes: tuple[str, ...]
    source: str
    _draft: Draft = field(repr=False, compare=False)
    _catalog: Catalog | None = field(default=None, repr=False, compare=False)
    stages: Mapping[str, StageSettings] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What stands in the recipe's own file."""
        return self._draft.text

    @property
    def data(self) -> Slot:
        """The data's slot."""
        return self.slots["data"]

    @property
    def method(self) -> Slot:
        """The method's slot."""
        return self.slots["method"]

    @property
    def networks(self) -> tuple[Slot, ...]:
        """The slots of all networks, in the order of their sections: generators first."""
        return tuple(slot for section in NETWORK_SECTIONS for slot in self.section(section))

    def section(self, section: str) -> tuple[Slot, ...]:
        """Return the slots of one section, like ``losses``, in file order."""
        return tuple(slot for slot in self.slots.values() if slot.section == section)

    def components(self, kind: str) -> list[Entry]:
        """Return the components of one kind in the plug-ins that the recipe names, `core` included."""
        return [] if self._catalog is None else _components(self._catalog, self.slots.values(), kind)

    def slot_for(self, section: str, network: str) -> Slot | None:
        """Return the optimizer or schedule in charge of a network's path, or of a group of its parts.

        That is the one under this path itself, else under that of the network, else its section's, else, for
        ``schedules``, the one for all; None where there is none.
        """
        name = slot_for(section, network, {slot.name for slot in self.section(section)})
        return None if name is None else self.slots[f"{section}.{name}"]

    def slot_around(self, path: str) -> Slot | None:
        """Return the slot that a dotted path names or leads into; None for ``seed`` or ``train.steps``."""
        around = [slot for slot in self.slots.values() if f"{path}.".startswith(f"{slot.path}.")]
        # A network's own optimizer, "discriminators.patch", lies deeper than that of its group.
        return max(around, key=lambda slot: len(slot.path), default=None)

    def problem(self, path: str, message: str, hint: str = "") -> Problem:
        """Return a problem placed where `path` stands: ``train.save_best``, or a slot's path."""
        slot = self.slot_around(path)
        if slot is not None:
            return slot.problem(message, hint, key=path[len(slot.path) + 1 :])
        return self._draft.origin(tuple(path.split("."))).problem(message, hint)

    def lasting(self, steps: int) -> Recipe:
        """Return the recipe with a length of so many `steps`, in place of the one that it has."""
        return self._training(dict.fromkeys(LENGTHS) | {"steps": steps})

    def computing_with(self, threads: int) -> Recipe:
        """Return the recipe with that number of `threads`."""
        return self._training({"threads": threads})

    def _training(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other keys of `[train]`; None takes one away."""
        train = {**self.table["train"], **settings}
        train = {key: value for key, value in train.items() if value is not None}
        return replace(self, train=replace(self.train, **settings), table={**self.table, "train": train})

    def started_from(self, files: Mapping[str, str | dict[str, str]], *, by: str) -> Recipe:
        """Return the recipe with an `init_from` for these networks, by path, as if `by` had set it.

        It is a file, or one for each of some groups of the network's parts.
        """
        slots, table = dict(self.slots), {**self.table}
        for path, file in files.items():
            slot = slots[path]
            origin = Origin(f"{slot.origin().where}.init_from", by)
            start = Path(file) if isinstance(file, str) else {group: Path(one) for group, one in file.items()}
            settings = replace(slot.settings, init_from=start)
            slots[path] = replace(slot, settings=settings, origins={**slot.origins, "init_from": origin})
            networks = table[slot.section]
            table[slot.section] = {**networks, slot.name: {**networks[slot.name], "init_from": file}}
        return replace(self, slots=slots, table=table)

    def as_resolved(self, text: str) -> Recipe:
        """Return the recipe of a text that `to_toml` gave, with the components that this one has."""
        return load_recipe(tomllib.loads(text), catalog=self._catalog)

    def to_toml(self) -> str:
        """Return the resolved recipe as a TOML text that `load_recipe` reads back to the same table."""
        return tomli_w.dumps(self.table)


def load_recipe(
    source: str | Path | Mapping[str, Any],
    *,
    set: Sequence[str] | Mapping[str, Any] = (),  # noqa: A002 - the name of the option
    unset: Sequence[str] = (),
    steps: int | None = None,
    seed: int | None = None,
    over: Sequence[Layer] = (),
    catalog: Catalog | None = None,
) -> Recipe:
    """Read and check a recipe: a path ending in ``.toml``, or the name of a shipped one.

    Args:
        source: the file or the name; a `Path` is always a file. Or a table in the form of `Recipe.table`.
        set: keys to set on top, as ``"a.b=VALUE"`` texts or as a mapping from ``"a.b"`` to a value.
        unset: keys to take away first.
        steps: the length of training, in place of the recipe's steps or epochs.
        seed: in place of the recipe's seed.
        over: layers that lie between the recipe and `set`.
        catalog: where components come from; the installed plug-ins by default.

    Raises RecipeError, or PluginError where plug-ins are all that is wrong.
    """
    catalog = catalog or Catalog.installed()
    findings = Findings()
    whole = _layer_of(source) if isinstance(source, Mapping) else source
    draft = read_draft(whole, catalog, findings, settings=set, unset=unset, steps=steps, seed=seed, over=over)
    resolved = resolve(draft, catalog, findings)
    cross_check(draft, resolved, findings, partial(_components, catalog, resolved.slots.values()))
    findings.raise_any()
    assert resolved.head is not None
    assert resolved.train is not None
    recipe = Recipe(
        name=resolved.head.name,
        seed=resolved.head.seed,
        train=resolved.train,
        slots=resolved.slots,
        table=resolved.table,
        notes=tuple(draft.notes),
        source=draft.source,
        _draft=draft,
        _catalog=catalog,
        stages=resolved.stages,
    )
    if problems := unmet(recipe.networks, recipe.method, recipe.components):
        raise RecipeError(*problems)
    return recipe


def load_sections(
    source: str | Path | Mapping[str, Any],
    sections: Sequence[str],
    *,
    shown: str = "",
    written: Mapping[str, str] = {},
    set: Sequence[str] = (),  # noqa: A002 - the name of the option
    unset: Sequence[str] = (),
    seed: int | None = None,
    catalog: Catalog,
) -> Recipe:
    """Read some sections of a recipe, such as its data and its metrics, and leave the rest aside.

    So a trained model can be used without the plug-ins it was trained with. `source` may also be a table
    in the form of `Recipe.table`, which errors call `shown` and which was `written` with some versions of
    the plug-ins. The recipe that comes back has no other slots, and its training settings are the defaults.

    Raises RecipeError, also for a setting of another section, or PluginError.
    """
    findings = Findings()
    whole = from_table(source, shown=shown, written=written) if isinstance(source, Mapping) else source
    changes = read_settings(set, unset, steps=None, seed=None)
    changed = {section: changes.origins[section,] for section in changes.table}
    changed |= {path[0]: origin for path, origin in changes.unset}
    for section in changed.keys() - sections:
        findings.add(changed[section], f"here only {' and '.join(sections)} can be changed")
    findings.raise_any()
    draft = read_draft(whole, catalog, findings, settings=set, unset=unset, seed=seed)
    for section in draft.table.keys() - {"name", "seed", *sections}:
        del draft.table[section]
    resolved = resolve(draft, catalog, findings)
    findings.raise_any()
    assert resolved.head is not None
    return Recipe(
        name=resolved.head.name,
        seed=resolved.head.seed,
        train=TrainSettings(),
        slots=resolved.slots,
        table=resolved.table,
        notes=tuple(draft.notes),
        source=draft.source,
        _draft=draft,
        _catalog=catalog,
    )


def _components(catalog: Catalog, slots: Iterable[Slot], kind: str) -> list[Entry]:
    """Return the components of a kind in `core` and the plug-ins that `slots` are from."""
    namespaces = {CORE, *(slot.entry.namespace for slot in slots)}
    plugins = [catalog.load(name) for name in sorted(namespaces) if catalog.record(name)]
    return [entry for plugin in plugins for entry in plugin.entries if entry.kind == kind]


def _layer_of(table: Mapping[str, Any]) -> Layer:
    return from_table({key: value for key, value in table.items() if key != "recipe"}, shown="a table")


def read_resolved(path: Path) -> dict[str, Any]:
    """Return the table of a resolved.toml, to compare with `Recipe.table`."""
    return {"recipe": FORMAT, **read_file(path, shown=str(path), rank=0).table}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each key in which two tables differ, with both values; None where one lacks it."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        (dotted(path), before.get(path), after.get(path))
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    ]


def _leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
