"""A recipe and its parents merged into one set of tables, each key with its origin; nothing is judged yet.

Tables merge key by key, everything else replaces. A table whose `use` changes loses the old
component's parameters, keeps the engine's own keys, and leaves a note.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from i2i.errors import I2IError, RecipeError, did_you_mean
from i2i.kinds import KINDS, SECTIONS, kinds_of
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.versions import Versions
from i2i.recipe.layers import SHORT_SPELLINGS, Layer, full_path, read_file, read_settings
from i2i.recipe.origins import Findings, Origin, dotted
from i2i.recipe.slots import LENGTHS
from i2i.recipe.toml_lines import KeyPath

MAX_PARENTS = 8


@dataclass
class Draft:
    """The merged tables, before anything is checked.

    `kept_keys` are the engine's own keys that stayed in a table when its `use` changed: one that the new
    component's kind lacks is no mistake, as nobody wrote it for that component. `source` is the recipe's
    file as people see it, `text` what stands in it, `written` the versions of the plug-ins that it was
    written with, where that is known.
    """

    source: str
    text: str
    written: Versions = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    kept_keys: set[KeyPath] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin:
        """Return where `path` stands; for a key nobody wrote, the innermost table around it."""
        for length in range(len(path), 0, -1):
            if (found := self.origins.get(path[:length])) is not None:
                return found.below(*path[length:])
        return Origin(dotted(path), self.source)


def read_draft(
    source: str | Path | Layer,
    catalog: Catalog,
    findings: Findings,
    *,
    settings: Sequence[str] | Mapping[str, Any] = (),
    unset: Sequence[str] = (),
    steps: int | None = None,
    seed: int | None = None,
    over: Sequence[Layer] = (),
) -> Draft:
    """Read a recipe with its parents and lay `over`, then the command line's settings, on top.

    `source` is a path ending in ``.toml``, a shipped name, or a layer that was read already. Raises
    RecipeError or PluginError where reading cannot go on; an `unset` of what is not there is noted in
    `findings`.
    """
    files = [source] if isinstance(source, Layer) else _chain(source, catalog)
    draft = Draft(files[-1].origins["recipe",].file, files[-1].text, files[-1].written)
    for layer in [*files, *over]:
        _apply(draft, layer, findings)
    _apply(draft, read_settings(settings, unset, steps=steps, seed=seed), findings)
    return draft


def _chain(source: str | Path, catalog: Catalog) -> list[Layer]:
    """Read the recipe and its parents, the oldest first."""
    if isinstance(source, Path) or source.endswith(".toml"):
        path = Path(source)
        shown = str(source)
    else:
        path = catalog.recipe(source).path()
        shown = _shown(path)
    layers = [read_file(path, shown=shown, rank=0)]
    seen = {path.resolve()}
    while layers[-1].extends:
        child = layers[-1]
        origin = child.origins["extends",]
        try:
            path, shown = _parent(child, origin, catalog)
        except I2IError as error:
            raise type(error)(*(origin.problem(p.message, p.hint) for p in error.problems)) from None
        if path.resolve() in seen:
            raise RecipeError(origin.problem("a recipe cannot extend itself, also not by way of others"))
        if len(layers) > MAX_PARENTS:
            raise RecipeError(origin.problem(f"recipes extend each other at most {MAX_PARENTS} deep"))
        seen.add(path.resolve())
        layers.append(read_file(path, shown=shown, rank=len(layers)))
        layers[-1].table.pop("summary", None)  # it tells of that file alone
    return layers[::-1]


def _parent(child: Layer, origin: Origin, catalog: Catalog) -> tuple[Path, str]:
    if not child.extends.endswith(".toml"):
        path = catalog.recipe(child.extends).path()
        return path, _shown(path)
    assert child.file is not None
    path = child.file.parent / child.extends
    if not path.is_file():
        raise RecipeError(f"there is no file '{child.extends}' beside this recipe")
    return path, os.path.normpath(Path(origin.file).parent / child.extends)


def _shown(path: Path) -> str:
    """Return a path relative to the working folder if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _apply(draft: Draft, layer: Layer, findings: Findings) -> None:
    for written, origin in layer.unset:
        _remove(draft, written, origin, findings)
    _keep_one_length(draft, layer)
    _merge(draft, layer, (), draft.table, layer.table)


def _remove(draft: Draft, written: KeyPath, origin: Origin, findings: Findings) -> None:
    """Take one key away, and its section with it when that is left empty."""
    path = full_path(written)
    table: dict[str, Any] = {}
    inside: Any = draft.table
    for length, part in enumerate(path, start=1):
        table = inside if isinstance(inside, dict) else {}
        if part not in table:
            missing = written[: max(1, length - len(path) + len(written))]
            known = [(*missing[:-1], name) for name in (table if len(missing) > 1 else _top_level(draft))]
            close = did_you_mean(dotted(missing), map(dotted, known))
            findings.add(origin, f"there is no '{dotted(missing)}' to unset{close}")
            return
        inside = table[part]
    _forget(draft, path, table.pop(path[-1]))
    if len(path) == 2 and not table:
        _forget(draft, path[:1], draft.table.pop(path[0]))


def _top_level(draft: Draft) -> list[str]:
    short = [short for short, (section, _) in SHORT_SPELLINGS.items() if section in draft.table]
    return [*draft.table, *short]


def _keep_one_length(draft: Draft, layer: Layer) -> None:
    """Let a length that `[train]` is given, like `steps`, replace one of another kind in the base."""
    new, old = layer.table.get("train"), draft.table.get("train")
    if not isinstance(new, dict) or not isinstance(old, dict):
        return
    given = [key for key in LENGTHS if key in new]
    for other in LENGTHS:
        if len(given) == 1 and other not in given and other in old:
            _forget(draft, ("train", other), old.pop(other))


def _merge(draft: Draft, layer: Layer, path: KeyPath, base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        inside = (*path, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            if _is_component(inside):
                _drop_on_change(draft, inside, base[key], value)
            draft.origins[inside] = layer.origins[inside]
            _merge(draft, layer, inside, base[key], value)
        else:
            _forget(draft, inside, base.get(key))
            base[key] = copy.deepcopy(value)
            _adopt(draft, layer, inside, value)


def _forget(draft: Draft, path: KeyPath, value: Any) -> None:
    draft.origins.pop(path, None)
    draft.kept_keys.discard(path)
    for key, item in value.items() if isinstance(value, dict) else ():
        _forget(draft, (*path, key), item)


def _adopt(draft: Draft, layer: Layer, path: KeyPath, value: Any) -> None:
    draft.origins[path] = layer.origins[path]
    for key, item in value.items() if isinstance(value, dict) else ():
        _adopt(draft, layer, (*path, key), item)


def _is_component(path: KeyPath) -> bool:
    return path[0] in SECTIONS and len(path) == (2 if SECTIONS[path[0]] else 1)


def _drop_on_change(draft: Draft, path: KeyPath, base: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Drop the parameters of the component that `over` replaces with another."""
    old, new = base.get("use"), over.get("use")
    if not isinstance(old, str) or not isinstance(new, str) or split_ref(old) == split_ref(new):
        return
    slot_keys = {key.name for kind in kinds_of(path[0]) for key in fields(KINDS[kind].settings)}
    draft.kept_keys |= {(*path, key) for key in slot_keys & base.keys()}
    dropped = [key for key in base if key != "use" and key not in slot_keys]
    for key in dropped:
        _forget(draft, (*path, key), base.pop(key))
    if gone := [key for key in dropped if key not in over]:
        where = draft.origin(path).where
        draft.notes.append(f"{where}: '{old}' became '{new}', so {', '.join(gone)} went with it")
