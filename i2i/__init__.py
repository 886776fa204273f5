"""i2i: image-to-image translation from interchangeable parts.

Importing this package imports no torch: what needs it is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from i2i._version import __version__
from i2i.hookspecs import hookimpl

if TYPE_CHECKING:
    from i2i.data.opening import open_split
    from i2i.engine.loop import run
    from i2i.models.translate import load_generator
    from i2i.models.translator import Translator
    from i2i.recipe.recipe import load_recipe

__all__ = ["Translator", "__version__", "hookimpl", "load_generator", "load_recipe", "open_split", "run"]

_WHERE = {
    "Translator": "i2i.models.translator",
    "load_generator": "i2i.models.translate",
    "load_recipe": "i2i.recipe.recipe",
    "open_split": "i2i.data.opening",
    "run": "i2i.engine.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'i2i' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
