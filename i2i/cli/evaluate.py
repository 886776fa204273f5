"""`i2i eval`: score a trained model, in a table and in files."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from i2i.cli.options import (
    DataOption,
    DeviceOption,
    DropoutOption,
    GeneratorOption,
    JsonOption,
    ModelArgument,
    NormOption,
    OtherRecipeOption,
    OverlapOption,
    PluginOption,
    QuietOption,
    SetOption,
    TestOption,
    TileOption,
    TtaOption,
    UnsetOption,
    data_settings,
    open_catalog,
    test_values,
)
from i2i.cli.progress import interruptible, log_passed_to, remarks
from i2i.cli.render import AGAINST_STYLES, Styled, print_json, print_table
from i2i.cli.together import refuse_several
from i2i.cli.usage import examples
from i2i.cli.watch import watching

if TYPE_CHECKING:
    from i2i.models.evaluation import Evaluation

EXAMPLES = examples("i2i eval runs/mine", "i2i eval runs/mine --split val --metric lpips --json")

BETTER = {"min": "lower", "max": "higher", None: "-"}


def evaluate(
    model: ModelArgument,
    split: Annotated[
        Literal["test", "val", "train"], typer.Option(help="The part of the data to score.")
    ] = "test",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Add a metric to those of the recipe. Repeatable."),
    ] = None,
    data: DataOption = None,
    recipe: OtherRecipeOption = None,
    settings: SetOption = None,
    unset: UnsetOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw dropout from this seed.")] = None,
    generator: GeneratorOption = None,
    test: TestOption = None,
    dropout: DropoutOption = None,
    norm: NormOption = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = None,
    tta: TtaOption = False,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Answers drawn for each image, whatever the recipe says.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; eval/ in the run's folder, or here.")
    ] = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="What the model computes in; figures are compared with those of the same."),
    ] = "fp32",
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Score a trained model on a split: mean, deviation over images, and what copying the input scores."""
    refuse_several("scoring is")
    tell = remarks(quiet)
    with (
        interruptible(lambda: "interrupted; no figure is written") as check,
        log_passed_to(tell, tell),
        watching(quiet=quiet) as watch,
    ):
        from i2i.models.evaluation import evaluate_trained
        from i2i.models.tiling import asked_tile
        from i2i.models.trained import find_trained
        from i2i.system.memory import keep_freed_memory

        check()
        keep_freed_memory()
        catalog = open_catalog(plugin)
        trained = find_trained(
            model,
            catalog=catalog,
            recipe=recipe,
            set=[*data_settings(data), *_tables(metric or ()), *(settings or ())],
            unset=unset or (),
            seed=seed,
            generator=generator,
        )
        for note in trained.recipe.notes:
            tell(f"note: {note}")
        found = evaluate_trained(
            trained,
            split=split,
            catalog=catalog,
            device=device,
            draws=draws,
            precision=precision,
            test=test_values(test),
            norm=norm,
            dropout=dropout,
            tile=asked_tile(tile),
            overlap=overlap,
            tta=tta,
            note=tell,
            watch=watch,
        )
        for note in found.notes:
            tell(note)
    files = _write(found, out or (trained.folder or Path()) / "eval")
    if json:
        print_json(found.record() | {"files": list(map(str, files))})
    else:
        _print(found, files)


def _tables(metrics: Sequence[str]) -> list[str]:
    """Return the settings that add metrics, in tables of their names; of one name twice, of the reference."""
    names = [ref.rpartition("/")[2] for ref in metrics]
    return [
        f"metrics.{name if names.count(name) == 1 else ref.replace('/', '-')}.use={ref}"
        for ref, name in zip(metrics, names, strict=True)
    ]


def _write(found: Evaluation, folder: Path) -> list[Path]:
    """Write the images' own figures and the record; return the files.

    Those of a run's other exported generators are beside those of the first.
    """
    from i2i.runs.model_files import MODEL
    from i2i.system.atomic import write_text

    model = Path(found.model)
    other = model.name != MODEL and model.stem == f"model-{found.generator}"
    stem = f"{found.split}-{found.generator}" if other else found.split
    table, record = folder / f"{stem}.csv", folder / f"{stem}.json"
    write_text(table, found.csv())
    write_text(record, json_text.dumps(found.record(), indent=2) + "\n")
    return [table, record]


def _print(found: Evaluation, files: Sequence[Path]) -> None:
    from i2i.pages.numbers import beside_copying, short

    def text(value: float | None) -> str:
        return "-" if value is None else short(value)

    headers = ("figure", "mean", "deviation", "n", "better", "against copying the input")
    rows: list[list[str | Styled]] = [
        [
            name,
            *map(text, (f.mean, f.deviation)),
            f"{f.n:,}",
            BETTER[f.better],
            Styled(beside_copying(f.against_copying, f.copy_input) or "-", AGAINST_STYLES[f.against_copying]),
        ]
        for name, f in found.figures.items()
    ]
    print_table(headers, rows)
    height, width = found.image.size
    size = f"{height}x{width}" if found.scale == "shrunk" else "whole, each at its own size"
    about = [
        *found.definitions.items(),
        ("images", f"{len(found.scores.ids):,} of the split '{found.split}', {size}, as saved"),
        ("resized", found.record()["resize"]),
        *([("test keys", ", ".join(f"{k} = {v}" for k, v in found.test.items()))] if found.test else []),
        *([("passes", ", ".join(f"{k} = {v}" for k, v in found.passes.items()))] if found.passes else []),
        *([("data", found.credit)] if found.credit else []),
        ("written", ", ".join(map(str, files))),
    ]
    print()
    print_table(("about", ""), about, labelled=False)
