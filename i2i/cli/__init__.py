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
from i2i.cli.render import print_json
from i2i.cli.streams import drop_output_when_full, open_streams
from i2i.cli.together import is_first
from i2i.cli.usage import Commands, UsageError, examples, exit_codes, print_usage_error
from i2i.errors import (
    EXIT_BUG,
    EXIT_RECIPE,
    EXIT_RESOURCES,
    I2IError,
    Problem,
    exit_code_of,
    in_a_line,
    printable,
)

app = typer.Typer(
    cls=Commands,
    help="Image-to-image translation from interchangeable parts.",
    epilog=f"{exit_codes()}\n\n{examples('i2i run pix2pix', 'i2i components list generator')}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run", epilog=run.EXAMPLES)(run.run)
app.command("translate", epilog=translate.EXAMPLES)(translate.translate)
app.command("bench", epilog=bench.EXAMPLES)(bench.bench)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("eval", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("calibrate", epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command("import", epilog=import_weights.EXAMPLES)(import_weights.import_weights)
app.add_typer(recipe.app, name="recipe", epilog=examples("i2i recipe list"))
app.add_typer(data.app, name="data", epilog=examples("i2i data check my-pairs"))
app.add_typer(components.app, name="components", epilog=examples("i2i components list"))
app.command("plugins", epilog=plugins.EXAMPLES)(plugins.show_plugins)
app.add_typer(plugin.app, name="plugin", epilog=examples("i2i plugin check core"))
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)


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
    """Run the command line and exit; what a person can mend is told without a traceback.

    With `--json`, what went wrong is also printed as an object, ``{"error": [...], "exit": N}``.
    """
    open_streams()
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    tell = _tell_as_json if as_json and is_first() else _tell_nothing
    try:
        try:
            app(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written is told here, and not as Python ends
    except UsageError as error:
        print_usage_error(error)
        tell([Problem(error.format_message())], EXIT_RECIPE)
        sys.exit(EXIT_RECIPE)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            tell([Problem(in_a_line(error))], EXIT_BUG)
            raise
        drop_output_when_full("stdout")  # what is left of it would be tried again as Python ends
        print("no space is left for what this command prints or writes; make room first", file=sys.stderr)
        sys.exit(EXIT_RESOURCES)
    except I2IError as error:
        for problem in error.problems:
            print(printable(problem.render()), file=sys.stderr)
        tell(error.problems, exit_code_of(error))
        sys.exit(exit_code_of(error))
    except Exception as error:
        tell([Problem(in_a_line(error))], EXIT_BUG)
        raise


def _tell_as_json(problems: Sequence[Problem], code: int) -> None:
    print_json({"error": [vars(problem) for problem in problems], "exit": code})


def _tell_nothing(problems: Sequence[Problem], code: int) -> None: ...
