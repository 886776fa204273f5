"""The schema is the signature: a factory's keyword parameters are the keys of its table.

Types, defaults and ranges come from annotations, help from the docstring's ``Args:`` (a base class may
hold what its subclasses share), and pydantic checks each value in strict JSON mode, so that TOML's lists
serve as tuples and its strings as paths but no string turns into a number.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass
from datetime import date, time
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import tomli_w
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from i2i.errors import PluginError, did_you_mean
from i2i.kinds import KINDS
from i2i.plugins.value_examples import as_toml, examples_of, meant_by
from i2i.registry import Entry
from i2i.slot_keys import AtTest

REQUIRED = inspect.Parameter.empty
_ARGUMENT = re.compile(r"^(?P<indent>\s+)(?P<name>\w+)\s*(\([^)]*\))?:\s*(?P<help>.*)$")


@dataclass(frozen=True)
class Parameter:
    """One key of a component's table: its annotation, default (`REQUIRED` if none) and help."""

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether a recipe must give it."""
        return self.default is REQUIRED

    @property
    def at_test(self) -> bool:
        """Whether it is a test key, which changes no weights: its annotation has `AtTest` in it."""
        return AtTest.marks(self.annotation)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The pydantic type that checks and dumps a value."""
        return TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))

    @property
    def type_text(self) -> str:
        """The annotation as people write it: ``int >= 1``, ``"batch" | "none"``, ``[int, int]``."""
        return describe(self.annotation)

    def parse(self, value: Any) -> Any:
        """Return the Python value of a TOML one; raise ValueError with a sentence."""
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True)
        except TypeError:
            told = f"{_foreign(value)} is no value for '{self.name}'{self._example(None)}"
            raise ValueError(told) from None
        except ValidationError as error:
            raise ValueError(self._sentence(value, error)) from None

    def dump(self, value: Any) -> Any:
        """Return `value` as TOML can hold it; None means "leave it out"."""
        return self.adapter.dump_python(value, mode="json", warnings=False)

    def _sentence(self, value: Any, error: ValidationError) -> str:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        choices = choices_of(self.annotation)
        if choices and isinstance(value, str):
            close = did_you_mean(value, [choice for choice in choices if isinstance(choice, str)])
            return f"'{self.name}' cannot be {shown}{close}   (values: {', '.join(map(str, choices))})"
        first, *others = error.errors()
        plain = not others and not first["loc"] and first["msg"].startswith("Input")
        reason = first["msg"].replace("Input", "it") if plain else f"it is {self.type_text}"
        return f"'{self.name}' cannot be {shown}: {reason}{'' if choices else self._example(value)}"

    def _example(self, value: Any) -> str:
        """Return ", like 64": what `value` was probably meant to be, else the default, else any that fits."""
        default = None if self.required else self.dump(self.default)
        usual = [] if default in (None, "", [], {}) else [default]
        tried = (*meant_by(value), *usual, *examples_of(self.annotation))
        for candidate in tried:
            try:
                self.adapter.validate_json(json.dumps(candidate), strict=True)
            except (ValidationError, TypeError):
                continue
            return f", like {as_toml(candidate)}"
        return ""


@dataclass(frozen=True)
class Schema:
    """The keys of one factory, and the injected names that it asks for."""

    owner: str
    parameters: tuple[Parameter, ...]
    injected: frozenset[str]

    @property
    def names(self) -> list[str]:
        """The keys, sorted."""
        return sorted(parameter.name for parameter in self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def defaults(self) -> dict[str, Any]:
        """Return the TOML form of every default that has one."""
        dumped = {p.name: p.dump(p.default) for p in self.parameters if not p.required}
        return {name: self[name].dump(self[name].parse(v)) for name, v in dumped.items() if v is not None}

    def read(self, table: Mapping[str, Any], words: Mapping[str, str] = {}) -> Reading:
        """Parse the keys that are this schema's own, and fill in defaults.

        `words` are the bare words that the command line gave for some keys: a number or a date among them is
        the text that it was where its key wants a text.
        """
        values = {p.name: p.default for p in self.parameters if not p.required}
        toml = self.defaults()
        errors: dict[str, str] = {}
        for parameter in self.parameters:
            name = parameter.name
            if name in table:
                try:
                    values[name] = _parsed(parameter, table[name], words.get(name))
                    toml[name] = parameter.dump(values[name])
                except ValueError as error:
                    errors[name] = str(error)
            elif parameter.required:
                errors[name] = f"{self.owner} needs '{name}' ({parameter.type_text})"
        ordered = {p.name: toml[p.name] for p in self.parameters if p.name in toml}
        return Reading(values, ordered, errors)


@dataclass(frozen=True)
class Reading:
    """A table as its schema reads it: Python values, the same for TOML, and a sentence for each bad key."""

    values: dict[str, Any]
    toml: dict[str, Any]
    errors: dict[str, str]


def _parsed(parameter: Parameter, value: Any, word: str | None) -> Any:
    try:
        return parameter.parse(value)
    except ValueError:
        if word is None or not any(text in _plain_types(parameter.annotation) for text in (str, Path)):
            raise
    return parameter.parse(word)


def _plain_types(annotation: Any) -> set[Any]:
    """Return the types that a value can have by itself, through unions and annotations."""
    if typing.get_origin(annotation) is Annotated:
        return _plain_types(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return {one for part in typing.get_args(annotation) for one in _plain_types(part)}
    return {annotation}


def _foreign(value: Any) -> str:
    """Name what JSON cannot hold in a value: a date, or an object of a program."""
    if isinstance(value, Mapping | list | tuple):
        return next(filter(None, map(_foreign, value.values() if isinstance(value, Mapping) else value)), "")
    if value is None or isinstance(value, str | int | float):
        return ""
    return "a date or time" if isinstance(value, date | time) else f"a {type(value).__name__}"


def schema_of(factory: Callable[..., Any], *, owner: str, injected: Collection[str] = ()) -> Schema:
    """Read the schema of `factory`; `owner` names it in errors (``core/unet``).

    Raises PluginError when a parameter has no annotation, one that pydantic cannot check, a default
    that TOML cannot hold, or takes any keyword.
    """
    keywords, helps = _keywords(factory, owner), argument_help(factory)
    parameters: list[Parameter] = []
    asked: set[str] = set()
    for name, raw in keywords.items():
        if raw.kind in (raw.VAR_KEYWORD, raw.VAR_POSITIONAL, raw.POSITIONAL_ONLY):
            raise PluginError(f"{owner}: parameter '{raw}' is refused; name each parameter as a keyword")
        if name in injected:
            asked.add(name)
            continue
        default = _default(factory, raw)
        parameter = Parameter(name, _annotation(factory, raw, owner), default, helps.get(name, ""))
        _check_usable(parameter, owner)
        parameters.append(parameter)
    return Schema(owner, tuple(parameters), frozenset(asked))


def component_schema(entry: Entry) -> tuple[Callable[..., Any], Schema]:
    """Import a component and read its schema; raise PluginError when either cannot be done."""
    kind = KINDS[entry.kind]
    factory = entry.load()
    if not callable(factory):
        raise PluginError(f"{entry.ref}: '{entry.target}' is neither a class nor a function")
    schema = schema_of(factory, owner=entry.ref, injected=kind.injected)
    taken = {"use", *slot_schema(entry.kind).names} & set(schema.names)
    if taken:
        raise PluginError(f"{entry.ref}: parameter '{min(taken)}' is one of i2i's own keys; rename it")
    return factory, schema


@dataclass(frozen=True)
class Bound:
    """A component's table, read by its signature: what its factory can be called with.

    Args:
        factory: the component's class or function.
        schema: the factory's own keys, and the injected names that it asks for.
        values: the factory's keywords, defaults filled in; without those that are refused or missing.
        toml: the same as TOML holds it.
        errors: a sentence for each of the factory's keys that is refused or missing.
        settings: the engine's own keys of the table (slot keys), read in the same way.
        unknown: the table's keys that are neither's, in its order.
    """

    factory: Callable[..., Any]
    schema: Schema
    values: dict[str, Any]
    toml: dict[str, Any]
    errors: dict[str, str]
    settings: Reading
    unknown: tuple[str, ...]

    def call(self, **offered: Any) -> Any:
        """Call the factory with the table's values and those of the `offered` names that it asks for."""
        asked = {name: value for name, value in offered.items() if name in self.schema.injected}
        return self.factory(**self.values, **asked)


def bind(entry: Entry, table: Mapping[str, Any], words: Mapping[str, str] = {}) -> Bound:
    """Import a component and read its table, which may hold `use`, as a recipe gives it; `words` as in read.

    Raises PluginError when the component cannot be imported or its signature makes no schema; what is wrong
    with the table is in the result.
    """
    factory, schema = component_schema(entry)
    slot_keys = slot_schema(entry.kind)
    own = schema.read(table, words)
    known = {"use", *schema.names, *slot_keys.names}
    unknown = tuple(key for key in table if key not in known)
    return Bound(factory, schema, own.values, own.toml, own.errors, slot_keys.read(table, words), unknown)


@lru_cache
def slot_schema(kind: str) -> Schema:
    """Return the schema of the engine's own keys in a table of `kind`."""
    return schema_of(KINDS[kind].settings, owner=f"a {kind}")


def _keywords(factory: Callable[..., Any], owner: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `factory`; none for a class whose inherited constructor names none."""
    try:
        found = inspect.signature(factory).parameters
    except (TypeError, ValueError) as error:
        raise PluginError(f"{owner}: its parameters cannot be read: {error}") from None
    nameless = all(raw.kind in (raw.VAR_KEYWORD, raw.VAR_POSITIONAL) for raw in found.values())
    # A plain nn.Module inherits __init__(*args, **kwargs), which takes nothing in truth.
    if nameless and inspect.isclass(factory) and "__init__" not in factory.__dict__:
        return {}
    return found


def _annotation(factory: Callable[..., Any], raw: inspect.Parameter, owner: str) -> Any:
    """Evaluate one annotation by itself, so that names only type checkers know may stand in others."""
    if raw.annotation is raw.empty:
        raise PluginError(f"{owner}: parameter '{raw.name}' needs an annotation")
    function = inspect.unwrap(factory.__init__ if inspect.isclass(factory) else factory)
    holder = types.SimpleNamespace(__annotations__={raw.name: raw.annotation})
    names = getattr(function, "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)[raw.name]
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        message = f"{owner}: the annotation of parameter '{raw.name}' cannot be read: {error}"
        raise PluginError(message) from None


def _default(factory: Callable[..., Any], raw: inspect.Parameter) -> Any:
    """Return the default of a parameter; a dataclass field may make its own."""
    if dataclasses.is_dataclass(factory):
        made = {field.name: field.default_factory for field in dataclasses.fields(factory)}
        if raw.default is not REQUIRED and made.get(raw.name, MISSING) is not MISSING:
            return made[raw.name]()  # type: ignore[operator]
    return raw.default


def _check_usable(parameter: Parameter, owner: str) -> None:
    title = f"{owner}: the default of parameter '{parameter.name}'"
    try:
        parameter.adapter.rebuild()  # raises for a type that pydantic cannot check
        dumped = None if parameter.required else parameter.dump(parameter.default)
        if dumped is not None:
            tomli_w.dumps({parameter.name: dumped})
            parameter.parse(dumped)
    except PydanticUserError as error:
        raise PluginError(
            f"{owner}: parameter '{parameter.name}' is annotated with a type that no recipe can hold: "
            f"{str(error).splitlines()[0]}"
        ) from None
    except TypeError:
        raise PluginError(f"{title} is nothing that TOML can hold") from None
    except ValueError as error:
        raise PluginError(f"{title} is refused: {error}") from None


def argument_help(factory: Callable[..., Any]) -> dict[str, str]:
    """Return the help of each parameter from the docstring's ``Args:`` section.

    A class may describe its parameters in its own docstring or in that of ``__init__``, and leave to its
    bases those that they describe already; what bases say of other parameters than its own is left out.
    """
    if not inspect.isclass(factory):
        return _arguments(factory)
    own = inspect.signature(factory).parameters
    found: dict[str, str] = {}
    for owner in reversed(inspect.getmro(factory)):  # what is nearer to the class wins
        described = {**_arguments(owner), **_arguments(owner.__dict__.get("__init__"))}
        found |= {name: text for name, text in described.items() if owner is factory or name in own}
    return found


def _arguments(documented: object) -> dict[str, str]:
    """Return what the ``Args:`` section of one docstring says of each name."""
    text = getattr(documented, "__doc__", None)
    _, _, section = inspect.cleandoc(text if isinstance(text, str) else "").partition("\nArgs:\n")
    found: dict[str, str] = {}
    current, indent = "", ""
    for line in section.splitlines():
        if line and not line[0].isspace():
            break
        match = _ARGUMENT.match(line)
        if match and (not current or len(match["indent"]) <= len(indent)):
            current, indent = match["name"], match["indent"]
            found[current] = match["help"].strip()
        elif current and line.strip():
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a Literal, alone or in a union; empty for other types."""
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    if typing.get_origin(annotation) in (Union, types.UnionType, Annotated):
        return tuple(c for part in typing.get_args(annotation) for c in choices_of(part))
    return ()


def describe(annotation: Any) -> str:
    """Return an annotation in the words of a recipe."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "left out"
    if origin is Annotated:
        bounds = " and ".join(filter(None, map(_bound, args[1:])))
        return f"{describe(args[0])} {bounds}".strip()
    if origin is Literal:
        return " | ".join(json.dumps(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(map(describe, args))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return f"[{describe(args[0])}, ...]"
    if origin is tuple:
        return f"[{', '.join(map(describe, args))}]"
    if origin is list:
        return f"[{describe(args[0])}, ...]"
    if origin in (dict, Mapping):
        return "table"
    if annotation is re.Pattern or origin is re.Pattern:
        return "regular expression"
    names = {str: "string", Path: "path", bool: "true | false", int: "int", float: "float", dict: "table"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bound(constraint: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}
    found = [(sign, getattr(constraint, name, None)) for name, sign in signs.items()]
    # A bound that only keeps nonsense out is no news to anybody.
    return " and ".join(f"{sign} {value}" for sign, value in found if value is not None and value < 10**6)
