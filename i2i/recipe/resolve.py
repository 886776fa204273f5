"""A draft's tables checked against the components they name: slots, or every mistake at once.

First each table's component is found and its keys read from the signature, then all keys are judged:
knowing every component of the recipe, a misplaced key can be sent to where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from i2i.errors import I2IError, did_you_mean
from i2i.kinds import KINDS, NETWORK_SECTIONS, SECTIONS, kinds_of
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.schema import Bound, Reading, Schema, bind, schema_of, slot_schema
from i2i.plugins.versions import version_skew
from i2i.recipe.layers import FORMAT, SHORT_SPELLINGS
from i2i.recipe.merge import Draft
from i2i.recipe.origins import Findings, Origin, dotted
from i2i.recipe.requires import SECTION as REQUIRES
from i2i.recipe.requires import check_requires
from i2i.recipe.slots import LENGTHS, STAGES, HeadSettings, Slot, StageSettings, TrainSettings
from i2i.recipe.toml_lines import KeyPath
from i2i.registry import Entry

HEAD = schema_of(HeadSettings, owner="a recipe")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STAGE = schema_of(StageSettings, owner="a stage")
TRAIN = schema_of(TrainSettings, owner="[train]")

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_SAVE_BEST = re.compile(r"[^:\s]+(\([^:]+\))?:(min|max)")
_SINGULAR = {kind.name: kind.section for kind in KINDS.values() if kind.named} | {"loss": "losses"}


@dataclass
class Resolved:
    """What a draft amounts to; `table` is what resolved.toml holds.

    Where problems were noted, `slots` has only the components that were found, and `incomplete` the
    sections that miss one: checks across slots keep silent about those.
    """

    table: dict[str, Any]
    head: HeadSettings | None = None
    train: TrainSettings | None = None
    slots: dict[str, Slot] = field(default_factory=dict)
    stages: dict[str, StageSettings] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Part:
    """One component's table, as its signature reads it."""

    path: KeyPath
    table: Mapping[str, Any]
    entry: Entry
    bound: Bound

    @property
    def slot_keys(self) -> Schema:
        return slot_schema(self.entry.kind)


def resolve(draft: Draft, catalog: Catalog, findings: Findings) -> Resolved:
    """Check every key of `draft` and return its slots; mistakes go to `findings`."""
    resolver = _Resolver(draft, catalog, findings)
    parts = {path: resolver.part(path, table) for path, table in resolver.component_tables()}
    resolver.parts = [part for part in parts.values() if part is not None]
    resolver.result.incomplete |= {path[0] for path, part in parts.items() if part is None}
    resolver.head()
    for section in draft.table:
        if section == "train":
            resolver.train()
        if section == STAGES:
            resolver.stages()
        if section == REQUIRES:
            resolver.result.table[section] = check_requires(draft, catalog, findings)
        for part in resolver.parts:
            if part.path[0] == section:
                resolver.slot(part)
    return resolver.result


class _Resolver:
    """Turns tables into slots; `parts` are the components that were found."""

    def __init__(self, draft: Draft, catalog: Catalog, findings: Findings) -> None:
        self.draft = draft
        self.catalog = catalog
        self.findings = findings
        self.parts: list[_Part] = []
        self.result = Resolved(table={"recipe": FORMAT})

    def component_tables(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield every component's table with its path, in file order; note what is no table."""
        for section, content in self.draft.table.items():
            if section not in SECTIONS:
                continue
            if not isinstance(content, dict):
                example = f"[{section}.NAME]" if SECTIONS[section] else f"[{section}]"
                self._no_table((section,), f"'{section}' is a table: write {example} and `use` below it")
            elif not SECTIONS[section]:
                yield (section,), content
            else:
                for name, table in content.items():
                    if not isinstance(table, dict):
                        message = f"[{section}] holds tables alone: write [{section}.NAME] and `use` below it"
                        self._no_table((section, name), message)
                    elif section not in {"optimizers", "schedules"} and not _NAME.fullmatch(name):
                        message = "a table's name is made of a-z, 0-9, '_' and '-', at most 64 of them"
                        self._no_table((section, name), message)
                    else:
                        yield (section, name), table

    def _no_table(self, path: KeyPath, message: str) -> None:
        self.result.incomplete.add(path[0])
        self.findings.add(self.draft.origin(path), message)

    def part(self, path: KeyPath, table: Mapping[str, Any]) -> _Part | None:
        """Find the component that a table names."""
        origin = self.draft.origin((*path, "use"))
        ref = table.get("use")
        if not isinstance(ref, str):
            what = "loss" if path[0] == "losses" else kinds_of(path[0])[0]
            message = f"[{self.draft.origin(path).where}] needs `use`, the {what} in quotes"
            self.findings.add(origin, message + _unquoted(path, table))
            return None
        try:
            entry = self.catalog.get(kinds_of(path[0]), ref)
            bound = bind(entry, table, self._words(path, table))
        except I2IError as error:
            self.findings.add_error(origin, error, self._skew(ref))
            return None
        return _Part(path, table, entry, bound)

    def slot(self, part: _Part) -> None:
        """Note what is wrong with one component's table, and add its slot."""
        kind, bound = KINDS[part.entry.kind], part.bound
        for key in bound.unknown:
            path = (*part.path, key)
            if path in self.draft.kept_keys:
                continue
            if key in kind.injected:
                message = f"'{key}' is given to {part.entry.ref} by i2i itself; leave it out"
                self.findings.add(self.draft.origin(path), message)
            else:
                known = {"use", *bound.schema.names, *part.slot_keys.names}
                self._unknown(path, bound.schema, known, skew=self._skew(part.entry.ref))
        self._refused(part.path, part.table, bound.settings.errors)
        self._refused(part.path, part.table, bound.errors)
        slot = Slot(
            section=part.path[0],
            name=part.path[1] if len(part.path) > 1 else "",
            entry=part.entry,
            factory=bound.factory,
            params=bound.values,
            settings=kind.settings(**bound.settings.values),
            injected=bound.schema.injected,
            origins={
                "": self.draft.origin(part.path),
                **{key: self.draft.origin((*part.path, key)) for key in part.table},
            },
        )
        self.result.slots[slot.path] = slot
        table = self.result.table
        for name in part.path[:-1]:
            table = table.setdefault(name, {})
        table[part.path[-1]] = {"use": part.entry.ref, **bound.settings.toml, **bound.toml}

    def _skew(self, ref: str) -> str:
        """Say that the recipe was written with another version of a component's plug-in, if it was."""
        namespace, _ = split_ref(ref)
        return version_skew(self.draft.written, namespace, self.catalog.record(namespace))

    def head(self) -> None:
        """Check the keys above the first table, and that every table is a known one."""
        plain = {key: value for key, value in self.draft.table.items() if key in HEAD.names}
        before = len(self.findings)
        head = self._read((), plain, HEAD)
        for key in self.draft.table:
            if key in _SINGULAR and key not in SECTIONS:
                section = _SINGULAR[key]
                message = f"there is no [{key}] in a recipe; write [{section}.NAME]"
                self.findings.add(self.draft.origin((key,)), message)
            elif key not in (known := {*HEAD.names, *SECTIONS, "train", STAGES, REQUIRES}):
                self._unknown((key,), HEAD, {*known, *SHORT_SPELLINGS, "extends", "unset"})
        if not RUN_NAME.fullmatch(head.values.get("name", "x")):
            message = "a recipe's name becomes a folder's: letters, digits, '.', '_' and '-', at most 64"
            self.findings.add(self.draft.origin(("name",)), message)
        if "\n" in head.values.get("summary", ""):
            self.findings.add(self.draft.origin(("summary",)), "a summary is one line")
        if len(self.findings) == before:
            self.result.head = HeadSettings(**head.values)
        self.result.table |= head.toml

    def train(self) -> None:
        """Check the keys of `[train]`."""
        table = self.draft.table["train"]
        if not isinstance(table, dict):
            self.findings.add(self.draft.origin(("train",)), "'train' is a table: write [train]")
            return
        before = len(self.findings)
        for key in table:
            if key not in TRAIN.names:
                self._unknown(("train", key), TRAIN, {*TRAIN.names})
        train = self._read(("train",), table, TRAIN)
        lengths = [key for key in LENGTHS if key in table]
        if len(lengths) != 1:
            origin = self.draft.origin(("train", lengths[1]) if lengths else ("train",))
            found = " and ".join(f"`{key}`" for key in lengths) or "none"
            self.findings.add(
                origin, f"[train] has one of `steps`, `epochs` and `minutes`; here it has {found}"
            )
        if train.values["patience"] is not None and train.values["save_best"] is None:
            message = '`patience` waits for a better `save_best` figure: add one, like save_best = "mae:min"'
            self.findings.add(self.draft.origin(("train", "patience")), message)
        if not _SAVE_BEST.fullmatch(train.values["save_best"] or "mae:min"):
            message = '`save_best` names a figure and which way is better, like "mae:min" or "psnr:max"'
            self.findings.add(self.draft.origin(("train", "save_best")), message)
        if len(self.findings) == before:
            self.result.train = TrainSettings(**train.values)
        self.result.table["train"] = train.toml

    def stages(self) -> None:
        """Check the tables of `[stages]`, each by itself."""
        content = self.draft.table[STAGES]
        if not isinstance(content, dict):
            self.findings.add(self.draft.origin((STAGES,)), "'stages' is a table: write [stages.NAME]")
            return
        for name, table in content.items():
            path, before = (STAGES, name), len(self.findings)
            if not isinstance(table, dict) or not _NAME.fullmatch(name):
                message = f"[{STAGES}] holds tables of such names alone: write [{STAGES}.first]"
                self.findings.add(self.draft.origin(path), message)
                continue
            for key in table.keys() - {*STAGE.names}:
                self._unknown((*path, key), STAGE, {*STAGE.names})
            stage = self._read(path, table, STAGE)
            if len(self.findings) == before:
                self.result.stages[name] = StageSettings(**stage.values)
            self.result.table.setdefault(STAGES, {})[name] = stage.toml

    def _read(self, path: KeyPath, table: Mapping[str, Any], schema: Schema) -> Reading:
        """Read the keys of `schema`; note what is refused or missing."""
        reading = schema.read(table, self._words(path, table))
        self._refused(path, table, reading.errors)
        return reading

    def _words(self, path: KeyPath, table: Mapping[str, Any]) -> dict[str, str]:
        """Return the bare words that the command line gave for keys of a table."""
        return {key: word for key in table if (word := self.draft.origin((*path, key)).word) is not None}

    def _refused(self, path: KeyPath, table: Mapping[str, Any], errors: Mapping[str, str]) -> None:
        """Note the keys of a table that are refused or missing."""
        for key, message in errors.items():
            origin = self.draft.origin((*path, key))
            if key not in table and "use" in table:
                # What is missing stands nowhere: `use` is what asks for it.
                use = self.draft.origin((*path, "use"))
                origin = Origin(origin.where, use.file, use.line, use.rank)
            self.findings.add(origin, message, self._skew(table["use"]) if "use" in table else "")

    def _unknown(self, path: KeyPath, schema: Schema, known: set[str], *, skew: str = "") -> None:
        """Note an unknown key, with the key or the table that was probably meant."""
        key = path[-1]
        near = get_close_matches(key, known, n=1, cutoff=0.8)
        advice = did_you_mean(key, near) or self._belongs(path) or did_you_mean(key, known)
        names = (schema.names or sorted(known - {"use"})) if len(path) > 1 else sorted(known)
        keys = f"keys: {', '.join(names)}" if names else "it has no keys"
        hint = "; ".join(filter(None, (keys, skew)))
        self.findings.add(self.draft.origin(path), f"unknown key '{key}' for {schema.owner}{advice}", hint)

    def _belongs(self, path: KeyPath) -> str:
        """Say which other table takes this key, the optimizer of a network before any other."""
        *around, key = path
        if len(path) > 1 and key in HEAD.names:
            return " - it belongs above the first table"
        homes: dict[str, list[str]] = {}
        for part in self.parts:
            if key in part.bound.schema.names or key in part.slot_keys.names:
                homes.setdefault(part.path[0], []).append(self.draft.origin(part.path).where)
        if key in TRAIN.names:
            homes["train"] = ["train"]
        if key in slot_schema("data").names:
            homes["data"] = ["data"]
        titles: list[str] = []
        for section, tables in homes.items():
            own = [dotted((section, ".".join(around))), dotted((section, *around[:1]))]
            close = [title for title in own if title in tables]
            if section not in around[:1]:
                titles.append((close or tables)[0] if close or len(tables) == 1 else f"{section}.NAME")
        return f" - it belongs in {' or '.join(f'[{title}]' for title in titles[:2])}" if titles else ""


def _unquoted(path: KeyPath, table: Mapping[str, Any]) -> str:
    """Help with ``[optimizers.discriminators.patch]``, which lacks the quotes of a slot path."""
    inner = next((name for name, value in table.items() if isinstance(value, dict)), None)
    if path[0] == "schedules" and path[1] == "losses" and inner:
        return f'; for the weight of a loss write [schedules."losses.{inner}"]'
    if path[0] in {"optimizers", "schedules"} and path[1] in NETWORK_SECTIONS and inner:
        return f'; for one network alone write [{path[0]}."{path[1]}.{inner}"]'
    return ""
