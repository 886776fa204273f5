"""What the header of a network's weights file says: the component, how it is run, the data it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from i2i.errors import DataError, RecipeError
from i2i.kind_table import changes_spec
from i2i.plugins.versions import both_versions
from i2i.recipe.recipe import Recipe
from i2i.recipe.slots import Slot
from i2i.records import GeneratorSlot, PairSpec, Pictures, Scale, Side, TestSettings
from i2i.registry import Entry

if TYPE_CHECKING:
    from torch import Tensor

OF_THE_MACHINE = ("workers", "cache", "fingerprint")
"""Slot keys of the data that change nothing in what it is."""


@dataclass(frozen=True)
class Reading:
    """How pictures become what a generator reads, where transforms of the recipe change what pairs are.

    `spec` is what the data set handed out, and `transforms` are the tables of those transforms, by name, in
    order, without paths of the machine.
    """

    spec: PairSpec
    transforms: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Made:
    """What a component was made of.

    `slot` is its table in the recipe; `component`, `rev`, `distribution` and `version` say what its `use`
    meant; `given` are the channels that the engine gave to a network (older files leave them out).
    """

    component: str
    rev: int
    distribution: str
    version: str
    slot: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def written_with(self) -> str:
        """The distribution and version of the component that wrote the weights."""
        return f"{self.distribution} {self.version}"

    def check(self, entry: Entry, *, path: Path) -> list[str]:
        """Compare the component that wrote the file `path` with the installed one.

        Returns notes on what is harmless. Raises RecipeError when the weights no longer mean the same:
        another component, another revision.
        """
        then, now = self.written_with, f"{entry.distribution} {entry.version}"
        old, new = (
            f"{ref} revision {rev}" for ref, rev in ((self.component, self.rev), (entry.ref, entry.rev))
        )
        if old != new:
            cause = f"both are of {now}" if then == now else both_versions(then, now)
            cure = "Train anew." if then == now else "Train anew, or use the version it was written with."
            raise RecipeError(
                f"{path} holds {old}, and installed is {new}: its weights no longer mean the same "
                f"({cause}). {cure}"
            )
        return [] if then == now else [f"{path} was written with {then}; installed is {now}."]


@dataclass(frozen=True)
class ModelHeader(Made):
    """All that is needed to build a network and to run it, as it stands in the header of its weights file.

    `name` is the network's in its recipe. Of a generator `pair_spec` holds the images it reads and writes,
    which are of the sides `reads` and `writes`, and `test` says how it is run; `method` is what trained it
    (None in older files). Where that translates with more than one pass of the generator, the file holds
    all `networks` that it takes, by path, and their tensors under these. `data` and `metrics` are the
    recipe's, without paths of the machine; `scale` says at which scale pictures were trained, `pictures`
    what they were like, and `reading` which transforms are part of it, if any.
    """

    provenance: Mapping[str, Any] = field(default_factory=dict)
    name: str = "main"
    reads: tuple[Side, ...] = ("source",)
    writes: Side = "target"
    method: Made | None = None
    networks: Mapping[str, Made] = field(default_factory=dict)
    pair_spec: PairSpec | None = None
    test: TestSettings | None = None
    data: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] | None = None
    scale: Scale | None = None
    pictures: Pictures | None = None
    reading: Reading | None = None

    @property
    def role(self) -> GeneratorSlot:
        """The sides of a pair that a generator reads and writes."""
        return GeneratorSlot(self.reads, self.writes)

    @classmethod
    def read(cls, entries: Mapping[str, Any], *, path: Path) -> ModelHeader:
        """Return what the header of the file `path` says; entries that this version does not know are left.

        A provenance that is no table counts as none: it is told to people, and nothing is built from it.

        Raises DataError where an entry is missing or of another kind.
        """
        about = entries.get("provenance")
        try:
            known = {**entries, "provenance": about if isinstance(about, Mapping) else {}}
            return _HEADERS.validate_json(json.dumps(known), strict=True)
        except (ValidationError, ValueError) as error:
            first = error.errors()[0]["loc"] if isinstance(error, ValidationError) else ()
            entry = ".".join(map(str, first)) or "an entry"
            raise DataError(
                f"{path} is not a model: its header describes no network ('{entry}' is missing or damaged)."
            ) from error

    def entries(self) -> dict[str, Any]:
        """Return the header as JSON values; what is not known is left out."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        names = ("pair_spec", "test", "pictures", "method", "reading")
        records: dict[str, Any] = {name: asdict(known[name]) for name in names if known[name] is not None}
        records["networks"] = {path: asdict(made) for path, made in self.networks.items()}
        unsaid: tuple[Any, ...] = (None, {})  # an empty table says no more than none
        return {name: value for name, value in (known | records).items() if value not in unsaid}

    def network(self, path: str, tensors: Mapping[str, Tensor]) -> tuple[ModelHeader, Mapping[str, Tensor]]:
        """Return what the file says of its network at `path`, and that one's tensors, of all of the file.

        A file that holds a single network is of that one, whatever the path.
        """
        if path not in self.networks:
            return self, tensors
        start, made = f"{path}.", self.networks[path]
        own = {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
        return replace(self, **{each.name: getattr(made, each.name) for each in fields(made)}), own

    def generator(self, *, path: Path) -> tuple[PairSpec, TestSettings]:
        """Return the images that a generator reads and writes, and how it is run.

        Raises DataError where the file `path` holds no generator.
        """
        if self.pair_spec is None or self.test is None:
            raise DataError(f"{path} is not a model: its header describes no generator.")
        return self.pair_spec, self.test

    def pair(self, *, path: Path) -> PairSpec:
        """Return the pairs that a generator was trained on, of which it may read and write any sides.

        Raises DataError where the file `path` holds no generator, or one that saw a single side: nothing is
        known of the other then.
        """
        seen, _ = self.generator(path=path)
        other: Side = "source" if self.writes == "target" else "target"
        if other not in self.reads:
            raise DataError(f"{path} holds a generator that saw one side of its pairs alone.")
        beside = seen.source
        if self.reads != (other,):  # a stack, of which the side that it writes is a part
            written = seen.target.channels * (len(self.reads) - 1)
            beside = replace(beside, channels=beside.channels - written)
        sides = {self.writes: seen.target, other: beside}
        return PairSpec(sides["source"], sides["target"], seen.aligned)

    def unlike(
        self, slot: Slot, table: Mapping[str, Any], channels: Mapping[str, int]
    ) -> dict[str, tuple[Any, Any]]:
        """Return what this network and a slot's are made of where they differ: key -> (this, the slot's).

        `table` is the slot's as the recipe has it, `channels` are those of its images. Of another component
        all keys differ that only one of the two has, and those have None for the other.
        """
        sides = (self.pair_spec.source, self.pair_spec.target) if self.pair_spec else ()
        of_images = zip(("in_channels", "out_channels"), (side.channels for side in sides), strict=False)
        given = self.given or dict(of_images)
        there = {"use": "", **self.slot, **given} | {"use": self.component}
        here = {**table, **{key: channels[key] for key in given if key in channels}} | {"use": slot.entry.ref}
        other = self.component != slot.entry.ref
        return {
            key: (there.get(key), here.get(key))
            for key in {**there, **here}
            if (other or (key in there and key in here))
            and there.get(key) != here.get(key)
            and not key.startswith(("init", "frozen"))
        }


_HEADERS = TypeAdapter(ModelHeader)


def shareable(recipe: Recipe) -> dict[str, Any]:
    """Return the data and metrics of `recipe` as a model file carries them: without paths of this machine."""
    data = {"data": _without_paths(recipe.data, recipe.table["data"])}
    for key in OF_THE_MACHINE:
        data["data"].pop(key, None)
    metrics = {
        slot.name: _without_paths(slot, recipe.table["metrics"][slot.name])
        for slot in recipe.section("metrics")
    }
    return data | ({"metrics": metrics} if metrics else {})


def made_of(slot: Slot, recipe: Recipe, given: Mapping[str, Any] = {}) -> Made:
    """Return what the component of a slot is made of; `given` are the channels that a network is given."""
    entry, table = slot.entry, recipe.table[slot.section]
    own = portable(slot, table[slot.name] if slot.name else table)
    return Made(entry.ref, entry.rev, entry.distribution, entry.version, own, given)


def reading(recipe: Recipe, spec: PairSpec | None) -> Reading | None:
    """Return what a model file says of transforms that change pairs of `spec`.

    None where there is no such transform, or no `spec` of before it.
    """
    tables = {
        slot.name: _without_paths(slot, recipe.table["transforms"][slot.name])
        for slot in recipe.section("transforms")
        if changes_spec(slot.factory)
    }
    return Reading(spec, tables) if spec is not None and tables else None


def portable(slot: Slot, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's table as a weights file carries it: without the paths it can do without."""
    optional = {name for name, p in signature(slot.factory).parameters.items() if p.default is None}

    def dropped(key: str) -> bool:
        of_component = key in optional and holds_path(slot.params.get(key))
        return of_component or holds_path(getattr(slot.settings, key, None))

    return {key: value for key, value in table.items() if not dropped(key)}


def _without_paths(slot: Slot, table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if not holds_path(slot.params.get(key))}


def holds_path(value: Any) -> bool:
    """Whether a key's value is a path, or has one in it."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(holds_path, value))
    return isinstance(value, Path)
