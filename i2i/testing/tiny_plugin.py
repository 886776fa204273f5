"""The plug-in `testing`, which is there in tiny recipes alone: no entry point leads to it."""

from __future__ import annotations

from i2i._version import __version__
from i2i.hookspecs import hookimpl
from i2i.plugins.catalog import Catalog
from i2i.plugins.discovery import Plugin
from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare the tiny data, and losses that ask for all that losses are given."""
    registry.data("pairs", "i2i.testing.tiny_pairs:TinyPairs", "a few made-up pairs, a few pixels wide")
    registry.paired_loss("paired", "i2i.testing.asking_losses:Paired", "one that asks for all")
    registry.adversarial_loss("adversarial", "i2i.testing.asking_losses:Adversarial", "one that asks for all")
    registry.feature_loss("features", "i2i.testing.asking_losses:Features", "one that asks for all")
    registry.penalty("penalty", "i2i.testing.asking_losses:Penalty", "one that asks for all")


def with_tiny_data(catalog: Catalog) -> Catalog:
    """Return a catalog of the same plug-ins and this one."""
    own = Plugin("testing", "i2i-toolkit", __version__, __name__)
    return Catalog([*catalog.records(), own])
