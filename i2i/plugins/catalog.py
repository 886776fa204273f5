"""What is installed, and a component by its reference: only the plug-in that it names is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from i2i.errors import PluginError, RecipeError, did_you_mean, with_article
from i2i.kinds import KINDS
from i2i.plugins.discovery import LOCAL, Plugin, discover, load
from i2i.registry import Entry, LayoutEntry, RecipeEntry

CORE = "core"


def split_ref(ref: str) -> tuple[str, str]:
    """Return namespace and name; a bare name means `core`, whatever else is installed."""
    namespace, slash, name = ref.partition("/")
    return (namespace, name) if slash else (CORE, namespace)


class Catalog:
    """The plug-ins of an environment with their components, recipes and benchmarks.

    A plug-in is imported at the first question that needs it, and only that one; of two records with the
    same namespace the later one counts.
    """

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = {plugin.namespace: plugin for plugin in plugins}

    @classmethod
    def installed(cls, *, local: Path | None = None, environ: Mapping[str, str] = os.environ) -> Catalog:
        """Return the catalog of what is installed; nothing is imported yet.

        `local` is a Python file that becomes the plug-in ``local``; ``I2I_DISABLE=x,y`` in `environ`
        switches plug-ins off. Raises RecipeError for a `local` that is no such file.
        """
        return cls(discover(local=local, environ=environ))

    # --- plug-ins -------------------------------------------------------------------------------

    def namespaces(self) -> list[str]:
        """Return the namespaces that are installed and not switched off, first that of i2i itself."""
        return [name for name in self._in_order() if not self._plugins[name].disabled]

    def record(self, namespace: str) -> Plugin | None:
        """Return what is known of a plug-in, importing nothing; None where none is installed."""
        return self._plugins.get(namespace)

    def records(self) -> list[Plugin]:
        """Return what is known of every plug-in, those that are switched off too, importing nothing."""
        return list(self._plugins.values())

    def load(self, namespace: str) -> Plugin:
        """Import one plug-in, once, and return its record; a failure is in its `error`."""
        plugin = self._plugins[namespace] = load(self._plugins[namespace])
        return plugin

    def load_all(self) -> list[Plugin]:
        """Return every record, loaded where it is not switched off."""
        return [self.load(name) for name in self._in_order()]

    def _in_order(self) -> list[str]:
        """Return all namespaces: what a newcomer knows stands first."""
        return sorted(self._plugins, key=lambda name: (name != CORE, name))

    def plugin(self, namespace: str, *, wanted: str) -> Plugin:
        """Load the plug-in that `wanted` needs, or raise PluginError that says why it cannot be had."""
        record = self.record(namespace)
        if record is None and namespace == LOCAL:
            raise PluginError(f"'{wanted}' is in a file, and none is given: say which with --plugin FILE.py.")
        if record is None:
            installed = ", ".join(self.namespaces()) or "none"
            close = did_you_mean(namespace, self.namespaces())
            raise PluginError(
                f"'{wanted}' needs a plug-in that provides '{namespace}'; none is installed{close or '.'} "
                f"Installed: {installed}."
            )
        if record.disabled:
            raise PluginError(f"'{wanted}' needs the plug-in '{namespace}', which I2I_DISABLE switches off.")
        record = self.load(namespace)
        if record.error:
            raise PluginError(record.error)
        return record

    # --- what they hold -------------------------------------------------------------------------

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
                raise RecipeError(f"'{entry.ref}' is {with_article(entry.kind)}, not {with_article(what)}")
        names = sorted(entry.name for entry in entries if entry.kind in kinds)
        hint = did_you_mean(name, names)
        if not hint:
            hint = f"; it has {', '.join(names)}" if names else f"; it has no {what} at all"
        raise RecipeError(f"no {what} '{name}' in plug-in '{namespace}'{hint}")

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return every component that loads, of one kind or of all, kind by kind, `core` first."""
        found = [
            entry
            for plugin in self.load_all()
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
        if self.benchmark(ref) is not None:
            raise RecipeError(f"'{ref}' is a benchmark, not a recipe: `i2i bench {ref}` runs it")
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
        return [entry for plugin in self.load_all() for entry in plugin.recipes]

    def benchmarks(self) -> list[RecipeEntry]:
        """Return every shipped benchmark."""
        return [entry for plugin in self.load_all() for entry in plugin.benchmarks]

    def layouts(self) -> list[LayoutEntry]:
        """Return every layout of weights that is declared, of `core` first."""
        return [entry for plugin in self.load_all() for entry in plugin.layouts]

    def layout(self, ref: str) -> LayoutEntry:
        """Return the layout `ref`; raise RecipeError or PluginError when there is none."""
        namespace, name = split_ref(ref)
        known = self.plugin(namespace, wanted=ref).layouts
        for entry in known:
            if entry.name == name:
                return entry
        close = did_you_mean(name, [entry.name for entry in known])
        raise RecipeError(
            f"no layout '{name}' in plug-in '{namespace}'{close or '; see `i2i components list layout`'}"
        )
