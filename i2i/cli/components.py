"""`i2i components`: what a recipe can name, and the keys that each one takes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from i2i.cli.options import JsonOption, PluginOption, open_catalog, tell_broken
from i2i.cli.render import print_json, print_table, toml_value
from i2i.cli.usage import examples
from i2i.errors import RecipeError, did_you_mean
from i2i.kinds import KINDS, kinds_of
from i2i.plugins.catalog import CORE, split_ref

if TYPE_CHECKING:
    from i2i.plugins.catalog import Catalog
    from i2i.plugins.schema import Parameter, Schema
    from i2i.registry import Entry, LayoutEntry

app = typer.Typer(
    help="List components, or show the keys of one.", no_args_is_help=True, rich_markup_mode=None
)


LAYOUT = "layout"
"""Listed like a kind, though no recipe names one: what `i2i import` knows."""


@app.command("list", epilog=examples("i2i components list generator", "i2i components list --like edge"))
def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="A kind, like generator, a section, like losses, or layout, for `i2i import`.",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those with all these words in their name or summary."),
    ] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """List what `use` can name, kind by kind."""
    catalog = open_catalog(plugin)
    words = (like or "").casefold().split()
    if kind == LAYOUT:
        _list_layouts(catalog, words, json=json)
        return
    kinds = _kinds(kind)
    known = catalog.entries()
    found = [entry for entry in known if entry.kind in kinds and _matches(entry, words)]
    tell_broken(catalog)
    if json:
        print_json({"components": [{"ref": entry.ref, **asdict(entry)} for entry in found]})
    elif not found:
        print(_nothing_found(kind, like, words, known))
    elif sys.stdout.isatty():
        _print_by_kind(found)
    else:
        rows = [(_short(entry), entry.kind, entry.summary) for entry in found]
        print_table(("use", "kind", "summary"), rows)


def _list_layouts(catalog: Catalog, words: Sequence[str], *, json: bool) -> None:
    """List the weights from elsewhere that `i2i import` knows."""
    found = [entry for entry in catalog.layouts() if _matches(entry, words)]
    tell_broken(catalog)
    if json:
        print_json({"layouts": [{"ref": entry.ref, **asdict(entry)} for entry in found]})
    elif not found:
        print(f"no layout is like '{' '.join(words)}'" if words else "no layout is installed")
    else:
        print_table(("layout", "summary"), [(entry.ref, entry.summary) for entry in found])


def _matches(entry: Entry | LayoutEntry, words: Sequence[str]) -> bool:
    """Whether all `words` stand in a component's name or summary, be it as parts of others."""
    text = f"{entry.ref} {entry.summary}".casefold()
    return all(word in text for word in words)


def _nothing_found(kind: str | None, like: str | None, words: Sequence[str], known: Sequence[Entry]) -> str:
    """Say that there is none, and what comes nearest: one of another kind, or of another spelling."""
    told = f"no component{f' of the kind {kind}' if kind else ''}{f' is like {like!r}' if like else ''}"
    if words and (others := [entry for entry in known if _matches(entry, words)]):
        return f"{told}; of other kinds: {', '.join(f'{_short(e)} ({e.kind})' for e in others)}"
    spelt = {word for e in known for word in re.findall(r"[\w-]+", f"{e.ref} {e.summary}".casefold())}
    close = [did_you_mean(word, spelt) for word in words if not any(word in other for other in spelt)]
    return f"{told}{next(filter(None, close), '')}"


def _print_by_kind(entries: Sequence[Entry]) -> None:
    """Print a heading for each kind, with its table in a recipe, and its components below."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for number, (name, group) in enumerate(groupby(entries, key=lambda entry: entry.kind)):
        kind = KINDS[name]
        table = f"[{kind.section}.NAME]" if kind.named else f"[{kind.section}]"
        console.print(Text.assemble("\n" if number else "", (name, "bold cyan"), (f"  {table}", "dim")))
        rows = [(_short(entry), entry.summary) for entry in group]
        print_table(("use", "summary"), rows, labelled=False, headed=False)


@app.command("show", epilog=examples("i2i components show unet"))
def show_component(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A component's name, as `use` has it.")],
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Show the keys of a component, where its code is, and a table to paste."""
    from i2i.plugins.schema import component_schema, slot_schema

    found = []
    for entry in _named(open_catalog(plugin), ref):
        factory, schema = component_schema(entry)
        found.append((entry, factory, schema, slot_schema(entry.kind)))
    if json:
        print_json({"components": [_facts(*each) for each in found]})
        return
    for number, (entry, factory, schema, slot_keys) in enumerate(found):
        print("\n" if number else "", end="")
        _print_component(entry, factory, schema, slot_keys)


def _kinds(wanted: str | None) -> tuple[str, ...]:
    """Return the kinds of a kind's name or a section's, or all."""
    if wanted is None:
        return tuple(KINDS)
    kinds = (wanted,) if wanted in KINDS else kinds_of(wanted)
    if not kinds:
        known = [*KINDS, *(kind.section for kind in KINDS.values()), LAYOUT]
        raise RecipeError(
            f"there is no kind '{wanted}'{did_you_mean(wanted, known)}; kinds: {', '.join(KINDS)}"
        )
    return kinds


def _named(catalog: Catalog, ref: str) -> list[Entry]:
    """Return the components called `ref`, one for each kind that has one."""
    namespace, name = split_ref(ref)
    entries = catalog.plugin(namespace, wanted=ref).entries
    found = [entry for entry in entries if entry.name == name]
    if not found:
        close = did_you_mean(name, {entry.name for entry in entries})
        raise RecipeError(
            f"no component '{name}' in plug-in '{namespace}'{close or '; see `i2i components list`'}"
        )
    return found


def _short(entry: Entry) -> str:
    return entry.name if entry.namespace == CORE else entry.ref


def _source(factory: Any) -> tuple[str, int | None]:
    """Return the file and line of a class or function; empty where Python does not know."""
    import inspect

    try:
        code = inspect.unwrap(factory)
        return inspect.getsourcefile(code) or "", inspect.getsourcelines(code)[1]
    except (OSError, TypeError):
        return "", None


def _about(factory: Any) -> str:
    """Return what a docstring says before it comes to the arguments."""
    import inspect

    return inspect.cleandoc(factory.__doc__ or "").partition("\nArgs:")[0].strip()


def _facts(entry: Entry, factory: Any, schema: Schema, slot_keys: Schema) -> dict[str, Any]:
    file, line = _source(factory)
    return {
        "ref": entry.ref,
        **asdict(entry),
        "file": file,
        "line": line,
        "about": _about(factory),
        "parameters": [_key_facts(parameter) for parameter in schema.parameters],
        "slot_keys": [_key_facts(parameter) for parameter in slot_keys.parameters],
        "injected": sorted(schema.injected),
        "toml": paste(entry, factory, schema, slot_keys),
    }


def _key_facts(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": parameter.type_text,
        "required": parameter.required,
        "default": None if parameter.required else parameter.dump(parameter.default),
        "help": parameter.help,
        "at_test": parameter.at_test,
    }


def _print_component(entry: Entry, factory: Any, schema: Schema, slot_keys: Schema) -> None:
    file, line = _source(factory)
    print(f"{entry.ref}  {entry.kind}, revision {entry.rev}, from {entry.distribution} {entry.version}")
    print(f"{file}:{line}\n" if file else "")
    print(_about(factory) or entry.summary)
    headers, styles = ("key", "default", "type", ""), ("bold", "cyan")
    for title, part in (("its keys", schema), ("keys of every " + entry.kind, slot_keys)):
        if part.parameters:
            print(f"\n{title}")
            print_table(headers, [_row(key) for key in part.parameters], styles=styles, labelled=False)
    if schema.injected:
        print(f"\ngiven by i2i: {', '.join(sorted(schema.injected))}")
    print(f"\n{paste(entry, factory, schema, slot_keys)}", end="")


def _row(parameter: Parameter) -> tuple[str, str, str, str]:
    told = f"{parameter.help} Test key." if parameter.at_test else parameter.help
    return parameter.name, _default(parameter), parameter.type_text, told.strip()


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    value = parameter.dump(parameter.default)
    return "-" if value is None else toml_value(value)


def paste(entry: Entry, factory: Any, schema: Schema, slot_keys: Schema) -> str:
    """Return a table for a recipe, with every key at its default and "..." where one must be given.

    A transform that cannot be applied at the usual place is put at the first of its own.
    """
    places = getattr(factory, "places", ())
    kind = KINDS[entry.kind]
    names = {"generators": "generator", "schedules": "schedule", "optimizers": "optimizers.generators"}
    title = names.get(kind.section, f"{kind.section}.{entry.name}" if kind.named else kind.section)
    lines = [f"[{title}]", f'use = "{_short(entry)}"']
    for parameter in (*schema.parameters, *slot_keys.parameters):
        if parameter.name == "at" and places and parameter.default not in places:
            lines.append(f"at = {toml_value(places[0])}")
        elif parameter.required:
            lines.append(f'{parameter.name} = "..."  # required: {parameter.type_text}')
        elif parameter.dump(parameter.default) is None:
            lines.append(f'# {parameter.name} = "..."  # {parameter.type_text}')
        else:
            lines.append(f"{parameter.name} = {_default(parameter)}")
    return "\n".join(lines) + "\n"
