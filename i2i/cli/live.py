"""What a person sees of a run while it trains: a live view on a terminal, plain lines anywhere else.

The engine reports to an `Observer` and knows nothing of screens. Nothing is drawn between reports, no
thread runs, and rich is imported only when an observer is made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from i2i.cli.render import AGAINST_STYLES
from i2i.engine.observer import Observer, Record, RunStart, Status
from i2i.errors import printable
from i2i.pages.numbers import Standings, Trend, clock, short

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from i2i.pages.numbers import Standing

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_FRAMES = 0.5
TREND_WIDTH = 12


def terminal(console: Console | None = None) -> Observer:
    """Return the observer that suits `console` (default: standard output): a live view, or plain lines."""
    from rich.console import Console

    if console is None:
        console = Console(force_terminal=None if sys.stdout.isatty() else False)
    live = console.is_terminal and console.is_interactive and not console.is_dumb_terminal
    return LiveView(console) if live else Lines(console)


# --- plain lines ----------------------------------------------------------------------------------


class Lines:
    """One line a report, without colour or control codes; train records at most every ten seconds.

    The first and the last train record are always printed.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._standings = Standings({})
        self._total = 0
        self._step = 0
        self._started = now()
        self._printed: float | None = None
        self._waiting: Record | None = None

    def start(self, run: RunStart) -> None:
        self._started, self._step, self._total = self._now(), run.first_step, run.total_steps
        self._standings = Standings(run.directions)
        self._say(_headline(run))
        for label, text in _aligned([("folder", str(run.folder)), *run.facts.items()]):
            self._say(f"  {label}  {text}")

    def note(self, text: str) -> None:
        self._say(text)

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self._step = step

    def train(self, record: Record) -> None:
        now = self._now()
        self._step, self._waiting = record["step"], record
        due = self._printed is None or now - self._printed >= SECONDS_BETWEEN_LINES
        if due or record["step"] >= self._total:
            self._printed = now
            self._print_waiting()

    def validation(self, record: Record) -> None:
        self._standings.add(record)
        scores = [_told(score, record["step"]) for score in self._standings]
        self._say("  ".join([f"validation at step {record['step']:,}", *scores]))

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        self._print_waiting()
        if self._total:
            self._say(_last_sentence(status, self._step, self._total, self._now() - self._started))
        if self._standings.clauses():
            self._say(_verdict(self._standings).plain)
        for label, text in _aligned(lines):
            self._say(f"{label}  {text}")

    def _print_waiting(self) -> None:
        if self._waiting is not None:
            record, self._waiting = self._waiting, None
            losses = [f"{name} {short(value)}" for name, value in record["losses"].items()]
            self._say("  ".join([f"step {record['step']:,} of {self._total:,}", *_pace_of(record), *losses]))

    def _say(self, text: str) -> None:
        _print_whole(self._console, text)


# --- the live view --------------------------------------------------------------------------------


class LiveView:
    """A live view for a terminal of any size: progress and pace, the losses, the validation.

    The run's facts and notes are printed above it and stay in the scroll-back. A frame is drawn only
    when the engine reports something, and at most twice a second.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._live: Live | None = None
        self._drawn = self._started = now()
        self._first = self._step = self._total = 0
        self._pace: tuple[str, ...] = ()
        self._losses: dict[str, Trend] = {}
        self._standings = Standings({})

    def start(self, run: RunStart) -> None:
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text

        self._started = self._now()
        self._first, self._step, self._total = run.first_step, run.first_step, run.total_steps
        self._standings = Standings(run.directions)
        self._console.print(Text(printable(_headline(run)), style="bold"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for label, text in [("folder", str(run.folder)), *run.facts.items()]:
            grid.add_row(Text(printable(label), style="dim"), Text(printable(text), overflow="fold"))
        self._console.print(grid)
        self._console.print()
        self._live = Live(get_renderable=self._frame, console=self._console, auto_refresh=False)
        self._live.start(refresh=True)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(printable(text)))

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self._step = step
        if self._frame_is_due():
            self._pace = _pace(images_per_second, data_wait, epoch)
            self._draw()

    def train(self, record: Record) -> None:
        self._step, self._pace = record["step"], _pace_of(record)
        for name, value in record["losses"].items():
            self._losses.setdefault(name, Trend(2 * TREND_WIDTH)).add(value)
        if self._frame_is_due():
            self._draw()

    def validation(self, record: Record) -> None:
        self._standings.add(record)
        self._draw()

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
            self._console.print()
            last = _last_sentence(status, self._step, self._total, self._now() - self._started)
            _print_whole(self._console, last, "bold")
            if self._standings.clauses():
                self._console.print(_verdict(self._standings))
        for label, text in _aligned(lines):
            _print_whole(self._console, f"{label}  {text}")

    def _frame_is_due(self) -> bool:
        return self._now() - self._drawn >= SECONDS_BETWEEN_FRAMES

    def _draw(self) -> None:
        self._drawn = self._now()
        if self._live is not None:
            self._live.refresh()

    def _frame(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        width, height = self._console.size
        bar = Table.grid(padding=(0, 0, 0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        share = self._step / self._total if self._total else 1.0
        done = ProgressBar(total=max(1, self._total), completed=self._step, complete_style="cyan")
        done.finished_style = "cyan"  # and not green: that is for what beats copying the input
        bar.add_row(done, f"{share:.0%}")
        pieces = [f"step {self._step:,} of {self._total:,}", *self._pace, *self._time_left()]
        dot = " - " if self._console.options.ascii_only else " · "
        top: list[RenderableType] = ["", bar, *(Text(line) for line in _packed(pieces, dot, width))]

        wide = width >= 140  # room for both tables side by side
        scores = self._score_table(width - 66 if wide else width) if self._standings else None
        others = 0 if wide or scores is None else scores.row_count + 2
        room = max(1, height - 1 - len(top) - 2 - others)  # a line for the prompt, a blank, a heading
        losses = self._loss_table(min(width, 60), room) if self._losses else None
        tables: list[RenderableType] = [table for table in (losses, scores) if table is not None]
        if wide and len(tables) == 2:
            side_by_side = Table.grid(padding=(0, 6, 0, 0))
            side_by_side.add_row(*tables)
            tables = [side_by_side]
        return Group(*top, *(part for table in tables for part in ("", table)))

    def _time_left(self) -> Iterator[str]:
        if self._total > self._step > self._first:
            elapsed = self._now() - self._started
            yield f"{clock(elapsed / (self._step - self._first) * (self._total - self._step))} left"

    def _loss_table(self, width: int, room: int) -> Table:
        from rich.table import Table

        roomy, plain = width >= 60, self._console.options.ascii_only
        table = Table.grid(padding=(0, 2, 0, 0))
        taken = 10 + (10 if roomy else 0) + (0 if plain else TREND_WIDTH + 2)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(4, width - taken))
        table.add_column(justify="right", no_wrap=True, min_width=8)
        head, shown = ["loss", "now"], list(self._losses.items())
        if roomy:
            table.add_column(justify="right", no_wrap=True, min_width=8)
            head.append("smoothed")
        if not plain:
            table.add_column(no_wrap=True, style="cyan")
            head.append("trend")
        table.add_row(*head, style="dim")
        hidden = len(shown) - room + 1 if len(shown) > room else 0
        for name, loss in shown[: len(shown) - hidden]:
            cells = [short(loss.now), *([short(loss.smoothed)] if roomy else [])]
            table.add_row(_cell(name), *cells, *([] if plain else [loss.bars(TREND_WIDTH)]))
        if hidden:
            table.add_row(f"and {hidden} more", style="dim")
        return table

    def _score_table(self, width: int) -> Table:
        """Return a row for each metric; how it stands to copying the input is said at any width."""
        from rich.table import Table
        from rich.text import Text

        scores, plain = list(self._standings), self._console.options.ascii_only
        copied = any(score.beside for score in scores)
        with_best, with_copied, roomy = width >= 50, width >= 60, width >= 74
        signs = {"min": "(min)", "max": "(max)"} if plain else {"min": "↓", "max": "↑"}
        table = Table.grid(padding=(0, 2, 0, 0))
        taken = 10 + (18 if roomy else 10 if with_best else 0)
        taken += (30 if with_copied else 20) if copied else 0
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(4, width - taken))
        table.add_column(justify="right", no_wrap=True, min_width=8)
        head = [f"validation at {self._standings.step:,}" if roomy else "validation", "last"]
        if with_best:
            table.add_column(justify="right", no_wrap=True, min_width=8)
            head.append(f"best since {self._first:,}" if self._first and roomy else "best")
        if copied:
            table.add_column(no_wrap=True, overflow="ellipsis")
            head.append("against copying" if not with_copied else "against copying the input")
        table.add_row(*head, style="dim")
        for score in scores:
            style = AGAINST_STYLES[score.against]
            newest = score.best is not None and score.best_step == self._standings.step
            name = f"{score.name} {signs[score.direction]}" if score.direction else score.name
            cells = [_cell(name), Text(short(score.last), style=f"bold {style}" if newest else style)]
            if with_best:
                at = f" at {score.best_step:,}" if roomy else ""
                cells.append(Text("" if score.best is None else short(score.best) + at))
            if copied:
                cells.append(Text((score.beside if with_copied else score.against) or "", style=style))
            table.add_row(*cells)
        return table


# --- words ------------------------------------------------------------------------------------------


def _headline(run: RunStart) -> str:
    if run.first_step:
        return f"{run.name}: resumed after step {run.first_step:,} of {run.total_steps:,}"
    return f"{run.name}: {run.total_steps:,} steps"


def _last_sentence(status: Status, step: int, total: int, seconds: float) -> str:
    return f"{status} at step {step:,} of {total:,} after {clock(seconds)}"


def _pace(images_per_second: float, data_wait: float, epoch: float) -> tuple[str, ...]:
    return f"epoch {epoch:.1f}", f"{images_per_second:,.1f} images/s", f"data wait {data_wait:.0%}"


def _pace_of(record: Record) -> tuple[str, ...]:
    return _pace(record["images_per_second"], record["data_wait"], record["epoch"])


def _told(score: Standing, step: int) -> str:
    """Return the last value of a metric beside what it is to be compared with."""
    parts = [f"{score.name} {short(score.last)}", score.beside]
    if score.best is not None:
        newest = score.best_step == step
        parts.append("best so far" if newest else f"best {short(score.best)} at step {score.best_step:,}")
    return ", ".join(filter(None, parts))


def _verdict(standings: Standings) -> Text:
    """Return how the last validation stands to copying the input."""
    from rich.text import Text

    clauses = [Text(printable(clause), AGAINST_STYLES[words]) for words, clause in standings.clauses()]
    return Text(f"validation at step {standings.step:,}: ") + Text("; ").join(clauses)


def _aligned(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    rows = list(pairs)
    width = max((len(label) for label, _ in rows), default=0)
    return [(label.ljust(width), text) for label, text in rows]


def _packed(pieces: Sequence[str], dot: str, width: int) -> list[str]:
    """Return `pieces`, joined by `dot`, on as few lines as they need, none of them broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1] + dot + piece) <= width:
            lines[-1] += dot + piece
        else:
            lines.append(piece)
    return lines


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text))


def _print_whole(console: Console, text: str, style: str = "") -> None:
    """Print `text` without breaking or cutting it, however narrow the terminal."""
    from rich.text import Text

    console.print(Text(printable(text), style=style), soft_wrap=True)
