"""The state of an installation: versions, machine, and every plug-in with what is wrong about it.

Plug-ins are loaded as any list of components would, those that are switched off are not; components are
not imported. What is wrong is a problem; what only deserves a look is a note.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from itertools import combinations
from pathlib import Path
from typing import Any

from i2i._version import __version__
from i2i.errors import did_you_mean, in_a_line
from i2i.plugins.catalog import Catalog
from i2i.plugins.discovery import GROUP, Plugin, switched_off
from i2i.plugins.entry_points import (
    UNKNOWN,
    entry_points_in,
    is_leftover,
    metadata_folder,
    name_and_version,
    normalized,
)
from i2i.plugins.installed import Need, Record, editable_project, location, needs, outdated, stale, verify
from i2i.system.facts import cache_folder, usable_cores

OWN = {
    "bridge": "i2i-bridge",
    "core": "i2i-toolkit",
    "datasets": "i2i-datasets",
    "kornia": "i2i-kornia",
    "openmoji": "i2i-openmoji",
    "ray": "i2i-ray",
    "timm": "i2i-timm",
    "unpaired": "i2i-unpaired",
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


def examine(catalog: Catalog) -> Health:
    """Look at this environment and at the plug-ins in `catalog`, which are loaded for it."""
    points, unreadable = entry_points_in(GROUP)
    points.sort(key=lambda point: (point.name != "core", point.name))
    by_dist = {id(dist): _Owner.of(dist) for dist in {id(p.dist): p.dist for p in points}.values() if dist}
    owners = list(by_dist.values())
    versions, devices, problems = _versions()
    problems += [record.error.rstrip(".") for record in catalog.load_all() if record.error]
    problems += unreadable
    for owner in owners:
        problems += _unsound(owner)
    # A point that is written twice is one plug-in.
    pairs = list({(id(p.dist), p.name): (by_dist[id(p.dist)], catalog.load(p.name)) for p in points}.values())
    for owner, record in pairs:
        problems += _shadowed(owner, record)
    facts = [_facts(owner, record) for owner, record in pairs]
    twice, hidden = _installed_twice(owners)
    problems += twice
    own = next((owner for owner in owners if owner.name == OWN["core"]), None)
    if own is None:
        problems.append("the plug-in 'core' is missing, and all components with it: install i2i-toolkit anew")
    return Health(
        versions,
        _machine(devices),
        packages=tuple(needs(own.dist)) if own else (),
        plugins=tuple(facts),
        problems=tuple(problems),
        notes=(
            *_of_files(owners),
            *hidden,
            *_look_alikes(facts),
            *_switched_off_in_vain(catalog),
            *_cache_notes(),
        ),
    )


@dataclass(frozen=True)
class _Owner:
    """A distribution with plug-ins, and what takes a while to find out about it."""

    dist: Distribution
    name: str
    version: str
    record: Record

    @classmethod
    def of(cls, dist: Distribution) -> _Owner:
        name, version = name_and_version(dist)
        return cls(dist, normalized(name), version, verify(dist))

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def site(self) -> Path:
        """The folder that its metadata is in, also where it is editable."""
        return Path(str(self.dist.locate_file("")))


# --- this machine ---------------------------------------------------------------------------------


def _versions() -> tuple[dict[str, str], list[str], list[str]]:
    """Return the versions that matter most, the devices that torch finds, and what stands in their way."""
    versions = {"i2i": __version__, "python": platform.python_version()}
    try:
        import torch
    except Exception as error:  # a mixture of versions fails in many ways
        return versions, [], [f"torch cannot be imported: {in_a_line(error)}"]
    devices = ["cpu"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} ({about.name}, {about.total_memory / 2**30:.1f} GiB)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return versions | {"torch": torch.__version__}, devices, []


def _machine(devices: Sequence[str]) -> dict[str, Any]:
    cache, here = cache_folder(), Path.cwd()
    return {
        "system": platform.platform(),
        "python": sys.executable,
        "cores": os.cpu_count() or 1,
        "usable_cores": usable_cores(),
        "memory": _pages("SC_PHYS_PAGES"),
        "free_memory": _pages("SC_AVPHYS_PAGES"),
        "folder": str(here),
        "free_disk": _free(here),
        "cache": str(cache),
        "cache_free_disk": _free(cache),
        "devices": [*devices],
    }


def _pages(name: str) -> int | None:
    """Return an amount of memory in bytes, where the system tells."""
    known = name in getattr(os, "sysconf_names", {})
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") if known else None


def _free(folder: Path) -> int | None:
    """Return the free bytes on the disk of a folder, which need not be there yet."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    # Path.exists raises where a folder on the way may not be entered.
    return next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))


def _cache_notes() -> Iterator[str]:
    folder = _existing(cache_folder())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield (
            f"nothing can be kept in {cache_folder()}: set I2I_CACHE_DIR to a folder that can be written, or "
            "what was rendered or downloaded is gone each time"
        )


# --- plug-ins -------------------------------------------------------------------------------------


def _facts(owner: _Owner, record: Plugin) -> PluginFacts:
    return PluginFacts(
        namespace=record.namespace,
        distribution=owner.name,
        version=owner.version,
        location=str(location(owner.dist)),
        editable=editable_project(owner.dist) is not None,
        api=record.api,
        components=len(record.entries),
        recipes=len(record.recipes),
        state="switched off" if record.disabled else "unusable" if record.error else "ready",
        record=owner.record,
    )


def _unsound(owner: _Owner) -> Iterator[str]:
    """Yield what is wrong with how a distribution is installed."""
    title = owner.title
    if owner.name == UNKNOWN:
        names = ", ".join(sorted(point.name for point in owner.dist.entry_points if point.group == GROUP))
        yield (
            f"what is installed in {owner.site} as the plug-in {names} does not say its name, for its "
            "METADATA is gone or cannot be read: install it anew"
        )
    if reason := stale(owner.dist):
        yield f"{title} {reason}"
    if owner.record.changed:
        yield (
            f"{title} is not as it was installed: {_first(owner.record.changed)} changed or gone; install it "
            "anew, and find out who did it"
        )
    for need in needs(owner.dist):
        if not need.readable:
            yield f"{title} needs '{need.name}', which is no requirement that can be read: tell its authors"
        elif not need.met:
            there = f"installed is {need.installed}" if need.installed else "which is not installed"
            yield f"{title} needs {need.name}{need.wanted}, {there}"


def _first(names: Sequence[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more are" if others else f"{first} is"


def _shadowed(owner: _Owner, record: Plugin) -> Iterator[str]:
    """Yield where a plug-in was imported from, if that is not where its distribution is.

    Then neither its version nor the record of its files is about the code that runs.
    """
    home = location(owner.dist).resolve()
    file = getattr(sys.modules.get(record.module), "__file__", None)
    if record.disabled or not isinstance(file, str) or stale(owner.dist):
        return
    if not Path(file).resolve().is_relative_to(home):
        yield (
            f"the plug-in '{record.namespace}' is imported from {file}, though {owner.title} is in {home}: "
            "take that file off the path (PYTHONPATH, or the folder that Python starts in)"
        )


def _of_files(owners: Sequence[_Owner]) -> Iterator[str]:
    """Yield what deserves a look in the files of distributions."""
    for owner in owners:
        if not stale(owner.dist) and (reason := outdated(owner.dist, GROUP)):
            yield f"{owner.title} {reason}"
        if owner.record.added:
            yield (
                f"{owner.title} has code that it was not installed with: {_first(owner.record.added)} not in "
                "its record"
            )
        if owner.record.state == "none" and editable_project(owner.dist) is None:
            yield f"{owner.title} has no record of its files: nobody can tell whether they are as they were"


def _installed_twice(owners: Sequence[_Owner]) -> tuple[list[str], list[str]]:
    """Return problems and notes about further installations of distributions with plug-ins."""
    problems, notes = [], []
    firsts = {owner.name: owner for owner in owners if owner.name != UNKNOWN}
    folders = {metadata_folder(owner.dist) for owner in owners}
    for dist in distributions():
        name, version = name_and_version(dist)
        first, folder = firsts.get(normalized(name)), metadata_folder(dist)
        if is_leftover(dist) and folder is not None:
            if any(point.group == GROUP for point in dist.entry_points):
                notes.append(
                    f"{name} {version} was left behind by a pip that was cut off, and is passed over: delete "
                    f"{folder}"
                )
        elif first is None or folder in folders:
            continue
        elif (site := Path(str(dist.locate_file("")))).resolve() == first.site.resolve():
            problems.append(
                f"{first.name} is installed twice in {site}, as {first.version} and as {version}, and nobody "
                "can tell whose files are there: uninstall it until none is left, then install it anew"
            )
        else:
            here, there = location(first.dist), location(dist)
            here, there = (first.site, site) if here == there else (here, there)
            notes.append(
                f"{first.name} is installed twice: {first.version} in {here} hides {version} in {there}"
            )
        folders.add(folder)
    return problems, notes


def _switched_off_in_vain(catalog: Catalog) -> Iterator[str]:
    names = [record.namespace for record in catalog.load_all()]
    for name in sorted(switched_off() - {*names}):
        yield f"I2I_DISABLE names '{name}', and no plug-in is called so{did_you_mean(name, names)}"


# --- names that are easily mistaken ---------------------------------------------------------------


def _look_alikes(facts: Sequence[PluginFacts]) -> Iterator[str]:
    """Yield the names that are one edit away from another, and the project's names that others took."""
    homes = {fact.namespace: fact.distribution for fact in facts}
    for fact in facts:
        if (ours := OWN.get(fact.namespace, fact.distribution)) != fact.distribution:
            yield (
                f"the plug-in '{fact.namespace}' comes from {fact.distribution}; this project's own comes "
                f"from {ours}"
            )
    for first, second in _near({*homes, *OWN}):
        strange = [name for name in (second, first) if name in homes and name not in OWN]
        same_home = first in homes and homes[first] == homes.get(second)  # then it is its own affair
        if strange and not same_home:
            known = first if strange[0] == second else second
            yield f"the plug-in '{strange[0]}' is one letter away from '{known}': is it the one you mean?"
    for name in sorted({fact.distribution for fact in facts} - {*OWN.values()}):
        for ours in OWN.values():
            if one_edit(name, ours) and name.removeprefix("i2i-") not in homes:
                yield f"{name} is one letter away from {ours}: is it the one you mean?"


def _near(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs that are one edit apart, in order, without comparing all with all."""
    alike: dict[str, set[str]] = {}
    for name in names:
        for pattern in _edits(name):
            alike.setdefault(pattern, set()).add(name)
    return sorted({pair for group in alike.values() for pair in combinations(sorted(group), 2)})


def one_edit(one: str, other: str) -> bool:
    """Whether a letter added, left out or replaced, or two changed places, makes one name the other."""
    return one != other and not _edits(one).isdisjoint(_edits(other))


def _edits(name: str) -> set[str]:
    """Return patterns of which two different names share one exactly if they are one edit apart.

    "?" stands for a letter that is any, or is not there: "tim" and "timm" share "tim?". "~" comes before
    two letters in either order.
    """
    places = range(len(name) + 1)
    any_letter = {f"{name[:i]}?{name[i + left_out :]}" for i in places for left_out in (0, 1)}
    return any_letter | {f"{name[:i]}~{''.join(sorted(name[i : i + 2]))}{name[i + 2 :]}" for i in places}
