"""An example of the right form for a value that is refused: what was probably meant, the default, or any."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

_BETWEEN = re.compile(r"\s*[,;\s]\s*|(?<=\d)x(?=\d)")


def meant_by(value: Any) -> Iterator[Any]:
    """Yield TOML values that a refused one could stand for: 1000 for 1000.0, [64, 64] for "64,64"."""
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, str):
        yield from filter(lambda read: not isinstance(read, str), map(_read, (value, value.lower())))
        parts = [part for part in _BETWEEN.split(value.strip("[]() ")) if part]
        if len(parts) > 1:
            yield [_read(part) for part in parts]
    elif not isinstance(value, list | dict):
        yield [value]


def examples_of(annotation: Any) -> Iterator[Any]:
    """Yield a few TOML values of a type; a bound may refuse some of them."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from examples_of(args[0])
    elif origin is Literal:
        yield from args
    elif origin in (Union, types.UnionType):
        for part in args:
            yield from examples_of(part)
    elif origin is tuple and args[1:] != (Ellipsis,):
        yield from (list(each) for each in zip(*map(examples_of, args), strict=False))
    elif origin in (tuple, list):
        yield from ([each] for each in examples_of(args[0]))
    elif origin in (dict, Mapping):
        yield from ({"name": each} for each in examples_of(args[1]))
    else:
        yield from _PLAIN.get(annotation, ())


_PLAIN: Mapping[Any, tuple[Any, ...]] = {
    bool: (True,),
    int: (1, 2, 4, 8, 16, 64, 256, 0),
    float: (0.5, 1.0, 2.0, 0.0),
    str: ("name",),
    Path: ("folder/name",),
    re.Pattern: ("^([a-z0-9]+)_",),
    re.Pattern[str]: ("^([a-z0-9]+)_",),
}


def as_toml(value: Any) -> str:
    """Return a value as a recipe has it, on one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {as_toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _read(text: str) -> Any:
    """Return what a text is in JSON, which is what it is in TOML for numbers and truth values."""
    try:
        return json.loads(text)
    except ValueError:
        return text
