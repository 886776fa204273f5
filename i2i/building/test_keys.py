"""The test keys of a model file, which change no weights, and the values that a person chose for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from i2i.errors import Problem, RecipeError, did_you_mean
from i2i.plugins.schema import Parameter, Schema, schema_of
from i2i.recipe.layers import full_path
from i2i.runs.header import ModelHeader

METHOD = "method"

Chosen = Mapping[str, Mapping[str, Any]]
"""Values by the path of their owner, "method" or a network's, then by key; as TOML holds them."""


@dataclass(frozen=True, kw_only=True)
class _OfTestSettings:
    """The keys of a method that stand for its `TestSettings`, by which a single network is run."""

    test_dropout: bool = False
    test_norm: Literal["batch", "running"] = "running"


_SETTINGS = schema_of(_OfTestSettings, owner="a method")

SHORT = {name.removeprefix("test_"): name for name in _SETTINGS.names}
"""Words that stand for these keys: `dropout` and `norm`."""


@dataclass(frozen=True)
class TestKeys:
    """The test keys of the model file `path`, by the path of the component that each is of."""

    path: Path
    method: str
    by_owner: Mapping[str, Sequence[Parameter]]

    __test__ = False  # not a test class, whatever its name says to a test runner

    @classmethod
    def of(cls, header: ModelHeader, schemas: Mapping[str, Schema], *, path: Path) -> TestKeys:
        """Return those of the components in a file, whose `schemas` are by path.

        Where the method is not among them, its networks run by `TestSettings`, and of its keys only those
        that stand for these have a meaning; of an older file, which does not name its method, all of them.
        """
        found = {
            owner: [key for key in schema.parameters if key.at_test] for owner, schema in schemas.items()
        }
        if METHOD not in schemas:
            known = _SETTINGS.names if header.method is None else header.method.slot.keys()
            found[METHOD] = [parameter for parameter in _SETTINGS.parameters if parameter.name in known]
        return cls(path, header.method.component if header.method else "its method", found)

    def chosen(self, asked: Mapping[str, Any]) -> Chosen:
        """Return the values `asked` for, by key or OWNER.KEY, under the paths of their owners.

        Raises RecipeError for a key that is none, that two components have, or a value that it cannot take.
        """
        found: dict[str, dict[str, Any]] = {}
        for key, value in asked.items():
            owner, parameter = self._owner(key)
            try:
                parsed = parameter.dump(parameter.parse(value))
            except ValueError as error:
                raise RecipeError(Problem(str(error), file=f"{self.path}", where=key)) from None
            found.setdefault(owner, {})[parameter.name] = parsed
        return found

    def refuse_short(self, word: str) -> None:
        """Raise RecipeError where `word`, a key of `SHORT`, stands for a key that there is not."""
        key = SHORT[word]
        if not any(parameter.name == key for parameter in self.by_owner[METHOD]):
            raise RecipeError(
                f"{self.path}: {word} is short for the test key '{key}', which {self.method} does not have; "
                f"{self._told()}."
            )

    def _owner(self, key: str) -> tuple[str, Parameter]:
        written, _, name = key.strip().rpartition(".")
        owner = ".".join(full_path(tuple(written.split(".")))) if written else ""
        fitting = [
            (path, parameter)
            for path, parameters in self.by_owner.items()
            for parameter in parameters
            if parameter.name == name and owner in ("", path)
        ]
        if not fitting:
            names = [parameter.name for parameters in self.by_owner.values() for parameter in parameters]
            close = did_you_mean(name, names)
            raise RecipeError(f"{self.path} has no test key '{key}'{close or f'; {self._told()}'}")
        if fitting[1:]:
            ways = " or ".join(f"{path}.{name}" for path, _ in fitting)
            raise RecipeError(f"{self.path} has several test keys '{name}': write {ways}")
        return fitting[0]

    def _told(self) -> str:
        names = [f"{path}.{p.name}" for path, parameters in self.by_owner.items() for p in parameters]
        return f"its test keys are {', '.join(names)}" if names else "it has no test keys"


def settings_changes(chosen: Chosen) -> dict[str, Any]:
    """Return what was chosen of the method's keys as fields of `TestSettings`."""
    return {key.removeprefix("test_"): value for key, value in chosen.get(METHOD, {}).items()}
