"""The whole extension API: one hook, its marker, and the number of this version of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from i2i.registry import Registrar

API = 1
"""The plug-in API that this version of i2i speaks; a plug-in states its own as ``i2i_api``."""

OLDEST_API = 1
"""The oldest plug-in API that still works."""

PROJECT = "i2i"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def i2i_register(registry: Registrar) -> None:
    """Declare components and recipes on `registry`; import nothing heavy while doing so."""
