"""What Python knows of an installed distribution: where it is, how it came there, and whether it is whole.

Read from its metadata alone; nothing of it is imported.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from i2i.plugins.entry_points import name_and_version

CODE = frozenset({".py", ".pyc", ".so", ".pyd"})
HASHES = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True)
class Record:
    """A distribution's files, compared with the hashes that its installer wrote down.

    `files` is how many have one, `changed` names those that are gone or other than they were, `added` code
    that came into its packages later, and `digest` is one sha256 for all files, the same wherever the same
    were installed.
    """

    state: Literal["unchanged", "changed", "none"]
    files: int = 0
    changed: tuple[str, ...] = ()
    digest: str = ""
    added: tuple[str, ...] = ()


@dataclass(frozen=True)
class Need:
    """A dependency: what is asked for, and the version that is there ("" for none).

    Where nobody can say what is asked for, `readable` is false and the whole text is the `name`.
    """

    name: str
    wanted: str
    installed: str
    met: bool
    readable: bool = True


def editable_project(dist: Distribution) -> Path | None:
    """Return the folder that an editable installation leads to; None for any other."""
    try:
        origin = json.loads(dist.read_text("direct_url.json") or "{}")
        editable = origin.get("dir_info", {}).get("editable", False) is True
        folder = Path(url2pathname(urlsplit(origin["url"]).path)) if editable else Path()
        return folder if folder.is_absolute() and folder.resolve() else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def location(dist: Distribution) -> Path:
    """Return the folder that a distribution's modules are in, or its project's if it is editable."""
    return editable_project(dist) or Path(str(dist.locate_file("")))


def verify(dist: Distribution) -> Record:
    """Compare the files of a distribution with its RECORD; there is nothing to compare if it is editable."""
    rows = _rows(dist) if editable_project(dist) is None else []
    hashed = [(name, written) for name, written in rows if written]
    if not hashed:
        return Record("none")
    changed = tuple(name for name, written in hashed if not _is_unchanged(dist, name, written))
    own = sorted(f"{name}={written}" for name, written in hashed if ".dist-info/" not in name)
    digest = hashlib.sha256("\n".join(own).encode("utf-8", "surrogateescape")).hexdigest()
    added = tuple(sorted(_added(dist, {name for name, _ in rows})))
    return Record("changed" if changed else "unchanged", len(hashed), changed, digest, added)


def _rows(dist: Distribution) -> list[tuple[str, str]]:
    """Return the files of a RECORD with their hashes, "" for one without; nothing where it cannot be read."""
    # Distribution.files leaves out what is missing, which is what is looked for here.
    try:
        rows = csv.reader((dist.read_text("RECORD") or "").splitlines())
        return [(row[0], row[1]) for row in rows if len(row) == 3]
    except (OSError, ValueError, csv.Error):
        return []


def _added(dist: Distribution, recorded: set[str]) -> Iterator[str]:
    """Yield the code in a distribution's own packages that its installer did not write there."""
    site = Path(str(dist.locate_file("")))
    for name in recorded:
        package, slash, inside = name.partition("/")
        if not slash or inside != "__init__.py":
            continue  # another distribution may put its own modules beside these
        for path in (site / package).rglob("*"):
            relative = path.relative_to(site).as_posix()
            if path.suffix in CODE and path.parent.name != "__pycache__" and relative not in recorded:
                yield relative


def _is_unchanged(dist: Distribution, name: str, written: str) -> bool:
    """Whether a file has the hash that was written down for it, like ``sha256=47DEQpj8HBSa-_TI…``."""
    method, _, value = written.partition("=")
    try:
        path = Path(str(dist.locate_file(name)))
        if method not in HASHES or not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, method).digest()
    except (OSError, ValueError):
        return False
    return value == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def stale(dist: Distribution) -> str:
    """Say why an editable installation is no longer what its folder holds; empty if it is."""
    project = editable_project(dist)
    if project is None:
        return ""
    if not os.path.isdir(project):  # Path.is_dir raises where a folder on the way may not be entered
        return f"is installed as editable from {project}, which is gone: install it anew or uninstall it"
    now, (_, then) = _table(project).get("version"), name_and_version(dist)
    if now in (None, then):
        return ""
    return f"was installed as {then}, and {project} is at {now} by now: install it anew"


def outdated(dist: Distribution, group: str) -> str:
    """Say what of its pyproject.toml an editable installation does not know yet; empty if nothing.

    That is its dependencies, and its entry points of `group`.
    """
    project = editable_project(dist)
    table = _table(project) if project else {}
    points = {point.name: point.value for point in dist.entry_points if point.group == group}
    missed = []
    try:
        if _plain(table.get("dependencies", ())) - _plain(_requirements(dist)):
            missed.append("dependencies")
        if table.get("entry-points", {}).get(group, points) != points:
            missed.append("entry points")
    except (TypeError, AttributeError):
        return ""  # it is no table of a project, whatever else it is
    if not missed:
        return ""
    return f"has new {' and '.join(missed)} in {project} since it was installed: install it anew"


def _table(project: Path) -> dict[str, Any]:
    """Return what a project's pyproject.toml says of it; nothing where it cannot be read."""
    try:
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _plain(requirements: Iterable[str]) -> set[tuple[str, str]]:
    """Return requirements so that they can be compared: names and versions."""
    found: set[tuple[str, str]] = set()
    for text in requirements:
        with suppress(InvalidRequirement):  # told by `needs`
            wanted = Requirement(text)
            found.add((canonicalize_name(wanted.name), str(wanted.specifier)))
    return found


def needs(dist: Distribution) -> list[Need]:
    """Return what a distribution depends on without its extras, and what of it is there."""
    found = []
    for text in _requirements(dist):
        try:
            wanted = Requirement(text)
            counts = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        except (ValueError, KeyError):  # it does not parse, or compares what cannot be compared
            found.append(Need(text, "", "", met=False, readable=False))
            continue
        if counts:
            found.append(_need(wanted))
    return sorted(found, key=lambda need: need.name)


def _requirements(dist: Distribution) -> list[str]:
    try:
        return dist.requires or []
    except (OSError, ValueError):  # its metadata cannot be read
        return []


def _need(wanted: Requirement) -> Need:
    name, versions = canonicalize_name(wanted.name), str(wanted.specifier)
    try:
        _, version = name_and_version(distribution(wanted.name))
    except PackageNotFoundError:
        return Need(name, versions, "", met=False)
    try:
        met = wanted.specifier.contains(version, prereleases=True)
    except ValueError:  # the version is none
        met = False
    return Need(name, versions, version, met=met or not versions)
