"""What a plug-in promises as a whole: it registers, its entry module is thin, its recipes can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from i2i.plugins.catalog import split_ref
from i2i.recipe.merge import read_draft
from i2i.recipe.origins import Findings
from i2i.recipe.recipe import load_recipe
from i2i.testing.outcomes import PLUGIN, check, fail, require, told
from i2i.testing.subjects import PluginSubject

HEAVY = ("torch", "torchvision", "timm", "kornia", "PIL", "numpy")
"""What the entry module of a plug-in does not import, so that listing components stays quick."""

_REPORT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


@check("registers", PLUGIN)
def registers(subject: PluginSubject) -> None:
    """It can be imported, is for this version of the plug-in API, and registers all it has."""
    require(not subject.plugin.error, subject.plugin.error)
    require(
        subject.plugin.entries or subject.plugin.recipes or subject.plugin.layouts,
        "it registers nothing: call registry.generator(...) or another kind in i2i_register",
    )


@check("thin-import", PLUGIN, needs=["registers"])
def thin_import(subject: PluginSubject) -> None:
    """Importing a package's entry module imports none of torch, torchvision, timm, kornia, PIL and numpy."""
    if subject.plugin.is_file:
        return  # no list imports it, only those who name it with --plugin
    module = subject.plugin.module
    ended = subprocess.run(  # noqa: S603 - this interpreter and a module that is already imported
        [sys.executable, "-c", f"import {module}; {_REPORT}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=False,
    )
    reason = (ended.stderr.strip().splitlines() or ["it ended the process"])[-1]
    require(ended.returncode == 0, f"a fresh interpreter cannot import '{module}': {reason}")
    words = (ended.stdout.splitlines() or [""])[-1].split()
    found = [name for name in HEAVY if name in words]
    require(
        not found,
        f"importing '{module}' also imports {', '.join(found)}: register components as texts, "
        f"'{module}.part:Name', and import what they need in that other module",
    )


@check("recipes", PLUGIN, needs=["registers"])
def recipes(subject: PluginSubject) -> None:
    """Every recipe that it ships is in the package and is sound, where the plug-ins it names are there."""
    installed = subject.catalog.namespaces()

    def can_be_read(table: Mapping[str, Any]) -> bool:
        return all(split_ref(ref)[0] in installed for ref in _references(table))

    for entry in subject.plugin.recipes:
        if can_be_read(tomllib.loads(entry.path().read_text(encoding="utf-8"))):
            # Its parents may name others: what `extends` pix2pix wants the images that pix2pix names.
            whole = read_draft(entry.path(), subject.catalog, Findings())
            if can_be_read(whole.table):
                load_recipe(entry.path(), catalog=subject.catalog)


def _references(table: Any) -> Iterator[str]:
    """Yield what every `use` in a recipe names, and the plug-in of its parent."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _references(value)
        elif key in ("use", "extends") and isinstance(value, str) and not value.endswith(".toml"):
            yield value


@check("layouts", PLUGIN, needs=["registers"])
def layouts(subject: PluginSubject) -> None:
    """Every layout of weights loads, leads to a component that is installed, and claims no file of others."""
    for entry in subject.plugin.layouts:
        layout = entry.load()
        if split_ref(layout.component)[0] in subject.catalog.namespaces():
            subject.catalog.get((layout.kind,), layout.component)
        for shapes in ({}, OTHERS):
            try:
                claimed = layout.claims(shapes)
            except Exception as error:
                fail(f"the layout '{entry.name}' was asked about {_of(shapes)} and raised {told(error)}")
            require(
                not claimed,
                f"the layout '{entry.name}' claims {_of(shapes)}: `claims` is True for what its own network "
                "has and no other",
            )


OTHERS = {"backbone.stem.weight": (8, 3, 3, 3), "weight": (4,), "step": (), "0": (2, 2)}
"""Tensors as a file of any network may hold them."""


def _of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return f"a file with the tensors {', '.join(shapes)}" if shapes else "a file without tensors"


CHECKS = (registers, thin_import, recipes, layouts)
