"""`i2i data`: look at image pairs before training, and fetch public ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from i2i.cli.options import (
    DataOption,
    JsonOption,
    PluginOption,
    QuietOption,
    data_settings,
    open_catalog,
)
from i2i.cli.progress import error_console, interruptible
from i2i.cli.render import print_json, print_table
from i2i.cli.usage import examples
from i2i.cli.watch import watching
from i2i.data.public_sets import SETS
from i2i.errors import EXIT_DATA, Problem, printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from i2i.data.survey import DataReport, SideReport

NOTHING = ("none can be used", "-")
"""What is shown in place of the sides of a split without a pair that can be used."""

app = typer.Typer(
    help="Check image pairs, or fetch public ones.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("check", epilog=examples("i2i data check my-pairs", "i2i data check mine.toml --on-bad skip"))
def check(
    path: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of pairs, a manifest, or a recipe (.toml).")
    ],
    data: DataOption = None,
    on_bad: Annotated[
        Literal["refuse", "skip"], typer.Option(help="Whether pairs that cannot be used are an error.")
    ] = "refuse",
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Read every pair: how they were found, what they are, and each problem with its file."""
    with interruptible(lambda: "interrupted; not all pairs were read"), watching(quiet=quiet) as watch:
        from i2i.data import survey
        from i2i.recipe.recipe import load_sections

        recipe = load_sections(
            path if path.suffix == ".toml" else _pairs_in(path),
            ["data"],
            shown="the command line",
            set=data_settings(data),
            catalog=open_catalog(plugin),
        )
        report = survey.check(recipe, watch=watch)
    if json:
        print_json(report.record())
    else:
        _show(report)
    if (report.problems and on_bad == "refuse") or not report.trainable:
        raise typer.Exit(EXIT_DATA)


@app.command("get", epilog=examples("i2i data get facades", "i2i data get horse2zebra"))
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(SETS)}.")],
    out: Annotated[Path, typer.Option(help="The folder to put the data set's own folder into.")] = Path(
        "data"
    ),
    url: Annotated[
        str | None, typer.Option(help="Another address of the same archive, http or https.")
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Download a data set of the pix2pix or CycleGAN paper, gone on with where a download was cut short.

    Nobody publishes checksums of them: what came the first time is written down, and must come again.
    """
    from i2i.data.public import get as fetch_set

    told = "interrupted; what has arrived is kept, and the same command goes on from there"
    with interruptible(lambda: told), _progress(quiet=quiet) as progress:
        arriving = progress.add_task(name, total=None)

        def watch(there: int, total: int | None) -> None:
            progress.update(arriving, completed=there, total=total)

        def unpacking(count: int) -> None:
            progress.update(arriving, description=f"{name}: {count:,} files unpacked")

        folder, fetched = fetch_set(name, out, url=url, watch=watch, unpacking=unpacking)
    if json:
        print_json({"folder": folder, "url": fetched.url, "bytes": fetched.size, "sha256": fetched.sha256})
        return
    print(f"{folder}: {fetched.size:,} bytes from {fetched.url}")
    print(f"sha256 {fetched.sha256}")
    print(f'In a recipe: use = "{SETS[name].use}", root = "{folder}"')


def _progress(*, quiet: bool) -> Progress:
    """Return a progress bar for bytes, on a terminal alone."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = error_console(quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet)


def _pairs_in(path: Path) -> dict[str, Any]:
    return {"recipe": 1, "name": "data", "data": {"use": "paired-images", "root": str(path)}}


def _show(report: DataReport) -> None:
    print(f"{report.ref}: {report.layout}" if report.layout else report.ref)
    rows = [
        (
            split,
            f"{found.pairs:,}",
            *([_images(images) for images in found.sides.values()] or ["none can be used", "-"]),
        )
        for split, found in report.splits.items()
    ]
    items = "pairs" if report.aligned else "sources"
    print_table(("split", items, "source", "target"), rows)
    if report.problems:
        print()
        print_table(
            ("split", "file", "problem"),
            [
                (split, printable(_place(problem)), printable(problem.message))
                for split, problem in report.problems
            ],
            styles=("", "bold"),
        )
    print()
    for hint, count in Counter(problem.hint for _, problem in report.problems if problem.hint).items():
        print(f"{count:,} of these: {hint}.")
    for name, what in report.fields.items():
        print(f"field {name}: {printable(what)}")
    for remark in report.remarks:
        print(f"note: {printable(remark)}")
    pairs = sum(found.pairs for found in report.splits.values())
    usable = sum(found.usable for found in report.splits.values())
    count = len(report.problems)
    told = "no problem" if not count else f"{count:,} problem{'s' if count > 1 else ''}"
    print(f"{told}; {usable:,} of {pairs:,} {items} can be used")


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}" if problem.line else problem.file or problem.where


def _images(images: SideReport) -> str:
    """Return the images of a side in a few words: kinds, sizes, and the values they have."""
    if not images.sizes:
        return "-"
    sizes = [f"{size} ({n:,})" if len(images.sizes) > 1 else size for size, n in images.sizes.most_common(3)]
    more = [f"{len(images.sizes) - 3:,} other sizes"] if len(images.sizes) > 3 else []
    if images.parts:
        kind = "; ".join(f"{name}: {_values(part)}" for name, part in images.parts.items())
    else:
        kind = _values(images)
    return f"{kind}; {', '.join([*sizes, *more])}"


def _values(images: SideReport) -> str:
    """Return how images are stored and the values they have, or how many classes."""
    if images.spec.one_hot:
        return f"{images.spec.channels} classes"
    return f"{' and '.join(images.kinds)}, {images.least:g} to {images.most:g}"
