"""`[requires]`: the versions of i2i and of plug-ins that a recipe or a benchmark needs, and what is here.

    [requires]
    i2i = ">=0.1"
    plugins.timm = ">=0.1,<2"

Only what is installed is looked at; no plug-in is imported for it. A version that does not fit is told like
a plug-in that is missing: the recipe is sound, and would run elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from i2i._version import __version__
from i2i.errors import PluginError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.plugins.discovery import LOCAL
from i2i.recipe.merge import Draft
from i2i.recipe.origins import Findings
from i2i.recipe.toml_lines import KeyPath

SECTION = "requires"
KEYS = ("i2i", "plugins")
_EXAMPLE = 'write it like ">=0.1" or ">=0.1,<2"'
_WAY_OUT = {"recipe": "unset this line", "benchmark": "take this line out"}
"""What to do, in a recipe and in a benchmark's file, about a version that is wanted for no good reason."""

Owner = Literal["recipe", "benchmark"]
"""What has the `[requires]`, in words."""


def check_requires(
    draft: Draft, catalog: Catalog, findings: Findings, *, owner: Owner = "recipe"
) -> dict[str, Any]:
    """Note what `[requires]` asks for in vain, and return the table as resolved.toml holds it."""
    table = draft.table.get(SECTION)
    if not isinstance(table, dict):
        findings.add(draft.origin((SECTION,)), f"'{SECTION}' is a table: write [{SECTION}]")
        return {}
    for path, text in _versions(table, draft, findings):
        origin = draft.origin(path)
        wanted = _specifiers(text)
        if wanted is None:
            shown = f"'{text}'" if isinstance(text, str) else "this"
            findings.add(origin, f"{shown} is no range of versions; {_EXAMPLE}")
        elif reason := (
            _i2i(wanted, owner) if path == (SECTION, "i2i") else _plugin(path[-1], wanted, catalog, owner)
        ):
            findings.add_error(origin, PluginError(reason))
    return table


def _versions(table: Mapping[str, Any], draft: Draft, findings: Findings) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each key that holds a version, and note the others."""
    for key, value in table.items():
        path = (SECTION, key)
        if key not in KEYS:
            close = did_you_mean(key, KEYS) or f" - for a plug-in write plugins.{key}"
            message = f"unknown key '{key}' for [{SECTION}]{close}"
            findings.add(draft.origin(path), message, f"keys: {', '.join(KEYS)}")
        elif key == "i2i":
            yield path, value
        elif isinstance(value, dict):
            yield from (((*path, name), text) for name, text in value.items())
        else:
            findings.add(draft.origin(path), f'a plug-in is named: {SECTION}.plugins.NAME = ">=0.1"')


def _specifiers(text: object) -> SpecifierSet | None:
    try:
        return SpecifierSet(text) if isinstance(text, str) else None
    except InvalidSpecifier:
        return None


def _i2i(wanted: SpecifierSet, owner: Owner) -> str:
    if wanted.contains(__version__, prereleases=True):
        return ""
    return f"this {owner} needs i2i {wanted}, and installed is {__version__}: {_cure(owner)}."


def _cure(owner: Owner) -> str:
    return f"install one that fits, or {_WAY_OUT[owner]} if you know better"


def _plugin(namespace: str, wanted: SpecifierSet, catalog: Catalog, owner: Owner) -> str:
    """Say why a plug-in of the versions `wanted` cannot be had, if that is so."""
    record = catalog.record(namespace)
    needs = f"this {owner} needs the plug-in '{namespace}'{f' {wanted}' if str(wanted) else ''}"
    if record is None:
        names = catalog.namespaces()
        close = did_you_mean(namespace, names) or "."
        return f"{needs}; none is installed{close} Installed: {', '.join(names) or 'none'}."
    if record.disabled:
        return f"{needs}, which I2I_DISABLE switches off."
    if record.error:
        return record.error
    if namespace == LOCAL:
        return f"the plug-in '{LOCAL}' is a file without a version; take it out of [{SECTION}]."
    if not str(wanted):
        return ""
    try:
        fits = wanted.contains(Version(record.version), prereleases=True)
    except InvalidVersion:
        fits = False
    if fits:
        return ""
    return f"{needs}, and installed is {record.distribution} {record.version}: {_cure(owner)}."
