"""The state of an installation: versions, machine, and every plug-in with what is wrong about it.

Plug-ins are loaded as any list of components would, those that are switched off are not; components are
not imported. What is wrong is a problem; what only deserves a look is a note.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from itertools import combinations
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import i2i
from i2i.download import cache_folder
from i2i.installed import Need, Record, editable_project, location, needs, outdated, stale, verify
from i2i.plugins import GROUP, Plugin, Plugins

OWN = {
    "core": "i2i-toolkit",
    "kornia": "i2i-kornia",
    "openmoji": "i2i-openmoji",
    "ray": "i2i-ray",
    "timm": "i2i-timm",
}
"""The project's own plug-ins, and the distributions that they come from."""


@dataclass(frozen=True)
class PluginFacts:
    """One plug-in of one distribution; `state` is "ready", "switched off" or "unusable"."""

    namespace: str
    distribution: str
    version: str
    location: str
    editable: bool
    api: int | None
    components: int
    recipes: int
    state: str
    record: Record


@dataclass(frozen=True)
class Health:
    """Everything that was found; `problems` and `notes` are sentences."""

    versions: dict[str, str]
    machine: dict[str, Any]
    packages: tuple[Need, ...]
    plugins: tuple[PluginFacts, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {"ok": not self.problems, **asdict(self)}


def examine(plugins: Plugins) -> Health:
    """Look at this environment and at `plugins`, which are loaded for it."""
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name))
    owners = {_name(point.dist): point.dist for point in points if point.dist is not None}
    records = {name: verify(dist) for name, dist in owners.items()}
    versions, devices, problems = _versions()
    problems += [record.error.rstrip(".") for record in plugins.load_all() if record.error]
    for name, dist in owners.items():
        problems += _unsound(dist, records[name])
    facts = [_facts(point, plugins.load(point.name), records) for point in points]
    own = owners.get(OWN["core"])
    if own is None:
        problems.append("the plug-in 'core' is missing, and all components with it: install i2i-toolkit anew")
    return Health(
        versions,
        _machine(devices),
        packages=tuple(needs(own)) if own else (),
        plugins=tuple(facts),
        problems=tuple(problems),
        notes=(*_outdated(owners), *_hidden(owners), *_look_alikes(facts), *_cache_notes()),
    )


def _name(dist: Distribution | None) -> str:
    """Return a distribution's name in its normal form; an installation that was cut off may have lost it."""
    return canonicalize_name((dist and dist.metadata["Name"]) or "unknown")


def _version(dist: Distribution | None) -> str:
    return (dist and dist.metadata["Version"]) or "?"


# --- this machine ---------------------------------------------------------------------------------


def _versions() -> tuple[dict[str, str], list[str], list[str]]:
    """Return the versions that matter most, the devices that torch finds, and what stands in their way."""
    versions = {"i2i": i2i.__version__, "python": platform.python_version()}
    try:
        import torch
    except (ImportError, OSError) as error:
        return versions, [], [f"torch cannot be imported: {error}"]
    versions["torch"] = torch.__version__
    devices = ["cpu"]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            devices.append(f"cuda:{number} ({about.name}, {_gigabytes(about.total_memory)})")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return versions, devices, []


def _machine(devices: Sequence[str]) -> dict[str, Any]:
    cache, here = cache_folder(), Path.cwd()
    return {
        "system": platform.platform(),
        "python": sys.executable,
        "cores": os.cpu_count() or 1,
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _pages("SC_PHYS_PAGES"),
        "free_memory": _pages("SC_AVPHYS_PAGES"),
        "folder": str(here),
        "free_disk": _free(here),
        "cache": str(cache),
        "cache_free_disk": _free(cache),
        "devices": list(devices),
    }


def _pages(name: str) -> int | None:
    """Return an amount of memory in bytes, where the system tells."""
    if name not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _free(folder: Path) -> int | None:
    """Return the free bytes on the disk of a folder, which need not be there yet."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _cache_notes() -> list[str]:
    folder = _existing(cache_folder())
    if folder.is_dir() and os.access(folder, os.W_OK):
        return []
    return [
        f"nothing can be kept in {cache_folder()}: set I2I_CACHE_DIR to a folder that can be written, or "
        "what was rendered or downloaded is gone each time"
    ]


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


# --- plug-ins -------------------------------------------------------------------------------------


def _facts(point: EntryPoint, record: Plugin, records: Mapping[str, Record]) -> PluginFacts:
    dist = point.dist
    return PluginFacts(
        namespace=point.name,
        distribution=_name(dist),
        version=_version(dist),
        location=str(location(dist)) if dist else "?",
        editable=dist is not None and editable_project(dist) is not None,
        api=record.api,
        components=len(record.entries),
        recipes=len(record.recipes),
        state="switched off" if record.disabled else "unusable" if record.error else "ready",
        record=records.get(_name(dist), Record("none")),
    )


def _unsound(dist: Distribution, record: Record) -> Iterator[str]:
    """Yield what is wrong with how a distribution is installed."""
    title = f"{_name(dist)} {_version(dist)}"
    if reason := stale(dist):
        yield f"{title} {reason}"
    if record.changed:
        first, *others = record.changed
        them = f"{first} and {len(others)} more are" if others else f"{first} is"
        yield (
            f"{title} is not as it was installed: {them} changed or gone; install it anew, and find out "
            "who did it"
        )
    for need in needs(dist):
        if not need.met:
            there = f"installed is {need.installed}" if need.installed else "which is not installed"
            yield f"{title} needs {need.name}{need.wanted}, {there}"


def _outdated(owners: Mapping[str, Distribution]) -> Iterator[str]:
    for name, dist in owners.items():
        if not stale(dist) and (reason := outdated(dist, GROUP)):
            yield f"{name} {_version(dist)} {reason}"


def _hidden(owners: Mapping[str, Distribution]) -> Iterator[str]:
    """Yield the plug-ins of which a second installation is hidden by the first on the path."""
    for dist in distributions():
        first = owners.get(_name(dist))
        if first is None or location(dist) == location(first):
            continue
        yield (
            f"{_name(first)} is installed twice: {_version(first)} in {location(first)} hides "
            f"{_version(dist)} in {location(dist)}"
        )


# --- names that are easily mistaken ---------------------------------------------------------------


def _look_alikes(facts: Sequence[PluginFacts]) -> Iterator[str]:
    """Yield the names that are one edit away from another, and the project's names that others took."""
    spaces = sorted({fact.namespace for fact in facts})
    for fact in facts:
        ours = OWN.get(fact.namespace)
        if ours is not None and fact.distribution != ours:
            yield (
                f"the plug-in '{fact.namespace}' comes from {fact.distribution}; this project's own comes "
                f"from {ours}"
            )
    for pair in combinations(sorted({*spaces, *OWN}), 2):
        strange = [name for name in pair if name in spaces and name not in OWN]
        if strange and one_edit(*pair):
            known = pair[0] if strange[-1] == pair[1] else pair[1]
            yield f"the plug-in '{strange[-1]}' is one letter away from '{known}': is it the one you mean?"
    for name in sorted({fact.distribution for fact in facts} - {*OWN.values()}):
        for ours in OWN.values():
            if one_edit(name, ours) and name.removeprefix("i2i-") not in spaces:
                yield f"{name} is one letter away from {ours}: is it the one you mean?"


def one_edit(one: str, other: str) -> bool:
    """Whether a letter added, left out or replaced, or two changed places, makes one name the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
    return long in (swapped, short[:start] + long[start] + short[start + 1 :])
