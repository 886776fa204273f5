"""What is under examination: one component with the parameters to build it from, or one plug-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from i2i.errors import did_you_mean
from i2i.images.resizing import next_multiple
from i2i.kinds import KINDS, LOSS_KINDS, Kind
from i2i.plugins.catalog import Catalog
from i2i.plugins.discovery import Plugin
from i2i.plugins.schema import Bound, Schema, bind, slot_schema
from i2i.records import ImageSpec, PairSpec
from i2i.registry import Entry
from i2i.seeds import seeded
from i2i.testing.outcomes import PLUGIN, fail
from i2i.testing.supplied import supplied


def _parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3)), nn.Parameter(torch.ones(3))]


INJECTED: Mapping[str, Callable[[], Any]] = {
    "in_channels": lambda: 3,
    "out_channels": lambda: 3,
    "condition_channels": lambda: 0,
    "feature_channels": lambda: (4, 8),
    "fetch": lambda: False,
    "split": lambda: "train",
    "params": _parameters,
    "total_steps": lambda: 20,
    "steps_per_epoch": lambda: 5,
    "spec": lambda: PairSpec(ImageSpec(3, 64, 64), ImageSpec(3, 64, 64)),
}
"""What the kit gives for the names that the engine injects: nothing is fetched, a check needs no network.

What a method is given is made by the engine itself.
"""

LABELLED = PairSpec(
    ImageSpec(3, 64, 64),
    ImageSpec(3, 64, 64, high=1.0, labels=True, palette=((128, 64, 128), (107, 142, 35), (70, 130, 180))),
)
"""The `spec` of those that require label maps of a target."""

BUILDABLE = tuple(name for name, kind in KINDS.items() if kind.injected <= INJECTED.keys())
"""The kinds that can be built without the rest of a recipe."""

NETWORKS = ("generator", "discriminator")
"""The kinds that are modules with weights to train, and take an image."""

MODULES = (*NETWORKS, "network")
"""All kinds that are modules; how one of the last is called, its method alone knows."""


@dataclass(frozen=True)
class PluginSubject:
    """A plug-in as it was loaded."""

    plugin: Plugin
    catalog: Catalog
    kind: str = PLUGIN

    @property
    def title(self) -> str:
        """How outcomes name it."""
        return f"{PLUGIN} {self.plugin.namespace}"


@dataclass(frozen=True)
class Subject:
    """A component, and its table as a recipe would give it, without `use`.

    What `params` leave out is what its factory names as `small`, if it names such, else the defaults.
    """

    entry: Entry
    catalog: Catalog
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of the component."""
        return self.entry.kind

    @property
    def contract(self) -> Kind:
        """What its kind says."""
        return KINDS[self.entry.kind]

    @property
    def title(self) -> str:
        """How outcomes name it."""
        return f"{self.entry.kind} {self.entry.ref}"

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The class or function, as its module has it."""
        factory: Callable[..., Any] = self.entry.load()
        return factory

    @cached_property
    def schema(self) -> Schema:
        """The keys of its table."""
        return self.bound.schema

    @cached_property
    def bound(self) -> Bound:
        """Its table as its signature reads it."""
        return bind(self.entry, self.table)

    @property
    def table(self) -> dict[str, Any]:
        """Its parameters as TOML holds them: paths are strings there."""
        given = {**small(self.factory), **self.params}
        return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}

    def build(self, *, seed: int = 0, **given: Any) -> Any:
        """Build it as the engine would, under `seed`; `given` replaces what is injected."""
        with seeded(seed, "build"):
            return self.construct(**given)

    def construct(self, **given: Any) -> Any:
        """Build it with torch's global generator as it stands."""
        unknown = sorted(self.table.keys() & {"use", *self.bound.unknown})
        if unknown:
            close = did_you_mean(unknown[0], [*self.schema.names, *slot_schema(self.kind).names])
            where = "params" if unknown[0] in self.params else "small"
            fail(
                f"it was to be built with '{unknown[0]}', which is no parameter of it{close}: mend `{where}`"
            )
        for name, sentence in self.bound.errors.items():
            if name in small(self.factory) and name not in self.params:
                fail(f"{sentence}: mend its `small`")
            fail(f"{sentence}: give '{name}' in `params`, or as --set {self.entry.ref}.{name}=VALUE")
        missing = {name: INJECTED[name]() for name in self.schema.injected - given.keys()}
        if "spec" in missing and "labels" in getattr(self.factory, "requires", {}):
            missing["spec"] = LABELLED
        built = self.bound.call(**missing, **given)
        if self.kind in LOSS_KINDS and isinstance(built, nn.Module):
            built = built.eval().requires_grad_(False)
        return supplied(built, self.kind) if self.kind in LOSS_KINDS else built

    def setting(self, name: str) -> Any:
        """Return the engine's own key `name` of its table, or the default of that."""
        return self.bound.settings.values[name]

    @cached_property
    def shared(self) -> Any:
        """One that is built once, for checks that leave it as it is: opening data may take long."""
        return self.build()


def small(factory: Any) -> dict[str, Any]:
    """Return the parameters with which a component is built where its size does not matter, by its `small`.

    It is an attribute of the class or function: a mapping as in a recipe's table. Ends a check where it is
    something else.
    """
    named = getattr(factory, "small", {})
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
        fail(f"its `small` is {named!r}: map names of its parameters to values for quick checks")
    return dict(named)


def side_for(component: Any, *, at_least: int) -> int:
    """Return the side of a square image that `component` can take, `at_least` so many pixels.

    It is told by the attributes `size_multiple` and `smallest`, where there are any.
    """
    multiple = getattr(component, "size_multiple", 1)
    wanted = max(at_least, getattr(component, "smallest", 1))
    return next_multiple(int(wanted), int(multiple))
