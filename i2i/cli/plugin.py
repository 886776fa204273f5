"""`i2i plugin`: start a plug-in of one's own, add components to it, and check one that is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from i2i.cli.options import JsonOption, PluginOption, open_catalog
from i2i.cli.render import print_json, print_note, print_table
from i2i.cli.usage import examples
from i2i.errors import EXIT_PLUGIN, PluginError, RecipeError, did_you_mean
from i2i.kinds import KINDS
from i2i.plugins.discovery import LOCAL

if TYPE_CHECKING:
    from i2i.plugins.catalog import Catalog
    from i2i.plugins.discovery import Plugin
    from i2i.plugins.scaffold import Scaffold
    from i2i.testing import Outcome

MANY = 20
"""Rows of a table below which what failed is shown once more, as it would be far up on a screen."""

SLOW = 1.0
"""Seconds from which a check is told as slow."""

MOST_SLOW = 5
"""Slow checks that are told."""

app = typer.Typer(
    help="Start a plug-in of your own, add to it, or check an installed one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("new", epilog=examples("i2i plugin new shiny --kind paired-loss"))
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The namespace that recipes will use.")],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help=f"What its first component is: {', '.join(KINDS)}.")
    ] = "generator",
    component: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What the component is called; left out, i2i chooses."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to make the package's own folder in.")
    ] = Path(),
    json: JsonOption = False,
) -> None:
    """Write a package i2i-NAME with one component, a recipe that trains it, and its tests."""
    from i2i.plugins.scaffold import scaffold

    made = scaffold(name, kind=kind, name=component, out=out, catalog=open_catalog())
    _tell(made, f"{made.folder} is a plug-in with the {kind} {made.ref}.", json=json)


@app.command("add", epilog=examples("i2i plugin add i2i-shiny --kind metric"))
def add(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder of the package, with its pyproject.toml.")
    ] = Path(),
    kind: Annotated[
        str, typer.Option(metavar="KIND", help=f"What the component is: {', '.join(KINDS)}.")
    ] = "generator",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it is called; by default as a first one would be."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Add a component to a package: its module, its line in i2i_register, and a recipe that trains it."""
    from i2i.plugins.additions import add

    made = add(folder, kind=kind, name=name, catalog=open_catalog())
    _tell(made, f"{made.folder} has the {kind} {made.ref} too.", json=json)


def _tell(made: Scaffold, sentence: str, *, json: bool) -> None:
    """Print what was written, and what to do next."""
    if made.note:
        print_note(f"note: {made.note}")
    if json:
        next_steps = [{"command": command, "purpose": purpose} for command, purpose in made.next_steps()]
        files = [made.folder / path for path in made.files]
        print_json({"folder": made.folder, "files": files, "ref": made.ref, "next": next_steps})
        return
    for path in made.files:
        print(made.folder / path)
    print(f"\n{sentence}\n\nNext:\n")
    for command, purpose in made.next_steps():
        print(f"  {command}")
        print(f"      {purpose}")


@app.command(
    "check", epilog=examples("i2i plugin check core --only l1", "i2i plugin check local --plugin mine.py")
)
def check(
    namespace: Annotated[str, typer.Argument(metavar="NAME", help="The plug-in's namespace.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tell of this check or component alone. Repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="REF.KEY=VALUE",
            help="Build a component with this parameter, like shiny/photos.root=images. Repeatable.",
        ),
    ] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Check that an installed plug-in and each of its components keep the contract."""
    from i2i.testing.examination import examine_plugin

    catalog = open_catalog(plugin)
    titles = _titles(_installed(catalog, namespace))
    params = _params(settings or (), titles)
    _check_names(only or (), {namespace, *titles})
    outcomes = [
        examination.outcome(name)
        for examination in examine_plugin(namespace, params=params, catalog=catalog)
        for name in examination.checks
        if not only or {name, examination.subject.title, *examination.subject.title.split()} & {*only}
    ]
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if json:
        print_json(
            {"plugin": namespace, "ok": not failed, "outcomes": [vars(outcome) for outcome in outcomes]}
        )
    else:
        _show(namespace, outcomes)
    if failed:
        raise typer.Exit(EXIT_PLUGIN)


def _installed(catalog: Catalog, namespace: str) -> Plugin:
    """Return the record of a plug-in, loaded, be it broken; raise PluginError where there is none."""
    names = catalog.namespaces()
    record = catalog.record(namespace)
    if record is not None and record.disabled:
        raise PluginError(f"the plug-in '{namespace}' cannot be checked: I2I_DISABLE switches it off.")
    if record is None and namespace == LOCAL:
        raise PluginError(
            "'local' is the plug-in in a file, and none is given: say which with --plugin FILE.py."
        )
    if record is None:
        close = did_you_mean(namespace, names) or "."
        raise PluginError(f"no plug-in '{namespace}' is installed{close} Installed: {', '.join(names)}.")
    return catalog.load(namespace)


def _titles(plugin: Plugin) -> set[str]:
    """Return what the components of a plug-in go by: their references, with and without their kinds."""
    return {title for entry in plugin.entries for title in (entry.ref, f"{entry.kind} {entry.ref}")}


def _check_names(names: Sequence[str], titles: set[str]) -> None:
    from i2i.testing import CHECKS

    for name in names:
        if name not in {*CHECKS, *titles}:
            close = did_you_mean(name, {*CHECKS, *titles}) or "; leave --only out to see all names"
            raise RecipeError(f"--only {name}: there is no such check or component{close}")


def _params(settings: Sequence[str], titles: set[str]) -> dict[str, dict[str, Any]]:
    """Read the parameters of components, by what they go by."""
    from i2i.recipe.layers import read_settings

    params: dict[str, dict[str, Any]] = {}
    for text in settings:
        title, _, setting = text.partition(".")
        if title not in titles:
            close = did_you_mean(title, titles) or "; write REF.KEY=VALUE"
            raise RecipeError(f"--set {text}: there is no component '{title}'{close}")
        params.setdefault(title, {}).update(read_settings([setting]).table)
    return params


def _show(namespace: str, outcomes: Sequence[Outcome]) -> None:
    rows = [(outcome.component, outcome.check, outcome.status, outcome.sentence) for outcome in outcomes]
    print_table(("component", "check", "result", ""), rows, styles=("bold",), labelled=False)
    failed = [row for row in rows if row[2] == "failed"]
    if failed and len(rows) > MANY:
        print("\nof these, failed:\n")
        print_table(("component", "check", "result", ""), failed, styles=("bold",), labelled=False)
    slow = sorted((each for each in outcomes if each.seconds >= SLOW), key=lambda each: -each.seconds)
    if slow:
        shown = (f"{each.component} {each.check} {each.seconds:.1f} s" for each in slow[:MOST_SLOW])
        print(f"\nslowest: {', '.join(shown)}")
    count = Counter(outcome.status for outcome in outcomes)
    told = [f"{count[status]} {status}" for status in ("passed", "failed", "expected", "not run")]
    print(f"\n{namespace}: {', '.join(text for text in told if not text.startswith('0 '))}")
