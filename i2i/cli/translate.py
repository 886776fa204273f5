"""`i2i translate`: use a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from i2i.cli.options import (
    DropoutOption,
    GeneratorOption,
    JsonOption,
    ModelArgument,
    NormOption,
    OverlapOption,
    PluginOption,
    QuietOption,
    TestOption,
    TileOption,
    TtaOption,
    open_catalog,
    test_values,
)
from i2i.cli.progress import interruptible, remarks
from i2i.cli.render import print_json
from i2i.cli.together import refuse_several
from i2i.cli.usage import examples
from i2i.cli.watch import watching

if TYPE_CHECKING:
    from i2i.models.planning import Plan

PRECISION = (
    "fp32 is exact; auto takes bf16 for many pictures of 8 bits, where it is faster on this machine and "
    "differs by at most 2 levels of 255 on those that it is tried on."
)

EXAMPLES = examples(
    "i2i translate runs/mine my-drawings coloured",
    "i2i translate calibrated.safetensors map.tif photo.tif --size native --tile 512",
)


def translate(
    model: ModelArgument,
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A file or folder; names are kept.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other answers from dropout.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Draw so many answers for each image: NAME-1, NAME-2 and so on.")
    ] = 1,
    generator: GeneratorOption = None,
    test: TestOption = None,
    dropout: DropoutOption = None,
    norm: NormOption = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="native|N|HxW",
            help="Translate pictures as they are, at N pixels on the shorter side, or at exactly HxW, and "
            "bring the answers back; by default at the scale of the training.",
        ),
    ] = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = None,
    tta: TtaOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there; they are kept without it.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[Literal["auto", "fp32", "bf16"], typer.Option(help=PRECISION)] = "auto",
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Translate images of any size with a trained model.

    A model whose training brought pictures to a size translates them at that scale, and brings the answer
    back to the picture's own size; one trained on windows of pictures takes them as they are.

    Pictures that would take more memory than 1 GiB at that size are cut into tiles. These overlap by what the
    network looks at, as far as that can be, and fade into each other; where they cannot be what the whole
    picture is, it is said by how much they differ. A TIFF is read and written row by row.

    Where sides have several files, IN is a folder with a folder for each part of the source, of its name, and
    OUT gets one for each part of the target: OUT/depth/NAME.png. Where OUT is a file, they are written beside
    each other, as NAME.depth.png.
    """
    refuse_several("translating is")
    tell = remarks(quiet)
    count = 0
    with (
        interruptible(lambda: f"interrupted; {_images(count)} translated to {target}") as check,
        watching(quiet=quiet) as watch,
    ):
        from i2i.models.files import Done, translate_all
        from i2i.models.planning import plan
        from i2i.models.sizing import asked_size
        from i2i.models.tiling import asked_tile
        from i2i.models.translate import load_model
        from i2i.system.device import find_device
        from i2i.system.memory import keep_freed_memory

        check()
        keep_freed_memory()
        asked, side = None if size is None else asked_size(size), asked_tile(tile)
        catalog = open_catalog(plugin)
        loaded = load_model(
            model,
            device=find_device(device),
            catalog=catalog,
            norm=norm,
            dropout=dropout,
            generator=generator,
            test=test_values(test),
        ).answering(tile=side, overlap=overlap, tta=tta)
        sizing, done = loaded.sizing(asked), Done(part=watch.part)
        planned = plan(source, target, loaded.files, samples=samples, overwrite=overwrite)
        for note in loaded.notes:
            tell(note)
        translated = translate_all(
            loaded,
            planned.work,
            seed=seed,
            samples=samples,
            sizing=sizing,
            precision=precision,
            done=done,
        )
        try:
            with closing(translated) as written:
                for _ in watch(written, len(planned.work), "translating"):
                    pass
        finally:
            count = done.written
            tiles = loaded.tiling.notes() if loaded.tiling else []
            for note in (*sizing.notes(), *tiles, *done.notes):
                tell(note)
            if done.dropped:
                told = ", ".join(f"{what} of {number:,}" for what, number in done.dropped.items())
                tell(f"not carried over to the answers: {told}.")
    parts = [part.name for part in loaded.spec.target.parts]
    if json:
        summary = {"out": target, "images": count, "samples": samples, "others": dict(planned.others)}
        print_json(summary | ({"parts": parts} if parts else {}))
    else:
        _print(planned, count, samples, target, parts)


def _print(planned: Plan, count: int, samples: int, target: Path, parts: Sequence[str]) -> None:
    from i2i.images import other_kinds_told

    each = f", {samples} samples each" if samples > 1 else ""
    each += f", each as {' and '.join(parts)}" if parts else ""
    if planned.others:
        files = len(planned.work) + planned.others.total()
        told = f"{count} of {files} files translated to {target}{each}; {other_kinds_told(planned.others)}"
        typer.echo(told)
    else:
        typer.echo(f"{_images(count)} translated to {target}{each}")


def _images(count: int) -> str:
    return f"{count} image{'s' if count != 1 else ''}"
