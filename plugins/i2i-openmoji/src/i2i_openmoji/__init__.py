"""OpenMoji for i2i: line drawings to be coloured. This module stays thin; see `line_to_colour`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2i import hookimpl

if TYPE_CHECKING:
    from i2i.registry import Registrar

i2i_api = 1


@hookimpl
def i2i_register(registry: Registrar) -> None:
    """Declare the data set."""
    registry.data(
        "line-to-colour",
        "i2i_openmoji.line_to_colour:LineToColour",
        "OpenMoji line drawings and their colours, no download",
        rev=1,
    )
