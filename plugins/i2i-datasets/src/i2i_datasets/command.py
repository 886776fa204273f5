"""`python -m i2i_datasets`: pack pairs of any layout, or fetch a data set by name, with i2i's exit codes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from i2i.errors import EXIT_CODES, EXIT_RECIPE, I2IError, Interrupted, exit_code_of, printable
from i2i_datasets.signals import ending_at_once

if TYPE_CHECKING:
    from i2i_datasets.manifest import Manifest

UNWRAPPED = "\b"
"""Before a paragraph of help, whose lines are then printed as they are."""


def _examples(*lines: str) -> str:
    return "\n".join([UNWRAPPED, "Examples:", *(f"  python -m i2i_datasets {line}" for line in lines)])


def _exit_codes() -> str:
    told = (f"  {code:13}  {text}" for code, text in EXIT_CODES.items() if code in ("0", "1", "2", "3", "4"))
    return "\n".join([UNWRAPPED, "Exit codes:", *told, "  129, 130, 143  ended by SIGHUP, Ctrl-C or SIGTERM"])


app = typer.Typer(
    help="Image pairs in Arrow files, for data past memory.",
    epilog=f"{_exit_codes()}\n\n{_examples('pack my-pairs packs/mine')}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print errors and the last lines only, no progress, no remarks.")
]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write, not there yet.")]
OnBadOption = Annotated[
    Literal["refuse", "skip"], typer.Option(help="Whether pairs that cannot be used are an error.")
]


@app.command(
    "pack",
    epilog=_examples("pack my-pairs packs/mine", "pack mine.toml packs/mine --on-bad skip"),
)
def pack(
    pairs: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder of pairs, a manifest, or a recipe (.toml).")
    ],
    out: OutArgument,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="KEY=VALUE", help="Set a key of the data, like layout=folders."),
    ] = None,
    on_bad: OnBadOption = "refuse",
    quiet: QuietOption = False,
) -> None:
    """Write the pairs of a folder as a pack: all splits, in the folder's order, with the same ids.

    A training from the pack gives the weights that one from the folder gives, to the bit.
    """
    with _watching(quiet=quiet) as (watch, note):
        from i2i import open_split
        from i2i.kinds import Data, Split
        from i2i_datasets import packing

        recipe = Path(pairs).suffix == ".toml"
        table = pairs if recipe else {"use": "paired-images", "root": pairs}
        keys = [f"data.{text}" for text in data or ()]

        def opened(split: Split) -> Data:
            return open_split(table, split, set=keys)

        where = f"the data of {pairs}" if recipe else f"the image pairs in {pairs}"
        said = packing.pack(opened, out, source=where, on_bad=on_bad, watch=watch, note=note)
    _show(out, said)


@app.command(
    "get",
    epilog=_examples(
        "get owner/facades packs/facades --revision COMMIT --source segmentation --target photo",
        "get owner/maps packs/maps --revision COMMIT --split train=train[:90%] --split val=train[90%:]",
    ),
)
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of the hub, as OWNER/NAME.")],
    out: OutArgument,
    revision: Annotated[
        str, typer.Option(metavar="COMMIT", help="The commit of it, 40 hexadecimal digits: it never changes.")
    ],
    source: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the sources.")] = "source",
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the targets.")] = "target",
    id: Annotated[  # noqa: A002 - the name of the option
        str | None, typer.Option(metavar="COLUMN", help="The column of the ids; else rows are numbered.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="NAME", help="One of its configurations.")] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="SPLIT=THEIRS", help="Where train, val or test is from. Repeatable."),
    ] = None,
    on_bad: OnBadOption = "refuse",
    quiet: QuietOption = False,
) -> None:
    """Download a data set of the Hugging Face hub by its name, at one commit, as a pack.

    It has to be stored as Parquet or Arrow files with the pictures in them. No script of it is run.
    """
    with _watching(quiet=quiet) as (watch, note):
        from i2i.cache import cache_folder
        from i2i_datasets import hub, packing

        splits = hub.parse_splits(split or ())
        hub.check_name(name, revision)
        packing.check_new(out)
        note(f"fetching {name}; what has arrived is kept until it is packed")
        cache = cache_folder() / "hub" / f"{name.replace('/', '--')}-{revision}"
        builder = hub.fetched(name, revision=revision, config=config, cache=cache)
        opened = hub.opener(builder, name=name, columns=(source, target), ids=id, splits=splits)
        said = packing.pack(
            opened, out, source=f"{name} at {revision}", on_bad=on_bad, watch=watch, note=note
        )
        shutil.rmtree(cache, ignore_errors=True)
    _show(out, said)


def _show(out: Path, said: Manifest) -> None:
    """Print what was packed, and what was left out of it."""
    for split, record in said.splits.items():
        for left in record.left_out:
            print(printable(f"{split}: left out {left.file}: {left.message}"))
    for split, record in said.splits.items():
        print(f"{split}: {record.pairs:,} pairs, {record.bytes:,} bytes, sha256 {record.sha256}")
    print(printable(f'In a recipe: use = "datasets/pairs", root = "{out}"'))


@contextmanager
def _watching(*, quiet: bool) -> Iterator[tuple[Any, Callable[[str], None]]]:
    """Give what shows a bar while things go by, on a terminal alone, and what prints a remark."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False)
    progress = Progress(console=console, transient=True, disable=quiet or not console.is_terminal)

    def watch(things: Iterable[int], count: int, what: str, /) -> Iterable[int]:
        yield from progress.track(things, total=count, description=what)
        if not quiet and not console.is_terminal:
            print(f"{what}: {count:,} pairs read", file=sys.stderr)

    def note(text: str) -> None:
        if not quiet:
            progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    with ending_at_once(), progress:
        yield watch, note


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what a person can mend is told without a traceback."""
    UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")  # noqa: N806
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="python -m i2i_datasets", standalone_mode=False)
    except UsageError as error:
        error.show(sys.stderr)
        sys.exit(EXIT_RECIPE)
    except I2IError as error:
        told = error.problems
        for problem in told:
            print(printable(problem.render()), file=sys.stderr)
        sys.exit(exit_code_of(error))
    except typer.Abort:
        sys.exit(exit_code_of(Interrupted(2, "")))
    sys.exit(code if isinstance(code, int) else 0)
