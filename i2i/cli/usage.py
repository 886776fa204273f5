"""How a command is used: the examples in its help, and what is printed where it is typed otherwise."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from i2i.errors import EXIT_CODES

UNWRAPPED = "\b"
"""Before a paragraph of help, whose lines are then printed as they are."""

# Which typer has moved from one module to another between its versions.
UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")


def examples(*lines: str) -> str:
    """Return the end of a command's help: command lines that work as they stand."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join([UNWRAPPED, title, *(f"  {line}" for line in lines)])


def exit_codes() -> str:
    """Return the paragraph of help that says what the codes mean that commands end with."""
    return "\n".join(
        [UNWRAPPED, "Exit codes:", *(f"  {code:13}  {text}" for code, text in EXIT_CODES.items())]
    )


def examples_of(command: Any) -> list[str]:
    """Return the command lines at the end of a command's help."""
    return [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  i2i ")]


def print_usage_error(error: Any) -> None:
    """Print on stderr how the command is used, what was wrong, and what to write."""
    error.show(sys.stderr)
    if error.ctx is not None and (shown := examples_of(error.ctx.command)):
        print(f"\nFor example: {shown[0]}", file=sys.stderr)


class Commands(TyperGroup):
    """The commands of i2i, which leave what goes wrong to whoever calls them."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line and exit; raise UsageError for what cannot be understood."""
        options["standalone_mode"] = False
        code = super().main(*arguments, **options)
        sys.exit(code if isinstance(code, int) else 0)
