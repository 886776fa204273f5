"""What the installed distributions offer as entry points, read so that none can spoil it for the others.

Every command begins with this, so nothing is imported here that takes time.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from typing import NamedTuple

from i2i.errors import in_a_line

UNKNOWN = "unknown"


class EntryPointsFound(NamedTuple):
    """The entry points of a group, and sentences about the distributions that were passed over."""

    points: list[EntryPoint]
    unreadable: list[str]


def entry_points_in(group: str) -> EntryPointsFound:
    """Return the entry points of `group`; what cannot be read of one distribution costs no other."""
    try:
        points = [point for point in entry_points(group=group) if not is_leftover(point.dist)]
        return EntryPointsFound(points, unreadable=[])
    except Exception:  # some distribution on the path, whosever, has entry points that do not parse
        return _entry_points_one_by_one(group)


def _entry_points_one_by_one(group: str) -> EntryPointsFound:
    found, seen = EntryPointsFound([], []), set[str]()
    for dist in distributions():
        name, version = name_and_version(dist)
        if (name != UNKNOWN and normalized(name) in seen) or is_leftover(dist):
            continue  # hidden by the first of its name
        seen.add(normalized(name))
        try:
            found.points.extend(dist.entry_points.select(group=group))
        except Exception as error:
            found.unreadable.append(
                f"the entry points of {name} {version} in {dist.locate_file('')} cannot be read, so what it "
                f"may offer is passed over ({in_a_line(error)}): install it anew"
            )
    return found


def name_and_version(dist: Distribution | None) -> tuple[str, str]:
    """Return name and version, "unknown" and "?" where an installation has lost them."""
    try:
        metadata = dist.metadata if dist is not None else None
    except (OSError, ValueError):  # not readable, or not UTF-8
        metadata = None
    if metadata is None:
        return UNKNOWN, "?"
    # From Python 3.12 on it warns when it is asked for what it does not hold.
    keys = {key.lower() for key in metadata}
    name, version = (metadata[key] if key in keys else "" for key in ("name", "version"))
    return name or UNKNOWN, version or "?"


def metadata_folder(dist: Distribution) -> Path | None:
    """Return where the metadata of a distribution is, as far as Python tells."""
    path = getattr(dist, "_path", None)  # there is no public way to it
    return None if path is None else Path(str(path)).resolve()


def is_leftover(dist: Distribution | None) -> bool:
    """Whether this is what a cut-off pip left behind: it renames to ``~`` what it is about to delete."""
    return Path(str(getattr(dist, "_path", ""))).name.startswith("~")


def normalized(name: str) -> str:
    """Return a distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()
