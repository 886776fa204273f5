"""What a check found, a row each, and how rows are shown: as a table on the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from machine import as_markdown
from rich.console import Console
from rich.table import Table

PASSED, MEASURED = "passed", "measured"

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
"""Between these lines of a document stands what was measured last."""


@dataclass(frozen=True)
class Row:
    """One thing that was looked at: the part of the check, what, what came out, what it must not exceed.

    `result` is "passed", "measured" where there is no bound, "failed: why" or "left out: why".
    """

    part: str
    what: str
    value: str
    bound: str
    result: str

    @property
    def failed(self) -> bool:
        """Whether a check failed."""
        return self.result.startswith("failed")


def within(part: str, what: str, value: float, bound: float, *, unit: str = "") -> Row:
    """Return the row of a number that must be at most `bound`; one that is not finite fails too."""
    told, least = f"{value:.3g}{unit}", f"at most {bound:g}{unit}"
    return Row(part, what, told, least, PASSED if value <= bound else f"failed: {told} is not {least}")


def holds(part: str, what: str, true: bool, *, value: str, wanted: str) -> Row:
    """Return the row of a fact that must be so; `value` is what was found."""
    return Row(part, what, value, wanted, PASSED if true else f"failed: {value}, and not {wanted}")


def measured(part: str, what: str, value: str) -> Row:
    """Return the row of what has no bound."""
    return Row(part, what, value, "-", MEASURED)


HEADINGS = [field.name for field in fields(Row)]


def write(path: Path, facts: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Write the rows as Markdown; in a document with the two marks, only what is between them is replaced."""
    content = as_markdown(facts, HEADINGS, [astuple(row) for row in rows])
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN in text and END in text:
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        content = f"{before}{BEGIN}\n\n{content}\n{END}{after}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def show(facts: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Print the facts and the table."""
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file has no width of its own
    for name, value in facts.items():
        console.print(f"{name}: {value}", highlight=False, markup=False)
    table = Table(*HEADINGS)
    for row in rows:
        style = "red" if row.failed else "green" if row.result == PASSED else ""
        table.add_row(*astuple(row)[:-1], f"[{style}]{row.result}[/{style}]" if style else row.result)
    console.print(table, highlight=False)
