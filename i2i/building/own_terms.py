"""What a method says that it adds to the objective, or does with the recipe's losses, by its `own_terms`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from i2i.building.blame import Suspect
from i2i.errors import PluginError
from i2i.recipe.recipe import Slot
from i2i.records import OwnTerm

OwnTerms = Mapping[str, OwnTerm]
"""By the name of a loss that the method applies by name, a kind of losses, or a term of the method's own."""


def own_terms(method: Slot) -> OwnTerms:
    """Return what the method's class says for the keys of its table.

    Raises PluginError where it fails or says something else.
    """
    with Suspect.of(method).named():
        found = asked(method.factory, method.params)
    if problem := misfit(found):
        raise PluginError(method.problem(f"{method.entry.ref}: {problem}", key="use"))
    terms: OwnTerms = found
    return terms


def asked(factory: Callable[..., Any], keys: Mapping[str, Any]) -> Any:
    """Return what a class has as `own_terms`: a mapping, or a static method that makes one of its keys."""
    said = getattr(factory, "own_terms", {})
    return said(keys) if callable(said) else said


def misfit(found: object) -> str:
    """Say how an answer differs from what `own_terms` is to return, or nothing."""
    good = isinstance(found, Mapping) and all(
        isinstance(name, str) and isinstance(term, OwnTerm) for name, term in found.items()
    )
    return "" if good else "its `own_terms` is to map names to i2i.kinds.OwnTerm, or to return such a mapping"
