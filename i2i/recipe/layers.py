"""One layer of a recipe: a TOML file, or what the command line sets, with the place of every key.

Reading runs no code and is bounded before anything is parsed. Short spellings become the long ones
here (`[generator]` is `[generators.main]`, `[schedule]` is `[schedules.all]`), while each key's
origin keeps the words its author used.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Number
from pathlib import Path
from typing import Any

from i2i.errors import Problem, RecipeError
from i2i.plugins.versions import Versions, versions_of_run
from i2i.recipe.origins import Origin, dotted
from i2i.recipe.slots import LENGTHS
from i2i.recipe.toml_lines import KeyPath, TooDeepError, key_lines

FORMAT = 1
MAX_FILE = 64 * 1024
MAX_LINE = 4 * 1024
MAX_DEPTH = 32
COMMAND_LINE = 1000  # its rank: shown after every file
SHORT_SPELLINGS = {"generator": ("generators", "main"), "schedule": ("schedules", "all")}

_BACKSLASHES = "in double quotes a backslash begins an escape: use single quotes, like 'C:\\Users\\me'"
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")


@dataclass
class Layer:
    """The tables of one source, the origin of each of their keys, and what it takes away from its base.

    Paths in `unset` are as written, all others in the long spelling. `written` are the versions of the
    plug-ins that it was written with, where a run recorded them.
    """

    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    unset: list[tuple[KeyPath, Origin]] = field(default_factory=list)
    extends: str = ""
    file: Path | None = None
    text: str = ""
    written: Versions = field(default_factory=dict)


def read_file(path: Path, *, shown: str, rank: int) -> Layer:
    """Read one recipe file; `shown` is how errors name it. Raises RecipeError."""
    text = read_text(path, shown)
    lines = _lines(text, shown)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.search(str(error))
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        reason = _PLACE.sub("", str(error))
        written = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
        hint = _BACKSLASHES if _escapes(written) else ""
        raise RecipeError(Problem(f"this is not TOML: {reason}", file=shown, line=line, hint=hint)) from None
    _check_format(table, shown, lines)
    origins = {key: Origin(dotted(key), shown, line, rank) for key, line in lines.items()}
    layer = Layer(table, origins, file=path, text=text, written=versions_of_run(path))
    _expand_short_spellings(layer, shown, lines)
    parent = layer.table.pop("extends", "")
    if not isinstance(parent, str):
        raise RecipeError(origins["extends",].problem("`extends` is one file or one name, in quotes"))
    layer.extends = parent
    _take_unset(layer)
    del layer.table["recipe"]
    return layer


def read_settings(
    settings: Sequence[str] | Mapping[str, Any],
    unset: Sequence[str] = (),
    *,
    steps: int | None = None,
    seed: int | None = None,
    option: str = "--set",
) -> Layer:
    """Turn what the command line sets into a layer of its own. Raises RecipeError.

    Each text in `settings` is ``a.b=VALUE``: the first ``=`` splits, VALUE is TOML, and what is no
    TOML but a plain word is a string. A mapping gives the values themselves. `option` is how errors
    name where the texts come from.
    """
    layer = Layer()
    if isinstance(settings, Mapping):
        given = [_Setting(key, _plain(value), f"set {key}") for key, value in settings.items()]
    else:
        given = [_setting(text, option) for text in settings]
    for number, one in enumerate(given):
        origin = Origin("", one.spot, rank=COMMAND_LINE + number)
        _put(layer, _key_path(one.key, one.spot), one.value, origin, one.word)
    last = COMMAND_LINE + len(given)
    if steps is not None:
        train = layer.table.get("train")
        if isinstance(train, dict):
            for other in LENGTHS:
                train.pop(other, None)
        _put(layer, ("train", "steps"), steps, Origin("", f"--steps {steps}", rank=last))
    if seed is not None:
        _put(layer, ("seed",), seed, Origin("", f"--seed {seed}", rank=last))
    for key in unset:
        spot = f"--unset {key}"
        path = _key_path(key, spot)
        layer.unset.append((path, Origin(dotted(path), spot, rank=last)))
    return layer


def read_values(settings: Sequence[str], *, option: str) -> dict[str, Any]:
    """Return the values of ``KEY=VALUE`` texts by key, as `option` of the command line has them."""
    return {one.key.strip(): one.value for one in (_setting(text, option) for text in settings)}


def from_part(
    table: Mapping[str, Any], prefix: KeyPath, *, shown: str, lines: Mapping[KeyPath, int], rank: int
) -> Layer:
    """Return what stands at `prefix` in a file of another kind, and is to be laid over a recipe.

    `lines` are those of the whole file. Raises RecipeError.
    """
    own = {path[len(prefix) :]: line for path, line in lines.items() if path[: len(prefix)] == prefix}
    origins = {key: Origin(dotted((*prefix, *key)), shown, line, rank) for key, line in own.items() if key}
    layer = Layer({key: _plain(value) for key, value in table.items()}, origins)
    _expand_short_spellings(layer, shown, own)
    _take_unset(layer)
    if misplaced := {"recipe", "extends"} & layer.table.keys():
        key = min(misplaced)
        raise RecipeError(origins[key,].problem(f"'{key}' belongs in a recipe's file, it cannot be set"))
    return layer


def from_table(table: Mapping[str, Any], *, shown: str, written: Mapping[str, str] = {}) -> Layer:
    """Return a layer of tables that stand in no file; `shown` is how errors name them."""
    layer = Layer(dict(table), {("recipe",): Origin("recipe", shown)}, written=written)
    for key, value in table.items():
        layer.origins[key,] = Origin(dotted((key,)), shown)
        _place_inside(layer, (key,), value)
    return layer


def full_path(path: KeyPath) -> KeyPath:
    """Return a key path with its short spelling written out."""
    return (*SHORT_SPELLINGS[path[0]], *path[1:]) if path and path[0] in SHORT_SPELLINGS else path


def read_text(path: Path, shown: str) -> str:
    """Return a small text file; raise RecipeError when it is too large, unreadable, or not UTF-8."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise RecipeError(Problem("there is no such recipe file", file=shown)) from None
    except OSError as error:
        raise RecipeError(Problem(f"cannot be read: {error.strerror or error}", file=shown)) from None
    if len(raw) > MAX_FILE:
        limit = f"a recipe has at most {MAX_FILE // 1024} KiB, this file has more"
        raise RecipeError(Problem(limit, file=shown))
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if len(line) > MAX_LINE:
            limit = f"a line has at most {MAX_LINE // 1024} KiB, this one has more"
            raise RecipeError(Problem(limit, file=shown, line=number))
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError(Problem("a recipe is UTF-8 text, this is not", file=shown, line=number)) from None


def _lines(text: str, shown: str) -> dict[KeyPath, int]:
    try:
        return key_lines(text, depth=MAX_DEPTH)
    except TooDeepError as error:
        limit = f"tables and lists nest at most {MAX_DEPTH} deep"
        raise RecipeError(Problem(limit, file=shown, line=error.line)) from None


def _check_format(table: Mapping[str, Any], shown: str, lines: Mapping[KeyPath, int]) -> None:
    number = table.get("recipe")
    if number == FORMAT and type(number) is int:
        return
    if number is None and "benchmark" in table:
        message = "this is a benchmark, not a recipe: `i2i bench` runs it"
    elif number is None:
        message = f"a recipe says which format it is in; begin it with `recipe = {FORMAT}`"
    elif type(number) is int and number > FORMAT:
        message = f"this recipe is of format {number}, this i2i reads format {FORMAT}: update i2i-toolkit"
    else:
        message = f"there is no such recipe format; write `recipe = {FORMAT}`"
    raise RecipeError(Problem(message, "recipe", shown, lines.get(("recipe",))))


def _expand_short_spellings(layer: Layer, shown: str, lines: Mapping[KeyPath, int]) -> None:
    """Write short spellings out, keeping the origins of their keys."""
    for short, (section, name) in SHORT_SPELLINGS.items():
        if short not in layer.table:
            continue
        if section in layer.table:
            later = max((short, section), key=lambda key: lines[key,])
            message = f"[{short}] is short for [{section}.{name}]: write one or the other, not both"
            raise RecipeError(Problem(message, later, shown, lines[later,]))
        # Rebuilt rather than moved, so that the section keeps its place in the file.
        layer.table = {
            **{section if key == short else key: value for key, value in layer.table.items()},
            section: {name: layer.table[short]},
        }
        for path in [path for path in layer.origins if path[0] == short]:
            layer.origins[full_path(path)] = layer.origins.pop(path)
        layer.origins[section,] = layer.origins[section, name]


def _take_unset(layer: Layer) -> None:
    names = layer.table.pop("unset", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = '`unset` is a list of keys in quotes, like ["metrics.ssim"]'
        raise RecipeError(layer.origins["unset",].problem(message))
    origin = layer.origins.get(("unset",))
    for name in names:
        assert origin is not None
        layer.unset.append((_key_path(name, origin.file, origin.line), origin))


def _key_path(text: str, spot: str, line: int | None = None) -> KeyPath:
    """Read a dotted key, with quotes where TOML has them."""
    message = f"'{text[:60]}' is not a key; write it as TOML does, a.b.c"
    refused = RecipeError(Problem(message, file=spot, line=line))
    if len(text) > MAX_LINE or "\n" in text or text.count(".") >= MAX_DEPTH:
        raise refused
    try:
        value: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        raise refused from None
    path: list[str] = []
    while isinstance(value, dict) and len(value) == 1:
        (key, value), *_ = value.items()
        path.append(key)
    if not path or value != 0:
        raise refused
    return tuple(path)


@dataclass(frozen=True)
class _Setting:
    """One key that is set; `spot` is how errors name it, `word` the text of a bare word that is no text."""

    key: str
    value: Any
    spot: str
    word: str | None = None


def _setting(text: str, option: str) -> _Setting:
    """Split ``a.b=VALUE`` and read the value."""
    key, equals, value = text.partition("=")
    spot = f"{option} {text if len(text) <= 60 else text[:57] + '...'}"
    if not equals or not value.strip():
        raise RecipeError(Problem('write it as KEY=VALUE; an empty string is KEY=""', file=spot))
    word = value.strip()
    read = _value(word, spot)
    bare = not isinstance(read, str | list | dict)
    return _Setting(key, read, spot, word if bare else None)


def _value(text: str, spot: str) -> Any:
    """Read the VALUE of ``--set a.b=VALUE``."""
    if len(text) > MAX_LINE:
        limit = f"a value has at most {MAX_LINE // 1024} KiB, this one has more"
        raise RecipeError(Problem(limit, file=spot))
    try:
        key_lines(f"value = {text}", depth=MAX_DEPTH)
        parsed = tomllib.loads(f"value = {text}")
    except TooDeepError:
        raise RecipeError(Problem(f"tables and lists nest at most {MAX_DEPTH} deep", file=spot)) from None
    except tomllib.TOMLDecodeError as error:
        if text[0] in "[{\"'":
            reason = _PLACE.sub("", str(error))
            hint = (
                _BACKSLASHES if _escapes(text) else "a text that looks like something else is KEY='\"TEXT\"'"
            )
            raise RecipeError(Problem(f"the value is not TOML: {reason}", file=spot, hint=hint)) from None
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


def _escapes(line: str) -> bool:
    """Whether a line has a backslash within double quotes that begins none of TOML's escapes."""
    return any(
        re.search(r"(?<!\\)(?:\\\\)*\\(?![btnfr\"\\]|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})", piece)
        for piece in line.split('"')[1::2]
    )


def _plain(value: Any) -> Any:
    """Return a Python value as TOML would have given it; numbers of other libraries become Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if (
        not isinstance(value, bool | int | float | str)
        and getattr(value, "shape", ()) == ()
        and hasattr(value, "item")
    ):
        value = value.item()  # a number of numpy's or torch's, or an array without dimensions
    if isinstance(value, Number) and not isinstance(value, bool | int | float | complex):
        return int(value) if isinstance(value, Integral) else float(value)  # type: ignore[arg-type]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _put(layer: Layer, written: KeyPath, value: Any, spot: Origin, word: str | None = None) -> None:
    """Set one key of the layer; a later setting of the same key wins."""
    if written[0] in {"recipe", "extends", "unset"}:
        raise RecipeError(
            Problem(f"'{written[0]}' belongs in a recipe's file, it cannot be set", file=spot.file)
        )
    path = full_path(written)
    shift = len(path) - len(written)
    table = layer.table
    for part in path[:-1]:
        if not isinstance(table.get(part), dict):
            table[part] = {}
        table = table[part]
    table[path[-1]] = value
    for length in range(1, len(path) + 1):
        layer.origins[path[:length]] = spot.below(*written[: max(1, length - shift)])
    layer.origins[path] = replace(layer.origins[path], word=word)
    _place_inside(layer, path, value)


def _place_inside(layer: Layer, path: KeyPath, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            layer.origins[*path, key] = layer.origins[path].below(key)
            _place_inside(layer, (*path, key), item)
