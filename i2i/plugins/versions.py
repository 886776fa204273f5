"""Version skew in words: a file was written with another version of a plug-in than the one installed now.

Nothing is refused for its version alone. Where a key, a component or a value is refused, people are told
what the file was written with, for that is mostly why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i.plugins.discovery import Plugin

Versions = Mapping[str, str]
"""By namespace, the distribution and version that something was written with: ``i2i-timm 0.1.0``."""

RESOLVED = "resolved.toml"
PROVENANCE = "provenance.json"


def plugin_versions(about: Any) -> Versions:
    """Return the versions that a provenance holds; what is no such record is passed over."""
    plugins = about.get("plugins") if isinstance(about, Mapping) else None
    found: dict[str, str] = {}
    for plugin in plugins if isinstance(plugins, list) else ():
        if isinstance(plugin, Mapping) and {"namespace", "distribution", "version"} <= plugin.keys():
            found[str(plugin["namespace"])] = f"{plugin['distribution']} {plugin['version']}"
    return found


def versions_of_run(path: Path) -> Versions:
    """Return the versions that a run was made with, where `path` is its resolved recipe."""
    if path.name != RESOLVED:
        return {}
    try:
        return plugin_versions(json.loads((path.parent / PROVENANCE).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}  # only a remark is lost


def version_skew(written: Versions, namespace: str, plugin: Plugin | None) -> str:
    """Say with which version of a plug-in a file was written, if another one is installed."""
    contested = plugin is not None and plugin.error and not plugin.loaded  # then no one version is installed
    now = f"{plugin.distribution} {plugin.version}" if plugin and not contested else ""
    then = written.get(namespace, now)
    return "" if then == now or not now else both_versions(then, now)


def both_versions(then: str, now: str) -> str:
    """Return both versions in words, to stand in brackets behind a sentence."""
    return f"written with {then}, installed is {now}"
