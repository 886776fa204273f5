"""`i2i translate`: use a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from i2i.cli.options import PluginOption, open_catalog


def translate(
    model: Annotated[Path, typer.Argument(help="A run's folder, or a model file.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A file or folder; names are kept.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other answers from dropout.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Draw so many answers for each image: NAME-1, NAME-2 and so on.")
    ] = 1,
    dropout: Annotated[
        bool | None, typer.Option("--dropout/--no-dropout", help="Instead of what the model file says.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there; they are kept without it.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    plugin: PluginOption = None,
) -> None:
    """Translate images of any size with a trained model."""
    from rich.console import Console
    from rich.progress import track

    from i2i.models.planning import of_other_kinds, plan
    from i2i.models.translate import load_model, translate_all
    from i2i.system.device import find_device

    console = Console(stderr=True)
    console.quiet = not console.is_terminal
    catalog = open_catalog(plugin)
    loaded = load_model(model, device=find_device(device), catalog=catalog, dropout=dropout)
    planned = plan(source, target, loaded.spec, samples=samples, overwrite=overwrite)
    for note in loaded.notes:
        typer.echo(note, err=True)
    written = translate_all(loaded, planned.work, seed=seed, samples=samples)
    total = len(planned.work)
    count = sum(1 for _ in track(written, description="translating", total=total, console=console))
    each = f", {samples} samples each" if samples > 1 else ""
    if planned.others:
        found = f"{count} of {total + len(planned.others)} files translated to {target}{each}, "
        typer.echo(found + of_other_kinds(planned.others))
    else:
        typer.echo(f"{count} image{'s' if count != 1 else ''} translated to {target}{each}")
