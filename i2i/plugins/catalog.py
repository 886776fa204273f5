"""Finding a component by its reference, loading only the plug-in that the reference names."""

from __future__ import annotations

from collections.abc import Sequence

from i2i.errors import PluginError, RecipeError, did_you_mean
from i2i.kinds import KINDS
from i2i.plugins.discovery import LOCAL, Plugin, Plugins
from i2i.registry import Entry, RecipeEntry

CORE = "core"


def split_ref(ref: str) -> tuple[str, str]:
    """Return namespace and name; a bare name means `core`, whatever else is installed."""
    namespace, slash, name = ref.partition("/")
    return (namespace, name) if slash else (CORE, namespace)


class Catalog:
    """All components and recipes of the installed plug-ins."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def get(self, kinds: Sequence[str], ref: str) -> Entry:
        """Return the component `ref` of one of `kinds`.

        Raises PluginError when its plug-in is missing, switched off or broken, RecipeError when the
        plug-in has no such component, naming the closest one it has.
        """
        namespace, name = split_ref(ref)
        entries = self.plugin(namespace, wanted=ref).entries
        for entry in entries:
            if entry.name == name and entry.kind in kinds:
                return entry
        what = "loss" if len(kinds) > 1 else kinds[0]
        for entry in entries:
            if entry.name == name:
                raise RecipeError(f"'{entry.ref}' is a {entry.kind}, not a {what}")
        names = sorted(entry.name for entry in entries if entry.kind in kinds)
        hint = did_you_mean(name, names)
        if not hint:
            hint = f"; it has {', '.join(names)}" if names else f"; it has no {what} at all"
        raise RecipeError(f"no {what} '{name}' in plug-in '{namespace}'{hint}")

    def plugin(self, namespace: str, *, wanted: str) -> Plugin:
        """Load the plug-in that `wanted` needs, or raise PluginError that says why it cannot be had."""
        record = self.plugins.get(namespace)
        if record is None and namespace == LOCAL:
            raise PluginError(f"'{wanted}' is in a file, and none is given: say which with --plugin FILE.py.")
        if record is None:
            installed = ", ".join(self.plugins.names()) or "none"
            close = did_you_mean(namespace, self.plugins.names())
            raise PluginError(
                f"'{wanted}' needs a plug-in that provides '{namespace}'; none is installed{close or '.'} "
                f"Installed: {installed}."
            )
        if record.disabled:
            raise PluginError(f"'{wanted}' needs the plug-in '{namespace}', which I2I_DISABLE switches off.")
        record = self.plugins.load(namespace)
        if record.error:
            raise PluginError(record.error)
        return record

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return every component that loads, of one kind or of all, kind by kind, `core` first."""
        found = [
            entry
            for plugin in self.plugins.load_all()
            for entry in plugin.entries
            if kind is None or entry.kind == kind
        ]
        order = {name: number for number, name in enumerate(KINDS)}
        return sorted(found, key=lambda entry: (order[entry.kind], entry.namespace != CORE, entry.ref))

    def recipe(self, ref: str) -> RecipeEntry:
        """Return the shipped recipe `ref`; raise RecipeError or PluginError when there is none."""
        namespace, name = split_ref(ref)
        recipes = self.plugin(namespace, wanted=ref).recipes
        for entry in recipes:
            if entry.name == name:
                return entry
        names = [entry.ref for entry in recipes]
        raise RecipeError(
            f"no recipe '{ref}' is shipped{did_you_mean(ref, names) or '; see `i2i recipe list`'}"
            " (a file's name ends in .toml)"
        )

    def benchmark(self, ref: str) -> RecipeEntry | None:
        """Return the shipped benchmark `ref`, None where its plug-in has none of that name."""
        namespace, name = split_ref(ref)
        found = [entry for entry in self.plugin(namespace, wanted=ref).benchmarks if entry.name == name]
        return found[0] if found else None

    def recipes(self) -> list[RecipeEntry]:
        """Return every shipped recipe."""
        return [entry for plugin in self.plugins.load_all() for entry in plugin.recipes]

    def benchmarks(self) -> list[RecipeEntry]:
        """Return every shipped benchmark."""
        return [entry for plugin in self.plugins.load_all() for entry in plugin.benchmarks]
