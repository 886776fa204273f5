"""The command line: parse, call, render. What is heavy to import is imported inside the commands."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from i2i._version import __version__
from i2i.cli import (
    bench,
    calibrate,
    compare,
    components,
    data,
    doctor,
    evaluate,
    import_weights,
    plugin,
    plugins,
    recipe,
    run,
    translate,
)
from i2i.cli.streams import drop_output_when_full, open_streams
from i2i.errors import EXIT_RESOURCES, I2IError, exit_code_of, printable

app = typer.Typer(
    help="Image-to-image translation from interchangeable parts.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("translate")(translate.translate)
app.command("bench")(bench.bench)
app.command("compare")(compare.compare)
app.command("eval")(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("import")(import_weights.import_weights)
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")
app.add_typer(components.app, name="components")
app.command("plugins")(plugins.show_plugins)
app.add_typer(plugin.app, name="plugin")
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"i2i {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Image-to-image translation from interchangeable parts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what a person can mend is told without a traceback."""
    open_streams()
    try:
        try:
            app(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written is told here, and not as Python ends
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        drop_output_when_full()  # what is left of it would be tried again as Python ends
        print("no space is left for what this command prints or writes; make room first", file=sys.stderr)
        sys.exit(EXIT_RESOURCES)
    except I2IError as error:
        for problem in error.problems:
            print(printable(problem.render()), file=sys.stderr)
        sys.exit(exit_code_of(error))
