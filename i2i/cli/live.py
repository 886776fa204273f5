"""What a person sees of a run while it trains: a live view on a terminal, plain lines (`lines`) elsewhere.

The engine reports to an `Observer` and knows nothing of screens. Nothing is drawn between reports, no
thread runs, and rich is imported only when an observer is made. What goes by is for standard error; how the
run ended, and which files it wrote, for standard output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from i2i.cli.lines import LastLines, Lines
from i2i.cli.progress import StatusLine, fitting, stamp
from i2i.cli.render import AGAINST_STYLES
from i2i.cli.run_words import headline, last_sentence, pace, pace_of, packed, print_last, stopping
from i2i.engine.observer import Observer, Record, RunStart, Silent, Status
from i2i.errors import printable
from i2i.pages.numbers import Standings, Trend, clock, short

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text


SECONDS_BETWEEN_FRAMES = 0.5
TREND_WIDTH = 12


class Screen(Observer, Protocol):
    """An observer that shows what it is told; `started` once a step may have been made."""

    started: bool

    def close(self) -> None:
        """Leave the terminal as it was, where an error came before the first step."""


class Unseen(Silent):
    """The screen of a process beside the one that shows the run."""

    started = False

    def close(self) -> None: ...


def terminal(console: Console | None = None, *, quiet: bool = False, last_to_stderr: bool = False) -> Screen:
    """Return the observer that suits `console` (default: standard error): a live view, or dated lines.

    The last lines go to standard output, or after the others with `last_to_stderr`; if `quiet`, there are no
    others.
    """
    from rich.console import Console

    last = console or _plain_where_no_terminal(Console(stderr=last_to_stderr))
    console = console or _plain_where_no_terminal(Console(stderr=True))
    if quiet:
        return LastLines(console, last)
    live = console.is_terminal and console.is_interactive and not console.is_dumb_terminal
    return LiveView(console, last=last) if live else Lines(console, last=last, stamp=stamp)


def _plain_where_no_terminal(console: Console) -> Console:
    """Return `console`, without colour off a terminal, even where the environment forces it."""
    from rich.console import Console

    return console if console.file.isatty() else Console(stderr=console.stderr, force_terminal=False)


class LiveView:
    """A live view for a terminal of any size: progress and pace, the losses, the validation.

    The run's facts and notes are printed above it and stay in the scroll-back. A frame is drawn only
    when the engine reports something, and at most twice a second.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float] = time.monotonic,
        last: Console | None = None,
    ) -> None:
        self.started = False
        self._console, self._last = console, last or console
        self._now = now
        self._status = StatusLine(console)  # until there is a frame
        self._doing = ""  # what the frame says of itself where no step is being made
        self._stopping = ""
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

        self.started = True
        self._status.clear()
        self._started, self._doing = self._now(), ""
        self._first, self._step, self._total = run.first_step, run.first_step, run.total_steps
        self._standings = Standings(run.directions)
        self._console.print(Text(printable(headline(run)), style="bold"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for label, text in [("folder", str(run.folder)), *run.facts.items()]:
            grid.add_row(Text(printable(label), style="dim"), Text(printable(text), overflow="fold"))
        self._console.print(grid)
        self._console.print()
        self._live = Live(get_renderable=self._frame, console=self._console, auto_refresh=False)
        self._live.start(refresh=True)

    def note(self, text: str) -> None:
        from rich.text import Text

        with self._status.aside():
            self._console.print(Text(printable(text)))

    def stage(self, text: str) -> None:
        if self._live is None:
            self._status.show(f"{text} …")
        else:
            self._doing = text
            self._draw()

    def stopping(self, waits_for: str) -> None:
        self._stopping = stopping(waits_for)
        self._status.show_at_once(self._stopping)  # over the last line of the frame, until the next one

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        self._step, self._doing = step, ""
        if self._frame_is_due() or self._stopping:
            self._pace = pace(images_per_second, data_wait, epoch)
            self._draw()

    def train(self, record: Record) -> None:
        self._step, self._pace = record["step"], pace_of(record)
        for name, value in record["losses"].items():
            self._losses.setdefault(name, Trend(2 * TREND_WIDTH)).add(value)
        if self._frame_is_due():
            self._draw()

    def validation(self, record: Record) -> None:
        self._standings.add(record)
        self._doing = ""
        self._draw()

    def end(self, *, status: Status, lines: Sequence[tuple[str, str]]) -> None:
        self._status.clear()
        sentences = []
        if self._live is not None:
            self._doing = self._stopping = ""
            live, self._live = self._live, None
            live.stop()
            self._console.print()
            sentences = [last_sentence(status, self._step, self._total, self._now() - self._started)]
        print_last(self._last, sentences, lines, self._standings, style="bold")

    def close(self) -> None:
        self._status.clear()
        if self._live is not None:
            self._live.stop()

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
        doing = self._stopping or (f"{self._doing} …" if self._doing else "")
        top: list[RenderableType] = [
            Text(fitting(doing, width), style="bold"),
            bar,
            *(Text(line) for line in packed(pieces, dot, width)),
        ]

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


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text))
