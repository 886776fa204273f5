"""`i2i calibrate`: a model that translates with fixed statistics instead of each image's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from i2i.cli.options import (
    DataOption,
    DeviceOption,
    GeneratorOption,
    JsonOption,
    ModelArgument,
    OtherRecipeOption,
    PluginOption,
    QuietOption,
    data_settings,
    open_catalog,
)
from i2i.cli.progress import interruptible, remarks
from i2i.cli.render import print_json
from i2i.cli.usage import examples
from i2i.cli.watch import watching
from i2i.errors import RecipeError

EXAMPLES = examples("i2i calibrate runs/mine --out calibrated.safetensors")


def calibrate(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="The new model file.")],
    data: DataOption = None,
    recipe: OtherRecipeOption = None,
    dropout: Annotated[
        bool | None, typer.Option("--dropout/--no-dropout", help="Instead of what the model file says.")
    ] = None,
    generator: GeneratorOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw dropout from this seed.")] = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Take the running statistics of batch norms anew, over the training images, for test_norm = "running".

    Dropout stays on if it does when the model translates.
    """
    with interruptible(lambda: f"interrupted; {out} is not written") as check, watching(quiet=quiet) as watch:
        from i2i.models.calibrate import calibrated_file
        from i2i.models.trained import find_trained
        from i2i.system.atomic import write_bytes

        check()
        catalog = open_catalog(plugin)
        trained = find_trained(
            model,
            catalog=catalog,
            recipe=recipe,
            set=data_settings(data),
            seed=seed,
            sections=("data",),
            generator=generator,
        )
        if out.exists() and out.samefile(trained.path):
            raise RecipeError(f"{out} would be overwritten; choose another --out.")
        content = calibrated_file(
            trained,
            catalog=catalog,
            device=device,
            dropout=dropout,
            note=remarks(quiet),
            watch=watch,
        )
    write_bytes(out, content, durable=True)
    if json:
        print_json({"out": out, "model": trained.path})
        return
    typer.echo(f"{out} translates with running statistics; the weights are those of {trained.path}")
