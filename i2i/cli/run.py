"""`i2i run`: train a recipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from i2i._version import __version__
from i2i.cli.latest import LATEST, run_or_path
from i2i.cli.options import (
    JsonOption,
    PluginOption,
    QuietOption,
    RecipeArgument,
    SetOption,
    UnsetOption,
    open_catalog,
)
from i2i.cli.progress import interruptible, log_passed_to
from i2i.cli.render import print_json, print_table
from i2i.cli.streams import drop_output_when_full
from i2i.cli.usage import examples
from i2i.errors import RecipeError

if TYPE_CHECKING:
    from i2i.cli.live import Screen
    from i2i.engine.loop import Result
    from i2i.engine.profiling import Profile
    from i2i.engine.rehearsal import Rehearsal

EXAMPLES = examples(
    "i2i run pix2pix", "i2i run pix2pix --out runs/short --steps 200 --set losses.l1.weight=10"
)


def run(
    recipe: RecipeArgument,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the run; a new one under runs/ by default. Given again, it resumes; `latest` "
            "resumes the newest.",
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            metavar="MODEL|RUN|latest",
            parser=run_or_path,
            help="Start from an earlier training: a run's folder, its newest one (`latest`) or a checkpoint "
            "with the discriminators that fit, a model file without.",
        ),
    ] = None,
    settings: SetOption = None,
    unset: UnsetOption = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train this many steps, whatever the recipe says.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.001, help="Train as many steps as this machine makes in so many minutes."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Compute with this many threads; of a CPU only.")
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
    profile: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="Time so many steps instead: where they go, and a trace of some.",
        ),
    ] = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a recipe; the last lines name the report and the model."""
    from i2i.cli.live import Unseen, terminal
    from i2i.cli.together import ending_together, is_first, refuse_several

    if dry_run or profile is not None:
        refuse_several("a dry run and a profile are")
    if steps is not None and minutes is not None:
        raise RecipeError("a run has one length: give --steps or --minutes.")
    if extend is not None and (out is None or fresh):
        raise RecipeError("--extend makes the run in --out longer: give --out, and no --fresh.")
    if dry_run or profile is not None:
        given_too = {"--fresh": fresh, "--stop-at": stop_at, "--extend": extend}
        for option in (name for name, value in given_too.items() if value):
            raise RecipeError(f"--dry-run and --profile train nothing that stays: leave {option} out.")
        if dry_run and profile is not None:
            raise RecipeError("--dry-run and --profile are two things: give one of them.")
    if fresh and out == LATEST:
        raise RecipeError(f"--fresh removes the run that it starts over: name its folder, not `{LATEST}`.")
    folder = None if out is None else run_or_path(out)
    if profile is not None:
        # Before torch is there: else its profiler tells of itself on standard error.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    drop_output_when_full("stderr", *(() if json else ("stdout",)))
    first = is_first()  # the others leave it to that one to tell
    screen = terminal(quiet=quiet, last_to_stderr=json) if first else Unseen()
    with ending_together():
        catalog = open_catalog(plugin)
    options = {"minutes": minutes, "threads": threads}
    given = [*(settings or ()), *(f"train.{k}={value}" for k, value in options.items() if value is not None)]
    changes: Mapping[str, Any] = {"unset": unset or (), "steps": steps, "seed": seed, "catalog": catalog}
    try:
        with (
            interruptible(lambda: _ended(screen), quietly=not first) as check,
            log_passed_to(screen.stage, screen.note),
        ):
            with ending_together():
                _greet(screen, recipe, given, changes)
            from i2i.engine import loop
            from i2i.engine.rehearsal import rehearse
            from i2i.recipe.recipe import load_recipe
            from i2i.system.memory import keep_freed_memory

            check()
            keep_freed_memory()
            with ending_together():
                loaded = load_recipe(recipe, set=given, **changes)
            if profile is not None:
                from i2i.engine.profiling import profile_steps
                from i2i.runs.folder import TRACE

                trace = folder / TRACE if folder else Path(f"{loaded.name}-{TRACE}")
                timed = profile_steps(
                    loaded, profile, trace=trace, device=device, observer=screen, init_from=init_from
                )
            elif dry_run:
                for note in loaded.notes:
                    screen.note(note)
                found = rehearse(
                    loaded, device=device, observer=screen, init_from=init_from, where=folder or Path("runs")
                )
                for note in found.notes:
                    screen.note(note)
            else:
                result = loop.run(
                    loaded,
                    folder,
                    device=device,
                    fresh=fresh,
                    stop_at=stop_at,
                    extend=extend,
                    init_from=init_from,
                    observer=screen,
                    command=sys.argv[1:],
                )
    finally:
        screen.close()
    if profile is not None:
        _print_profile(timed, json=json)
    elif dry_run:
        _print_rehearsal(found, json=json)
    elif json and first:
        print_json(_record(result))


def _greet(screen: Screen, recipe: str, settings: Sequence[str], changes: Mapping[str, Any]) -> None:
    """Say what is about to run: before torch is there, whose import takes seconds."""
    from i2i.recipe.merge import read_draft
    from i2i.recipe.origins import Findings

    # What is wrong with it is told when it is loaded, all at once.
    table = read_draft(recipe, settings=settings, findings=Findings(), **changes).table
    about = f": {table['summary']}" if isinstance(table.get("summary"), str) else ""
    screen.note(f"i2i {__version__} - {table.get('name', recipe)}{about}")
    screen.stage("loading PyTorch")


def _ended(screen: Screen) -> str:
    return "interrupted" if screen.started else "interrupted before any step was made; nothing is lost."


def _print_profile(found: Profile, *, json: bool) -> None:
    if json:
        print_json(vars(found))
        return
    whole = sum(found.parts.values())
    rows = [
        (name, f"{1000 * seconds:,.2f} ms", f"{seconds / whole:.1%}") for name, seconds in found.parts.items()
    ]
    print_table(("part of a step", "time", "share"), rows)
    typer.echo(
        f"a step: {1000 * found.step_seconds:,.1f} ms, and {1000 * whole:,.1f} ms with its parts timed "
        f"(means of {found.steps:,} steps)"
    )
    typer.echo(f"trace  {found.trace}  (open it at ui.perfetto.dev or in chrome://tracing)")


def _print_rehearsal(found: Rehearsal, *, json: bool) -> None:
    recipe, cost, steps = found.recipe, found.cost, found.steps
    if json:
        print_json(
            {
                "status": "tried",
                "source": recipe.source,
                "networks": [vars(fact) for fact in found.networks],
                "steps": steps,
                "seconds": cost.seconds(recipe.train, steps=steps),
                "step_seconds": cost.step + cost.batch,
                "memory_mb": cost.memory_mb,
                "disk_bytes": cost.disk_bytes(recipe.train, steps=steps),
                "threads": found.runtime.threads,
            }
        )
        return
    for fact in found.networks:
        typer.echo(f"{fact.path}: {fact.ref}, {fact.parameters:,} parameters")
    typer.echo(f"{recipe.source}: one batch went through train, evaluate, save and load.")
    typer.echo(f"{steps:,} steps: {cost.told(recipe.train, steps=steps)}")


def _record(result: Result) -> dict[str, Any]:
    """Return a run as `--json` tells it: how it ended, and its files."""
    from i2i.runs.folder import RunFolder

    files = dict(RunFolder(result.folder).last_lines())
    return {"status": result.status, "folder": result.folder, **files, "summary": dict(result.summary)}
