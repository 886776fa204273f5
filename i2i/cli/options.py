"""Options that several commands share, and what they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from i2i.cli.latest import run_or_path
from i2i.cli.render import print_note

if TYPE_CHECKING:
    from i2i.plugins.catalog import Catalog

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A file that ends in .toml, or the name of a shipped recipe.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, like losses.l1.weight=10. Repeatable."),
]
UnsetOption = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="KEY", help="Take a key or table away, like metrics.ssim. Repeatable."),
]
PluginOption = Annotated[
    Path | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file to use as the plug-in `local`."),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on standard output; all else goes to standard error."),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print errors and the last lines only, no progress, no remarks.")
]
ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL|RUN|latest",
        parser=run_or_path,
        help="A model file, the folder of a run, or `latest`, the newest run under runs/.",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="KEY=VALUE", help="Set a key of the data, like root=photos. Repeatable."),
]
OtherRecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="RECIPE", help="Use the data and metrics of this recipe, a file or a name."
    ),
]
GeneratorOption = Annotated[
    str | None,
    typer.Option("--generator", metavar="NAME", help="Of a run that exports several: use this generator."),
]
TestOption = Annotated[
    list[str] | None,
    typer.Option(
        "--test", metavar="KEY=VALUE", help="Set a test key of the model, like steps=8. Repeatable."
    ),
]
DropoutOption = Annotated[
    bool | None,
    typer.Option("--dropout/--no-dropout", help="Instead of what the model file says (test_dropout)."),
]
NormOption = Annotated[
    Literal["batch", "running"] | None,
    typer.Option(
        help="Normalise with each image's own statistics, or with the running ones, instead of as the "
        "model file says (test_norm)."
    ),
]
TileOption = Annotated[
    str,
    typer.Option(
        "--tile",
        metavar="PIXELS|none|auto",
        help="Cut pictures into tiles of this side; auto does so where a network would take more than 1 GiB.",
    ),
]
OverlapOption = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="PIXELS", help="What tiles share at least; by default, what the network looks at."
    ),
]
TtaOption = Annotated[
    bool,
    typer.Option("--tta", help="Average 8 passes: pictures and their mirror images, at all quarter turns."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def tell_broken(catalog: Catalog) -> None:
    """Note on stderr which plug-ins are left out of a list, and why."""
    for record in catalog.load_all():
        if record.error:
            print_note(record.error)


def open_catalog(plugin: Path | None = None) -> Catalog:
    """Return the components of this environment, those of a local plug-in file included."""
    from i2i.plugins.catalog import Catalog

    return Catalog.installed(local=plugin)


def test_values(settings: Sequence[str] | None) -> dict[str, Any]:
    """Return what `--test` says, by key."""
    from i2i.recipe.layers import read_values

    return read_values(settings or (), option="--test")


def data_settings(data: Sequence[str] | None) -> list[str]:
    """Return what `--data` says as `--set` takes it."""
    return [f"data.{text}" for text in data or ()]
