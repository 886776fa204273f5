"""What commands print: tables for terminals of any width, plain columns elsewhere, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from i2i.errors import printable

if TYPE_CHECKING:
    from rich.console import Console


AGAINST_STYLES: Mapping[str | None, str] = {
    "beats copying": "green",
    "as good as copying": "yellow",
    "worse than copying": "red",
    None: "",
}
"""How a figure is coloured on a terminal, by how it stands to copying the input; the words are there too."""

LAST_COLUMN = 24
"""The last column wraps, down to this many characters; below that, each row becomes a block."""


@dataclass(frozen=True)
class Styled:
    """A cell of a table with a style of its own, which only a terminal shows."""

    text: str
    style: str


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on stdout."""
    print(json.dumps(value, indent=2, default=str))


def print_note(text: str) -> None:
    """Print a remark on stderr, where it is in no program's way."""
    print(printable(text), file=sys.stderr)


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Styled]],
    *,
    styles: Sequence[str] = ("bold",),
    labelled: bool = True,
    headed: bool = True,
) -> None:
    """Print rows under headers, if `headed`; `styles` are those of the first columns, on a terminal.

    A cell may have a style of its own. Off a terminal every line is as long as it needs to be, so that
    nothing is lost to a pipe. On one that is too narrow each row becomes a block, with a header before each
    cell if `labelled`. What would steer a terminal is written out: names and reasons may come from anybody's
    package.
    """
    styles = [*styles, *[""] * (len(headers) - len(styles))]
    cells = [[_styled(*cell) for cell in zip(row, styles, strict=True)] for row in rows]
    texts = [[cell.text for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    if not sys.stdout.isatty():
        for row in [*([headers] if headed else []), *texts]:
            padded = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
            print("  ".join(padded).rstrip())
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if _needs(widths) <= console.width:
        _print_columns(console, headers, cells, headed=headed)
    else:
        for line in cells:
            _print_block(console, headers if labelled else None, line)


def fits(headers: Sequence[str], rows: Sequence[Sequence[str | Styled]]) -> bool:
    """Whether `print_table` prints these rows as a table, rather than as blocks; off a terminal it does."""
    if not sys.stdout.isatty():
        return True
    from rich.console import Console

    texts = [[_styled(cell, "").text for cell in row] for row in rows]
    return _needs([max(map(len, column)) for column in zip(headers, *texts, strict=True)]) <= Console().width


def _needs(widths: Sequence[int]) -> int:
    """Return how wide a table of columns of these widths is at least."""
    return sum(width + 2 for width in widths[:-1]) + min(widths[-1], LAST_COLUMN)


def _styled(cell: str | Styled, style: str) -> Styled:
    """Return a cell that is safe to print, in its own style or else in its column's."""
    own = cell if isinstance(cell, Styled) else Styled(cell, style)
    return Styled(printable(own.text), own.style)


def _print_columns(
    console: Console, headers: Sequence[str], rows: Sequence[Sequence[Styled]], *, headed: bool
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=headed, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="fold")
    table.columns[-1].no_wrap = False
    for row in rows:
        table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    console.print(table)


def _print_block(console: Console, labels: Sequence[str] | None, row: Sequence[Styled]) -> None:
    """Print the first cell, the others below it; without labels the short ones stand beside it."""
    from rich.padding import Padding
    from rich.text import Text

    first, *lines = [Text(cell.text, style=cell.style, overflow="fold") for cell in row]
    if labels is None:
        first = Text("  ").join([first, *(text for text in lines[:-1] if text)])
        lines = lines[-1:]
    else:
        lines = [
            Text.assemble((f"{label} ", "dim"), text)
            for label, text in zip(labels[1:], lines, strict=True)
            if text
        ]
    console.print(first)
    for text in filter(None, lines):
        console.print(Padding(text, (0, 0, 0, 2), expand=False))


def print_sentence(text: str) -> None:
    """Print a sentence; on a terminal it is broken between words, elsewhere it is one line."""
    if not sys.stdout.isatty():
        print(printable(text))
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(printable(text)))


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
