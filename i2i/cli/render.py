"""What commands print: tables for terminals of any width, plain columns elsewhere, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from i2i.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

LAST_COLUMN = 24
"""The last column wraps, down to this many characters; below that, each row becomes a block."""


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on stdout."""
    print(json.dumps(value, indent=2, default=str))


def print_note(text: str) -> None:
    """Print a remark on stderr, where it is in no program's way."""
    print(printable(text), file=sys.stderr)


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Sequence[str] = ("bold",),
    labelled: bool = True,
    headed: bool = True,
) -> None:
    """Print rows under headers, if `headed`; `styles` are those of the first columns, on a terminal.

    Off a terminal every line is as long as it needs to be, so that nothing is lost to a pipe. On one
    that is too narrow each row becomes a block, with a header before each cell if `labelled`. What would
    steer a terminal is written out: names and reasons may come from anybody's package.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    if not sys.stdout.isatty():
        for row in [*([headers] if headed else []), *rows]:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            print("  ".join(cells).rstrip())
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    styles = [*styles, *[""] * (len(headers) - len(styles))]
    if sum(width + 2 for width in widths[:-1]) + min(widths[-1], LAST_COLUMN) <= console.width:
        _print_columns(console, headers, rows, styles, headed=headed)
    else:
        for row in rows:
            _print_block(console, headers if labelled else None, row, styles)


def _print_columns(
    console: Console,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    *,
    headed: bool,
) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=headed, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for header, style in zip(headers, styles, strict=True):
        table.add_column(header, style=style, no_wrap=True, overflow="fold")
    table.columns[-1].no_wrap = False
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _print_block(
    console: Console, labels: Sequence[str] | None, row: Sequence[str], styles: Sequence[str]
) -> None:
    """Print the first cell, the others below it; without labels the short ones stand beside it."""
    from rich.padding import Padding
    from rich.text import Text

    first, *lines = [
        Text(cell, style=style, overflow="fold") for cell, style in zip(row, styles, strict=True)
    ]
    if labels is None:
        first = Text("  ").join([first, *(text for text in lines[:-1] if text)])
        lines = lines[-1:]
    else:
        lines = [
            Text.assemble((f"{label} ", "dim"), text) for label, text in zip(labels[1:], lines, strict=True)
        ]
    console.print(first)
    for text in filter(None, lines):
        console.print(Padding(text, (0, 0, 0, 2), expand=False))


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
