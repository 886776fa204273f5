"""The executor that a benchmark names, built from its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from i2i.errors import Problem, RecipeError, did_you_mean
from i2i.plugins.catalog import Catalog
from i2i.plugins.schema import bind

if TYPE_CHECKING:
    from i2i.kinds import Executor


def build_executor(table: Mapping[str, Any], catalog: Catalog) -> Executor:
    """Return the executor of a table with `use` and its keys. Raises RecipeError for what is wrong in it."""
    ref = table.get("use", "local")
    if not isinstance(ref, str):
        raise RecipeError(Problem("`use` is the name of an executor, in quotes", "executor.use"))
    entry = catalog.get(("executor",), ref)
    bound = bind(entry, table)
    names = bound.schema.names
    problems = [Problem(message, f"executor.{key}") for key, message in bound.errors.items()]
    for key in bound.unknown:
        message = f"unknown key '{key}' for {entry.ref}{did_you_mean(key, names)}"
        problems.append(Problem(message, f"executor.{key}", hint=f"keys: {', '.join(names)}"))
    if problems:
        raise RecipeError(*problems)
    try:
        executor: Executor = bound.call()
    except ValueError as error:
        raise RecipeError(Problem(f"{entry.ref}: {error}", "executor")) from error
    return executor
