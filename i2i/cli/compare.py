"""`i2i compare`: existing runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from i2i.cli.latest import run_or_path
from i2i.cli.options import DeviceOption, JsonOption, PluginOption, QuietOption, open_catalog
from i2i.cli.progress import interruptible, remarks
from i2i.cli.render import print_json, print_table, toml_value
from i2i.cli.usage import examples

if TYPE_CHECKING:
    from i2i.bench.results import Results

EXAMPLES = examples(
    "i2i compare runs/one runs/another", "i2i compare runs/one runs/another --out compared --json"
)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN…",
            parser=run_or_path,
            help="Folders of finished runs, of which `latest` is the newest; the first is the baseline.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.json and report.html, with pictures.")
    ] = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Compare finished runs: what differs, what came out. Runs that differ in the seed are one variant."""
    from i2i.bench.compare import compare as compared
    from i2i.cli.bench_view import print_results

    with interruptible(lambda: "interrupted; the runs are as they were"):
        results = compared(runs, catalog=open_catalog(plugin), out=out, device=device, note=remarks(quiet))
    if json:
        print_json(results.to_json())
        return
    _print_changes(results)
    print()
    print_results(results)
    if out is not None:
        typer.echo(f"report   {out / 'report.html'}")
        typer.echo(f"results  {out / 'results.json'}")


def _print_changes(results: Results) -> None:
    """Print each key in which a recipe differs, with the value of each variant."""
    names = [variant.name for variant in results.variants]
    before = {key: value for variant in results.variants for key, value, _ in variant.changes}
    if not before:
        print("no difference but the seed")
        return
    after = [{key: value for key, _, value in variant.changes} for variant in results.variants]
    rows = [(key, *(_told(own.get(key, value)) for own in after)) for key, value in before.items()]
    print_table(("key", *names), rows)


def _told(value: object) -> str:
    return "-" if value is None else toml_value(value)
