"""What is said of a run on a terminal, whichever way it is shown: its speed, its figures, its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from i2i.cli.progress import AGAIN
from i2i.cli.render import AGAINST_STYLES
from i2i.engine.observer import Record, RunStart, Status
from i2i.errors import printable
from i2i.pages.numbers import Standings, clock, short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from i2i.pages.numbers import Standing


def headline(run: RunStart) -> str:
    """Return what a run is about to do."""
    if run.first_step:
        return f"{run.name}: resumed after step {run.first_step:,} of {run.total_steps:,}"
    return f"{run.name}: {run.total_steps:,} steps"


def last_sentence(status: Status, step: int, total: int, seconds: float) -> str:
    """Return how a run ended."""
    return f"{status} at step {step:,} of {total:,} after {clock(seconds)}"


def stopping(waits_for: str) -> str:
    """Return the answer to a signal, before its end comes."""
    return f"stopping after {waits_for}; {AGAIN}"


def pace(images_per_second: float, data_wait: float, epoch: float) -> tuple[str, ...]:
    """Return where a run is and how fast it goes, in pieces."""
    return f"epoch {epoch:.1f}", f"{images_per_second:,.1f} images/s", f"data wait {data_wait:.0%}"


def pace_of(record: Record) -> tuple[str, ...]:
    """Return the pace that a train record tells."""
    return pace(record["images_per_second"], record["data_wait"], record["epoch"])


def told(score: Standing, step: int) -> str:
    """Return the last value of a metric beside what it is to be compared with."""
    parts = [f"{score.name} {short(score.last)}", score.beside]
    if score.best is not None:
        newest = score.best_step == step
        parts.append("best so far" if newest else f"best {short(score.best)} at step {score.best_step:,}")
    return ", ".join(filter(None, parts))


def verdict(standings: Standings) -> Text:
    """Return how the last validation stands to copying the input."""
    from rich.text import Text

    clauses = [Text(printable(clause), AGAINST_STYLES[words]) for words, clause in standings.clauses()]
    return Text(f"validation at step {standings.step:,}: ") + Text("; ").join(clauses)


def aligned(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return labels and texts, the labels padded to one width."""
    rows = list(pairs)
    width = max((len(label) for label, _ in rows), default=0)
    return [(label.ljust(width), text) for label, text in rows]


def packed(pieces: Sequence[str], dot: str, width: int) -> list[str]:
    """Return `pieces`, joined by `dot`, on as few lines as they need, none of them broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1] + dot + piece) <= width:
            lines[-1] += dot + piece
        else:
            lines.append(piece)
    return lines


def print_whole(console: Console, text: str, style: str = "") -> None:
    """Print `text` without breaking or cutting it, however narrow the terminal."""
    from rich.text import Text

    console.print(Text(printable(text), style=style), soft_wrap=True)


def print_last(
    console: Console,
    sentences: Sequence[str],
    lines: Sequence[tuple[str, str]],
    standings: Standings,
    *,
    style: str = "",
) -> None:
    """Print how a run ended, how its last validation stands to copying the input, and the files it wrote."""
    for sentence in sentences:
        print_whole(console, sentence, style)
    if standings.clauses():
        console.print(verdict(standings), soft_wrap=not console.is_terminal)
    for label, text in aligned(lines):
        print_whole(console, f"{label}  {text}")
