"""`i2i run`: train a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from i2i.cli.options import PluginOption, RecipeArgument, SetOption, UnsetOption, open_catalog
from i2i.cli.streams import drop_output_when_full
from i2i.errors import RecipeError


def run(
    recipe: RecipeArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; a new one under runs/ by default. Given again, it resumes."),
    ] = None,
    settings: SetOption = None,
    unset: UnsetOption = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train this many steps, whatever the recipe says.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Use this seed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over in --out.")] = False,
    stop_at: Annotated[
        int | None, typer.Option(min=1, help="Stop after this step, to be resumed later.")
    ] = None,
    extend: Annotated[
        int | None,
        typer.Option(min=1, help="Make the run in --out so many steps longer than it was planned."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything with one batch, train nothing, write nothing.")
    ] = False,
    plugin: PluginOption = None,
) -> None:
    """Train a recipe; the last lines name the report and the model."""
    from i2i.cli.live import terminal
    from i2i.engine import loop
    from i2i.engine.rehearsal import rehearse
    from i2i.recipe.recipe import load_recipe

    if extend is not None and (out is None or fresh):
        raise RecipeError("--extend makes the run in --out longer: give --out, and no --fresh.")
    catalog = open_catalog(plugin)
    loaded = load_recipe(
        recipe, set=settings or (), unset=unset or (), steps=steps, seed=seed, catalog=catalog
    )
    drop_output_when_full()
    observer = terminal()
    if dry_run:
        for note in loaded.notes:
            observer.note(note)
        for fact in rehearse(loaded, device=device, observer=observer):
            typer.echo(f"{fact.path}: {fact.ref}, {fact.parameters:,} parameters")
        typer.echo(f"{loaded.source}: one batch went through train, evaluate, save and load.")
        return
    loop.run(
        loaded,
        out,
        device=device,
        fresh=fresh,
        stop_at=stop_at,
        extend=extend,
        observer=observer,
        command=sys.argv[1:],
    )
