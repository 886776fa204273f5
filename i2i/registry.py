"""What a plug-in declares: entries, collected by one registrar for each plug-in.

A component is declared as a string, ``"package.module:Name"``, so that names and summaries are known
without importing it. Nothing is global: a registrar is made for one plug-in and read once.
"""

from __future__ import annotations

import re
import sys
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partialmethod
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from i2i.errors import PluginError, in_a_line
from i2i.kinds import KINDS, LOSS_KINDS
from i2i.layouts import Layout

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Entry:
    """One component as its plug-in declared it; `load` imports it."""

    kind: str
    namespace: str
    name: str
    target: str
    summary: str
    rev: int
    distribution: str
    version: str

    @property
    def ref(self) -> str:
        """The name by which every recipe can use it: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def load(self) -> Any:
        """Import and return the factory; raise PluginError when that fails."""
        return _imported(self)


@dataclass(frozen=True)
class LayoutEntry:
    """One layout of weights as its plug-in declared it; `load` imports it."""

    namespace: str
    name: str
    target: str
    summary: str
    distribution: str
    version: str

    @property
    def ref(self) -> str:
        """The name by which `i2i import --layout` finds it: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def load(self) -> Layout:
        """Import and return the layout; raise PluginError when that fails, or it is something else."""
        found = _imported(self)
        if not isinstance(found, Layout):
            raise PluginError(
                f"the layout {self.ref} ({self.distribution} {self.version}) is of type "
                f"{type(found).__name__}: '{self.target}' has to name an `i2i.layouts.Layout`"
            )
        return found


def _imported(entry: Entry | LayoutEntry) -> Any:
    """Import what an entry's target names; raise PluginError when that fails."""
    module, _, attribute = entry.target.partition(":")
    try:
        with redirect_stdout(sys.stderr):  # stdout may be somebody's JSON
            return getattr(import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest.skip raises one that is no Exception, and so does sys.exit
        raise PluginError(
            f"{entry.ref} ({entry.distribution} {entry.version}) could not be loaded from "
            f"'{entry.target}': {in_a_line(error)}"
        ) from error


@dataclass(frozen=True)
class RecipeEntry:
    """One recipe file, or benchmark file, that a plug-in ships; `path` finds it.

    `declared` is the summary that the plug-in gave, None where it leaves that to the file.
    """

    namespace: str
    name: str
    resource: str
    declared: str | None = None

    @property
    def summary(self) -> str:
        """One line about it: the plug-in's, else the file's own `summary`, which is read for it each time.

        A file that cannot be read says so here: a list shows it beside the others.
        """
        if self.declared is not None:
            return self.declared
        try:
            return str(tomllib.loads(self.path().read_text(encoding="utf-8")).get("summary", ""))
        except PluginError as error:
            return error.problems[0].message
        except (OSError, ValueError) as error:
            return f"its file cannot be read: {in_a_line(error)}"

    @property
    def ref(self) -> str:
        """The name by which `i2i run` and `extends` find it; that of core is bare."""
        return self.name if self.namespace == "core" else f"{self.namespace}/{self.name}"

    def path(self) -> Path:
        """Return the file, or raise PluginError when the package does not hold it."""
        package, _, relative = self.resource.partition(":")
        try:
            with redirect_stdout(sys.stderr):
                root = Path(str(files(package)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"recipe '{self.ref}' cannot be had: {in_a_line(error)}") from error
        if (root / relative).is_file():
            return root / relative
        # In a source checkout recipes/ stands beside the package, or beside the src/ that holds it.
        for project in (root.parent, root.parent.parent):
            if (project / "pyproject.toml").is_file() and (project / relative).is_file():
                return project / relative
        raise PluginError(f"recipe '{self.ref}' is missing from its package: no file '{self.resource}'")


class Registrar:
    """What `i2i_register` is given: one method for each kind, and `recipe`, `benchmark` and `layout`.

    Each component method takes a name, a target ``"module:Name"``, a summary in one line, and the
    revision `rev`, which goes up when old weights no longer mean the same.
    """

    def __init__(self, namespace: str, *, module: str, distribution: str, version: str) -> None:
        self.namespace = namespace
        self.entries: list[Entry] = []
        self.recipes: list[RecipeEntry] = []
        self.benchmarks: list[RecipeEntry] = []
        self.layouts: list[LayoutEntry] = []
        self._module = module
        self._distribution = distribution
        self._version = version

    def component(self, kind: str, name: str, target: str, summary: str, *, rev: int = 1) -> None:
        """Declare a component of `kind`; a target ``":Name"`` is in the plug-in's own module.

        Raises PluginError for an unknown kind, a name or target of the wrong form, a name declared
        twice in its kind (all losses count as one kind), an empty summary, and what is of
        another type. `i2i plugin check` asks for more.
        """
        if kind not in KINDS:
            raise PluginError(f"there is no kind '{kind}' of component; there are {', '.join(KINDS)}")
        target = self._target(kind, name, target, summary)
        if type(rev) is not int:
            raise PluginError(f"{kind} '{name}': a revision is a whole number, and {rev!r} is none")
        rivals = LOSS_KINDS if kind in LOSS_KINDS else (kind,)
        for other in self.entries:
            if other.name == name and other.kind in rivals:
                rule = (
                    "" if other.kind == kind else f" (once as a {other.kind}; all losses count as one kind)"
                )
                targets = f"'{other.target}' and '{target}'"
                raise PluginError(f"{kind} '{name}' is declared twice{rule}: {targets}")
        self.entries.append(
            Entry(kind, self.namespace, name, target, summary, rev, self._distribution, self._version)
        )

    generator = partialmethod(component, "generator")
    discriminator = partialmethod(component, "discriminator")
    network = partialmethod(component, "network")
    paired_loss = partialmethod(component, "paired-loss")
    adversarial_loss = partialmethod(component, "adversarial-loss")
    feature_loss = partialmethod(component, "feature-loss")
    penalty = partialmethod(component, "penalty")
    data = partialmethod(component, "data")
    transform = partialmethod(component, "transform")
    method = partialmethod(component, "method")
    metric = partialmethod(component, "metric")
    callback = partialmethod(component, "callback")
    optimizer = partialmethod(component, "optimizer")
    schedule = partialmethod(component, "schedule")
    executor = partialmethod(component, "executor")

    def recipe(self, name: str, resource: str, summary: str | None = None) -> None:
        """Declare a recipe file, ``"package:path/inside.toml"``, that people can run by name.

        Without a `summary`, lists show the one in the file.
        """
        if summary is not None:
            _check_summary("recipe", name, summary)
        self._file("recipe", self.recipes, name, resource, summary)

    def benchmark(self, name: str, resource: str, summary: str) -> None:
        """Declare a benchmark's file, ``"package:path/inside.toml"``, that `i2i bench` finds by name."""
        _check_summary("benchmark", name, summary)
        self._file("benchmark", self.benchmarks, name, resource, summary)

    def layout(self, name: str, target: str, summary: str) -> None:
        """Declare a layout of weights, ``"module:LAYOUT"``, by which `i2i import` knows a network's files.

        The target names an `i2i.layouts.Layout`. Raises PluginError as for a component.
        """
        target = self._target("layout", name, target, summary)
        if any(other.name == name for other in self.layouts):
            raise PluginError(f"layout '{name}' is declared twice")
        self.layouts.append(
            LayoutEntry(self.namespace, name, target, summary, self._distribution, self._version)
        )

    def _target(self, what: str, name: str, target: str, summary: str) -> str:
        """Return a target with its module, or raise PluginError for texts that are not as they should be."""
        _check_texts(what, name, target)
        _check_summary(what, name, summary)
        target = f"{self._module}{target}" if target.startswith(":") else target
        if not NAME.fullmatch(name):
            raise PluginError(f"{what} '{name}': a name is lower-case words joined by '-', like 'my-unet'")
        if not _TARGET.fullmatch(target):
            raise PluginError(f"{what} '{name}': the target '{target}' is not of the form 'module:Name'")
        return target

    def _file(
        self, what: str, known: list[RecipeEntry], name: str, resource: str, summary: str | None
    ) -> None:
        _check_texts(what, name, resource)
        if not NAME.fullmatch(name):
            raise PluginError(f"{what} '{name}': a name is lower-case words joined by '-', like 'my-{what}'")
        if any(other.name == name for other in known):
            raise PluginError(f"{what} '{name}' is declared twice")
        if not resource.endswith(".toml") or ":" not in resource:
            raise PluginError(f"{what} '{name}': '{resource}' is not of the form 'package:path/inside.toml'")
        known.append(RecipeEntry(self.namespace, name, resource, summary))


def _check_texts(what: str, name: str, place: str) -> None:
    for text in (name, place):
        if not isinstance(text, str):
            raise PluginError(f"{what} {name!r}: {text!r} is not a text")


def _check_summary(what: str, name: str, summary: str) -> None:
    if not isinstance(summary, str) or not summary.strip():
        raise PluginError(f"{what} '{name}' needs a summary of one line")
