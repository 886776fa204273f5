"""`i2i bench`: does it matter, or is it the seed?"""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from i2i.cli.options import (
    DeviceOption,
    JsonOption,
    PluginOption,
    QuietOption,
    SetOption,
    open_catalog,
)
from i2i.cli.progress import interruptible
from i2i.cli.render import print_json, print_note
from i2i.cli.together import refuse_several
from i2i.cli.usage import examples
from i2i.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from i2i.bench.definition import Definition
    from i2i.bench.jobs import Job
    from i2i.plugins.catalog import Catalog

EXAMPLES = examples(
    "i2i bench pix2pix --swap losses.adversarial.use=vanilla,lsgan --seeds 3 --steps 1000",
    "i2i bench recipes/bench/losses.toml --cells runs/cells",
)


def bench(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK|RECIPE", help="A benchmark's file or name, or a recipe for --swap."
        ),
    ],
    swap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2", help="Compare these values, like losses.adversarial.use=vanilla,lsgan."
        ),
    ] = None,
    one_at_a_time: Annotated[
        bool, typer.Option("--one-at-a-time", help="Each value alone, instead of all combinations.")
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,…", help="How many seeds (3 by default), or which ones.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each cell.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="As many steps as the baseline takes in this time.")
    ] = None,
    each_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="As many steps as each variant takes in this time.")
    ] = None,
    settings: SetOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Report this figure, the first first. Repeatable."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="The variant to compare with.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the benchmark; runs/bench-NAME by default.")
    ] = None,
    cells: Annotated[
        Path | None, typer.Option(help="Folder of trained cells, which several benchmarks may share.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Cells at the same time; each has its share of the cores.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where cells are trained: local, or a plug-in's.")
    ] = None,
    device: DeviceOption = "auto",
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the command of each cell that is left, and train none.")
    ] = False,
    slurm: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write an array of Slurm for the cells that are left there, and train none.",
        ),
    ] = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Compare variants of a recipe over several seeds: what matters, and what it costs."""
    refuse_several("a benchmark is")
    from i2i.cli.bench_view import BenchmarkProgress, print_results

    catalog = open_catalog(plugin)
    definition = _definition(recipe, swap or [], one_at_a_time, catalog)
    definition = _within(definition, steps, seconds, each_seconds)
    definition = _changed(definition, seeds, metric, baseline, cells, jobs, executor)
    root = out or Path("runs") / f"bench-{definition.name}"
    progress = BenchmarkProgress(quiet=quiet)
    told = "interrupted; what was trained is saved. To go on, run the same command again"
    try:
        waits_for = "waiting for its processes to end"
        with interruptible(lambda: f"{told}, with --out {root}", waits_for=waits_for) as check:
            from i2i.bench.benchmark import Benchmark
            from i2i.system.lock import held

            with held(root):
                benchmark = Benchmark(
                    definition,
                    root,
                    catalog=catalog,
                    observer=progress,
                    settings=settings or (),
                    device=device,
                    plugin=plugin,
                    command=shlex.join(["i2i", *sys.argv[1:]]),
                )
                planned = plan or slurm is not None
                answer = None if planned else benchmark.known()
                if answer is None:
                    import torch  # noqa: F401 - here, for an import that is interrupted may not say so

                    check()
                    left = benchmark.plan() if planned else []
                    answer = None if planned else benchmark.run()
    finally:
        progress.end()
    if answer is None:
        script = None if slurm is None or not left else _write_array(slurm, left, definition)
        _print_plan([job.command() for job in left], script, json=json)
        return
    if json:
        print_json(answer.results.to_json())
    else:
        print_results(answer.results)
        typer.echo(f"report   {root / 'report.html'}")
        typer.echo(f"results  {root / 'results.json'}")
    raise typer.Exit(answer.code)


def _write_array(folder: Path, jobs: Sequence[Job], definition: Definition) -> Path:
    from i2i.bench.slurm import write_array

    at_once = definition.executor.get("jobs")
    return write_array(folder, jobs, name=definition.name, at_once=at_once, collect=_collecting())


def _collecting() -> str:
    """Return the command that was typed, without what asks for a plan, and seen from the same folder."""
    words = sys.argv[1:]
    if "--slurm" in words:
        place = words.index("--slurm")
        del words[place : place + 2]
    words = [word for word in words if word != "--plan" and not word.startswith("--slurm=")]
    return f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(['i2i', *words])}"


def _print_plan(commands: list[str], script: Path | None, *, json: bool) -> None:
    """Print the commands of the cells that are left, or where the array of them stands."""
    if json:
        print_json({"commands": commands} | ({"script": str(script)} if script else {}))
    elif script is not None:
        count = f"{len(commands)} cell{'s' if len(commands) > 1 else ''}"
        typer.echo(f"{count}: fill in account, partition and time in {script}, then")
        typer.echo(f"  sbatch {shlex.quote(str(script))}")
        typer.echo("and, when it has ended,")
        typer.echo(f"  {_collecting()}")
    elif not commands:
        print_note("no cell is left")
    for command in commands if script is None and not json else ():
        typer.echo(command)


def _definition(recipe: str, swaps: list[str], one_at_a_time: bool, catalog: Catalog) -> Definition:
    """Return what the arguments describe: a benchmark's file, or swaps in a recipe."""
    from i2i.bench.definition import is_benchmark, read_benchmark, swapped

    shipped = None if recipe.endswith(".toml") else catalog.benchmark(recipe)
    path = Path(recipe) if shipped is None else shipped.path()
    if shipped is not None or (recipe.endswith(".toml") and is_benchmark(path)):
        if swaps or one_at_a_time:
            raise RecipeError(f"{recipe} has variants of its own; --swap goes with a recipe.")
        return read_benchmark(path)
    if not swaps:
        raise RecipeError(f"{recipe} is a recipe: say what to compare, like --swap losses.l1.weight=10,100.")
    name = Path(recipe).stem if recipe.endswith(".toml") else recipe.replace("/", "-")
    return swapped(recipe, name, swaps, one_at_a_time=one_at_a_time)


def _within(
    definition: Definition, steps: int | None, seconds: float | None, each_seconds: float | None
) -> Definition:
    """Return a benchmark with the budget of the command line, if that has one, in place of its own."""
    from i2i.bench.definition import Budget

    budget = Budget(steps=steps, seconds=seconds, each_seconds=each_seconds)
    given = budget.as_table()
    if len(given) > 1:
        raise RecipeError("a budget is in one unit: give --steps, --seconds or --each-seconds.")
    for unit, value in given.items():
        if not math.isfinite(value):
            raise RecipeError(f"--{unit.replace('_', '-')} {value}: a budget has an end.")
    return replace(definition, budget=budget) if given else definition


def _changed(
    definition: Definition,
    seeds: str | None,
    metric: list[str] | None,
    baseline: str | None,
    cells: Path | None,
    jobs: int | None,
    executor: str | None,
) -> Definition:
    """Lay the command line's options over what the benchmark says."""
    if seeds is not None:
        definition = replace(definition, seeds=_seeds(seeds))
    if metric:
        definition = replace(definition, metrics=tuple(metric))
    if baseline is not None:
        definition = replace(definition, baseline=baseline)
    if cells is not None:
        definition = replace(definition, cells=cells)
    table = dict(definition.executor)
    if executor is not None:
        table = {"use": executor}
    if jobs is not None:
        table["jobs"] = jobs
    return replace(definition, executor=table)


def _seeds(text: str) -> tuple[int, ...]:
    """Read ``3`` as the first three seeds, and ``0,5,7`` as a list."""
    from i2i.bench.definition import HEAD, seeds_of

    try:
        numbers = [int(word) for word in text.split(",") if word.strip()]
        return seeds_of(HEAD["seeds"].parse(numbers if "," in text else numbers[0]))
    except (ValueError, IndexError):
        message = f"--seeds {text}: write how many, like 3, or a list of them, like 0,5,7."
        raise RecipeError(message) from None
