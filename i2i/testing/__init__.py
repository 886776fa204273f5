"""The author's kit: contract checks for components of any plug-in, and small things to test them with.

Importing this package imports no torch: what needs it is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2i.testing.checks import CHECKS
    from i2i.testing.distributions import fake_distribution, isolated_plugins
    from i2i.testing.examination import check_component, check_plugin
    from i2i.testing.outcomes import Check, Outcome
    from i2i.testing.pytest_items import parametrize_components
    from i2i.testing.tiny_pairs import TinyPairs
    from i2i.testing.tiny_run import TinyRun, run_tiny

__all__ = [
    "CHECKS",
    "Check",
    "Outcome",
    "TinyPairs",
    "TinyRun",
    "check_component",
    "check_plugin",
    "fake_distribution",
    "isolated_plugins",
    "parametrize_components",
    "run_tiny",
]

_WHERE = {
    "CHECKS": "checks",
    "Check": "outcomes",
    "Outcome": "outcomes",
    "TinyPairs": "tiny_pairs",
    "TinyRun": "tiny_run",
    "check_component": "examination",
    "check_plugin": "examination",
    "fake_distribution": "distributions",
    "isolated_plugins": "distributions",
    "parametrize_components": "pytest_items",
    "run_tiny": "tiny_run",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'i2i.testing' has no attribute {name!r}")
    return getattr(import_module(f"i2i.testing.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
