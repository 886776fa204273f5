"""`i2i recipe`: check, show, list, compare and start recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from i2i.cli.options import (
    JsonOption,
    PluginOption,
    RecipeArgument,
    SetOption,
    UnsetOption,
    open_catalog,
    tell_broken,
)
from i2i.cli.render import print_json, print_note, print_table, toml_value
from i2i.cli.usage import examples
from i2i.errors import I2IError, RecipeError, exit_code_of
from i2i.recipe.origins import dotted

if TYPE_CHECKING:
    from i2i.building.probe import NetworkFacts
    from i2i.plugins.catalog import Catalog
    from i2i.recipe.merge import Draft
    from i2i.recipe.recipe import Recipe

app = typer.Typer(help="Check, show, compare and start recipes.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list", epilog=examples("i2i recipe list"))
def list_recipes(plugin: PluginOption = None, json: JsonOption = False) -> None:
    """List the recipes that can be run by name, and the benchmarks."""
    catalog = open_catalog(plugin)
    lists = {"recipe": catalog.recipes(), "benchmark": catalog.benchmarks()}
    tell_broken(catalog)
    if json:
        print_json(
            {
                f"{what}s": [{"name": entry.ref, "summary": entry.summary} for entry in entries]
                for what, entries in lists.items()
            }
        )
        return
    for number, (what, entries) in enumerate(lists.items()):
        print("\n" if number else "", end="")
        print_table((what, "summary"), [(entry.ref, entry.summary) for entry in entries])


@app.command("check", epilog=examples("i2i recipe check mine.toml --build"))
def check(
    recipe: RecipeArgument,
    build: Annotated[
        bool,
        typer.Option(
            "--build", help="Build networks and method too, without memory, and check their shapes."
        ),
    ] = False,
    settings: SetOption = None,
    unset: UnsetOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Check a recipe and tell everything that is wrong with it."""
    try:
        loaded = _load(recipe, open_catalog(plugin), settings, unset)
        facts = _probe(loaded) if build else []
    except I2IError as error:
        if not json:
            raise
        print_json({"ok": False, "problems": [vars(problem) for problem in error.problems]})
        raise typer.Exit(exit_code_of(error)) from None
    if json:
        found: dict[str, Any] = {"networks": [vars(fact) for fact in facts]} if build else {}
        if build:
            found["objective"] = _objective(loaded)
        print_json({"ok": True, "name": loaded.name, "source": loaded.source, "notes": loaded.notes, **found})
        return
    if facts:
        _print_networks(facts)
        print(f"objective: {_objective(loaded)}")
    plugins = sorted({slot.entry.namespace for slot in loaded.slots.values()})
    print(f"{loaded.source}: no problem found; {len(loaded.slots)} components from {', '.join(plugins)}")


@app.command("show", epilog=examples("i2i recipe show pix2pix --set generator.width=16"))
def show(
    recipe: RecipeArgument,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Merge parents and fill in defaults, as a run records it.")
    ] = False,
    settings: SetOption = None,
    unset: UnsetOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Print a recipe; with --set or --unset, resolved."""
    if resolved or settings or unset:
        loaded = _load(recipe, open_catalog(plugin), settings, unset)
        source, text = loaded.source, loaded.to_toml()
    else:
        draft = _draft(recipe, open_catalog(plugin))
        source, text = draft.source, draft.text
    if json:
        print_json({"source": source, "toml": text})
    else:
        print(text.rstrip("\n"))


@app.command("diff", epilog=examples("i2i recipe diff pix2pix l1-only"))
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A recipe, as a file or by name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two recipes key by key, as resolved."""
    from i2i.recipe.recipe import differences

    catalog = open_catalog(plugin)
    found = differences(_load(first, catalog).table, _load(second, catalog).table)
    if json:
        print_json({"differences": [{"key": key, "a": a, "b": b} for key, a, b in found]})
    elif found:
        rows = [
            (key, *("-" if value is None else toml_value(value) for value in values))
            for key, *values in found
        ]
        print_table(("key", first, second), rows, styles=("bold", "red", "green"))
    else:
        print("no difference")


@app.command("init", epilog=examples("i2i recipe init mine --from pix2pix"))
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new recipe's name; it becomes NAME.toml.")],
    parent: Annotated[
        str, typer.Option("--from", metavar="RECIPE", help="The shipped recipe it starts from.")
    ] = "pix2pix",
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Start a recipe of your own, in NAME.toml."""
    from i2i.recipe.resolve import RUN_NAME

    name = name.removesuffix(".toml")
    if not RUN_NAME.fullmatch(name):
        raise RecipeError(f"'{name}' cannot name a recipe: use letters, digits, '.', '_' and '-', at most 64")
    text = _starting_point(name, parent, _draft(parent, open_catalog(plugin)))
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RecipeError(f"{path} is there already; choose another name") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be written: {error.strerror or error}") from None
    if json:
        print_json({"file": path, "extends": parent})
        return
    print(f"{path} starts from {parent}; change it, then: i2i run {path}")


def _load(
    source: str, catalog: Catalog, settings: Sequence[str] | None = None, unset: Sequence[str] | None = None
) -> Recipe:
    """Load a recipe and tell what its parents lost."""
    from i2i.recipe.recipe import load_recipe

    loaded = load_recipe(source, set=settings or (), unset=unset or (), catalog=catalog)
    for note in loaded.notes:
        print_note(f"note: {note}")
    return loaded


def _draft(source: str, catalog: Catalog) -> Draft:
    """Read a recipe with its parents, without asking whether its components are there."""
    from i2i.recipe.merge import read_draft
    from i2i.recipe.origins import Findings

    findings = Findings()
    draft = read_draft(source, catalog, findings)
    findings.raise_any()
    return draft


def _probe(recipe: Recipe) -> list[NetworkFacts]:
    """Build all networks without memory, and what else can refuse its parameters; fetch nothing."""
    from i2i.building.components import build_loss, build_metric, make
    from i2i.building.probe import probe
    from i2i.building.trial import try_method
    from i2i.data.opening import spec_and_fields
    from i2i.kind_table import changes_spec

    spec, extra = spec_and_fields(recipe)
    facts = probe(recipe, spec, extra=extra)
    for slot in recipe.section("losses"):
        build_loss(recipe, slot, spec, fetch=False, extra=extra)
    augmenting = (slot for slot in recipe.section("transforms") if not changes_spec(slot.factory))
    # Metrics and callbacks may take long to build: only those that could refuse the data are.
    asking = (slot for slot in recipe.section("callbacks") if "spec" in slot.injected)
    for slot in (*augmenting, *asking):
        make(recipe, slot, spec=spec)
    for slot in recipe.section("metrics"):
        if "spec" in slot.injected:
            build_metric(recipe, slot, spec)
    try_method(recipe, spec, extra)
    return facts


def _objective(recipe: Recipe) -> str:
    from i2i.building.objective import objective

    return objective(recipe)


def _print_networks(facts: Sequence[NetworkFacts]) -> None:
    field = {None: "-", 0: "whole image"}
    rows = [
        (
            fact.path,
            fact.ref,
            _size(fact.inputs) or "-",
            ", ".join(map(_size, fact.outputs)) or "-",
            f"{fact.parameters:,}",
            field.get(fact.receptive_field, str(fact.receptive_field)),
            "-" if fact.size_multiple is None else str(fact.size_multiple),
            {None: "-", True: "yes", False: "no"}[fact.conditional],
        )
        for fact in facts
    ]
    headers = ("network", "use", "in", "out", "parameters", "receptive field", "multiple", "sees source")
    print_table(headers, rows)


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _starting_point(name: str, parent: str, draft: Draft) -> str:
    """Return a recipe that extends `parent` and holds the parent's tables as comments."""
    lines = [
        f"# {name} starts from {parent}: what is written here replaces what stands there.",
        "#",
        f"#   i2i recipe check {name}.toml --build    is it sound?",
        f"#   i2i run {name}.toml",
        f"#   i2i recipe diff {parent} {name}.toml    what is different?",
        "#   i2i components list                     what can `use` name?",
        "recipe = 1",
        f"extends = {toml_value(parent)}",
        f"name = {toml_value(name)}",
        '# unset = ["metrics.ssim"]    takes tables or keys of the parent away',
        "",
        f"# The tables of {parent}. To change a key, take the '# ' away before it and before its [table].",
    ]
    for path, table in _tables(draft.table):
        plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
        written = draft.origin(path).where
        lines += [
            "",
            f"# [{written}]",
            *(f"# {dotted((key,))} = {toml_value(item)}" for key, item in plain.items()),
        ]
    return "\n".join(lines) + "\n"


def _tables(
    table: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every table that holds a key itself, with its path."""
    for key, value in table.items():
        if isinstance(value, dict):
            if not all(isinstance(item, dict) for item in value.values()):
                yield (*path, key), value
            yield from _tables(value, (*path, key))
