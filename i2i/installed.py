"""What Python knows of an installed distribution: where it is, how it came there, and whether it is whole.

Read from its metadata alone; nothing of it is imported.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

HASHES = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True)
class Record:
    """A distribution's files, compared with the hashes that its installer wrote down.

    `files` is how many have one, `changed` names those that are gone or other than they were, and `digest`
    is one sha256 for all of them, the same wherever the same files were installed.
    """

    state: Literal["unchanged", "changed", "none"]
    files: int = 0
    changed: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Need:
    """A dependency: what is asked for, and the version that is there ("" for none)."""

    name: str
    wanted: str
    installed: str
    met: bool


def editable_project(dist: Distribution) -> Path | None:
    """Return the folder that an editable installation leads to; None for any other."""
    try:
        origin = json.loads(dist.read_text("direct_url.json") or "{}")
        editable = origin.get("dir_info", {}).get("editable", False)
        return Path(url2pathname(urlsplit(origin["url"]).path)) if editable else None
    except (ValueError, AttributeError, KeyError, RecursionError):
        return None


def location(dist: Distribution) -> Path:
    """Return the folder that a distribution's modules are in, or its project's if it is editable."""
    return editable_project(dist) or Path(str(dist.locate_file("")))


def verify(dist: Distribution) -> Record:
    """Compare the files of a distribution with its RECORD; there is nothing to compare if it is editable."""
    hashed = list(_hashed(dist)) if editable_project(dist) is None else []
    if not hashed:
        return Record("none")
    changed = tuple(name for name, written in hashed if _hash(dist, name, written) != written)
    own = sorted(f"{name}={written}" for name, written in hashed if ".dist-info/" not in name)
    digest = hashlib.sha256("\n".join(own).encode("utf-8", "surrogateescape")).hexdigest()
    return Record("changed" if changed else "unchanged", len(hashed), changed, digest)


def _hashed(dist: Distribution) -> Iterator[tuple[str, str]]:
    # Distribution.files leaves out what is missing, which is what is looked for here.
    for row in csv.reader((dist.read_text("RECORD") or "").splitlines()):
        if len(row) == 3 and row[1]:
            yield row[0], row[1]


def _hash(dist: Distribution, name: str, like: str) -> str:
    """Return the hash of a file in the form and by the method of `like`; empty where there is none."""
    method = like.partition("=")[0]
    if method not in HASHES:
        return ""
    try:
        with Path(str(dist.locate_file(name))).open("rb") as file:
            digest = hashlib.file_digest(file, method).digest()
    except (OSError, ValueError):
        return ""
    return f"{method}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def stale(dist: Distribution) -> str:
    """Say why an editable installation is no longer what its folder holds; empty if it is."""
    project = editable_project(dist)
    if project is None:
        return ""
    if not project.is_dir():
        return f"is installed as editable from {project}, which is gone: install it anew or uninstall it"
    now = _table(project).get("version")
    if now in (None, dist.version):
        return ""
    return f"was installed as {dist.version}, and {project} is at {now} by now: install it anew"


def outdated(dist: Distribution, group: str) -> str:
    """Say what of its pyproject.toml an editable installation does not know yet; empty if nothing.

    That is its dependencies, and its entry points of `group`.
    """
    project = editable_project(dist)
    table = _table(project) if project else {}
    points = {point.name: point.value for point in dist.entry_points if point.group == group}
    missed = []
    try:
        if _plain(table.get("dependencies", ())) - _plain(dist.requires or ()):
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
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _plain(requirements: Iterable[str]) -> set[tuple[str, str]]:
    """Return requirements so that they can be compared: names and versions."""
    found: set[tuple[str, str]] = set()
    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue  # told by `needs`
        found.add((canonicalize_name(wanted.name), str(wanted.specifier)))
    return found


def needs(dist: Distribution) -> list[Need]:
    """Return what a distribution depends on without its extras, and what of it is there."""
    found = []
    for text in dist.requires or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            found.append(Need(text, "", "", met=False))  # nobody can say what it asks for
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            found.append(_need(wanted))
    return sorted(found, key=lambda need: need.name)


def _need(wanted: Requirement) -> Need:
    name, versions = canonicalize_name(wanted.name), str(wanted.specifier)
    try:
        version = distribution(wanted.name).version
    except PackageNotFoundError:
        return Need(name, versions, "", met=False)
    return Need(name, versions, version, met=wanted.specifier.contains(version, prereleases=True))
