"""The recipe of a component's own package, shrunk until it trains in no time.

A method may need networks that nobody else has, such as those of a sampler, and a callback may look at what
only one method trains. If their package ships a recipe that names them, they are checked in that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from i2i.building.needs import beside
from i2i.errors import I2IError, ResourceError
from i2i.images.resizing import next_multiple
from i2i.kinds import LOSS_KINDS, kinds_of
from i2i.maps import as_features
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.schema import component_schema
from i2i.recipe.merge import read_draft
from i2i.recipe.origins import Findings
from i2i.testing.subjects import Subject, side_for, small

KEPT = ("generators", "discriminators", "networks", "losses", "stages")
"""The sections that are taken over. Optimizers, metrics and the length of the run are the kit's own."""

LEAST = 16
"""Pixels to a side, where the networks take so few."""


def own_recipe(subject: Subject) -> dict[str, Any] | None:
    """Return the tables of the first recipe of the method's package that names it and can be read here.

    Networks are built with what they name as `small`, and start from no file. The data are tiny pairs, unless
    its data set names something `small` itself. What would fetch weights, or needs label maps, is left out.
    """
    for table in _recipes(subject):
        if _full(table.get("method", {}).get("use", "")) == subject.entry.ref:
            return _shrunk(table, subject.catalog)
    return None


def recipe_around(subject: Subject, *, usual: str) -> dict[str, Any] | None:
    """Return the tables, shrunk, of the first recipe of a callback's package that names it.

    Only one whose method is another than `usual`, by which callbacks are tried otherwise.
    """
    for table in _recipes(subject):
        named = [_full(slot.get("use", "")) for slot in table.get("callbacks", {}).values()]
        method = _full(table.get("method", {}).get("use", usual))
        if subject.entry.ref in named and method != _full(usual):
            return _shrunk(table, subject.catalog)
    return None


def _recipes(subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield each recipe of a component's own package, with its parents."""
    for entry in subject.catalog.plugin(subject.entry.namespace, wanted=subject.entry.ref).recipes:
        yield _merged(entry.path(), subject.catalog)


def hands_out_features(tables: Mapping[str, Any], catalog: Catalog) -> bool:
    """Whether every discriminator of some tables hands out features."""
    judges = list(_built("discriminators", tables, catalog))
    found = []
    for judge in judges:
        image = torch.empty((2, 3, *[side_for(judge, at_least=LEAST)] * 2), device="meta")
        with torch.no_grad():
            found.append(bool(as_features(judge(image, **beside(judge, image)))))
    return all(found)


def _merged(path: Path, catalog: Catalog) -> dict[str, Any]:
    """Return a recipe with its parents; nothing where one of its plug-ins is not there."""
    try:
        table = read_draft(path, catalog, Findings()).table
    except I2IError:
        return {}  # the plug-in's own check `recipes` tells what is wrong with it
    known = catalog.namespaces()
    refs = [slot["use"] for section in KEPT for slot in table.get(section, {}).values() if "use" in slot]
    return table if all(split_ref(ref)[0] in known for ref in refs) else {}


def _shrunk(table: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    kept = {section: copy.deepcopy(table[section]) for section in KEPT if table.get(section)}
    for section in ("generators", "discriminators", "networks"):
        for slot in kept.get(section, {}).values():
            slot.pop("init_from", None)
            slot |= small(catalog.get(kinds_of(section), slot["use"]).load())
    kept["losses"] = {
        name: slot for name, slot in kept.get("losses", {}).items() if _works_on_pictures(slot, catalog)
    }
    transforms = {n: slot for n, slot in table.get("transforms", {}).items() if slot.get("at") == "judging"}
    kept |= {"transforms": copy.deepcopy(transforms)} if transforms else {}
    kept["method"] = dict(table["method"])
    kept["data"] = _data(table.get("data", {}), kept, catalog)
    return kept


def _data(table: Mapping[str, Any], kept: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    if "use" in table and split_ref(table["use"])[0] in catalog.namespaces():
        named = small(catalog.get(("data",), table["use"]).load())
        if named:
            return {**table, **named, "batch_size": 2}
    networks = [*_built("generators", kept, catalog), *_built("discriminators", kept, catalog)]
    multiple = math.lcm(1, *(getattr(network, "size_multiple", 1) for network in networks))
    least = max(LEAST, *(side_for(network, at_least=1) for network in networks))
    return {"size": next_multiple(least, multiple)}


def _works_on_pictures(slot: Mapping[str, Any], catalog: Catalog) -> bool:
    """Whether a loss works on tiny pictures, offline: it fetches nothing, and needs no label maps."""
    entry = catalog.get(LOSS_KINDS, slot["use"])
    factory, schema = component_schema(entry)
    if "fetch" in schema.injected or "labels" in getattr(factory, "requires", {}):
        return False
    try:
        Subject(entry, catalog, {name: value for name, value in slot.items() if name != "use"}).build()
    except ResourceError:
        return False  # its weights are not here
    return True


def _built(section: str, tables: Mapping[str, Any], catalog: Catalog) -> Iterator[nn.Module]:
    """Yield the networks of a section, built without memory."""
    for slot in tables.get(section, {}).values():
        entry = catalog.get(kinds_of(section), slot["use"])
        params = {name: value for name, value in slot.items() if name != "use"}
        with torch.device("meta"):
            yield Subject(entry, catalog, params).build()


def _full(ref: str) -> str:
    return "/".join(split_ref(ref))
