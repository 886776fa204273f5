"""`i2i translate`: use a trained model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from i2i.cli.options import ModelArgument, PluginOption, open_catalog


def translate(
    model: ModelArgument,
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A file or folder; names are kept.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other answers from dropout.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Draw so many answers for each image: NAME-1, NAME-2 and so on.")
    ] = 1,
    dropout: Annotated[
        bool | None, typer.Option("--dropout/--no-dropout", help="Instead of what the model file says.")
    ] = None,
    norm: Annotated[
        Literal["batch", "running"] | None,
        typer.Option(
            help="Normalise with each image's own statistics, or with the running ones, instead of as the "
            "model file says."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="native|N|HxW",
            help="Translate pictures as they are, at N pixels on the shorter side, or at exactly HxW, and "
            "bring the answers back; by default at the scale of the training.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there; they are kept without it.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    plugin: PluginOption = None,
) -> None:
    """Translate images of any size with a trained model.

    A model whose training brought pictures to a size translates them at that scale, and brings the answer
    back to the picture's own size; one trained on windows of pictures takes them as they are.
    """
    from rich.console import Console
    from rich.progress import track

    from i2i.images import other_kinds_told
    from i2i.models.planning import plan
    from i2i.models.sizing import asked_size
    from i2i.models.translate import load_model, translate_all
    from i2i.system.device import find_device

    console = Console(stderr=True)
    console.quiet = not console.is_terminal
    asked = None if size is None else asked_size(size)
    catalog = open_catalog(plugin)
    loaded = load_model(model, device=find_device(device), catalog=catalog, norm=norm, dropout=dropout)
    sizing = loaded.sizing(asked)
    planned = plan(source, target, loaded.spec, samples=samples, overwrite=overwrite)
    for note in loaded.notes:
        typer.echo(note, err=True)
    dropped: Counter[str] = Counter()
    written = translate_all(loaded, planned.work, seed=seed, samples=samples, sizing=sizing, dropped=dropped)
    total = len(planned.work)
    try:
        count = sum(1 for _ in track(written, description="translating", total=total, console=console))
    finally:
        for note in sizing.notes():
            typer.echo(note, err=True)
        if dropped:
            told = ", ".join(f"{what} of {number:,}" for what, number in dropped.items())
            typer.echo(f"not carried over to the answers: {told}.", err=True)
    each = f", {samples} samples each" if samples > 1 else ""
    if planned.others:
        files = total + planned.others.total()
        told = f"{count} of {files} files translated to {target}{each}; {other_kinds_told(planned.others)}"
        typer.echo(told)
    else:
        typer.echo(f"{count} image{'s' if count != 1 else ''} translated to {target}{each}")
