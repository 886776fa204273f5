"""What a person sees of a benchmark: its cells going by with the time left, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from i2i.bench.view import words
from i2i.cli.progress import AGAIN, StatusLine, error_console, print_progress
from i2i.cli.render import AGAINST_STYLES, Styled, fits, print_sentence, print_table
from i2i.errors import printable
from i2i.pages.numbers import beside_copying, clock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from i2i.bench.jobs import Event
    from i2i.bench.observer import PlannedCell
    from i2i.bench.results import MetricResult, ReportedMetric, Results, VariantResult


class BenchmarkProgress:
    """Progress over all cells: bars on a terminal, a line for each cell that ends anywhere else."""

    def __init__(self, *, quiet: bool = False) -> None:
        console = error_console(quiet=quiet)
        self._live, self._quiet = not console.quiet, quiet
        self._status = StatusLine(console)  # until there are bars
        self._cells: Mapping[str, PlannedCell] = {}
        self._seconds = 0.0
        self._done = dict[str, float]()
        self._ended = 0
        self._begun = time.monotonic()
        self._progress: Progress | None = None
        self._whole: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}

    def note(self, text: str) -> None:
        """Print a remark."""
        self._say(text)

    def stage(self, text: str) -> None:
        """Say what is done before the first cell."""
        if self._live:
            self._status.show(f"{text} …")
        else:
            self._say(text)

    def stopping(self) -> None:
        """Say that the end was asked for, and what it waits for."""
        text = f"stopping: the cells at work finish their step and save; {AGAIN}"
        if self._progress is not None and self._whole is not None:
            self._progress.update(self._whole, description="stopping")
        self._say(text, though_quiet=True)

    def tried(self, variant: str) -> None:
        """Say that a variant went through its dry pass."""
        self._say(f"{variant}: one batch went through train, evaluate, save and load")

    def begin(self, cells: Mapping[str, PlannedCell]) -> None:
        """Show how much there is to do."""
        self._cells, self._seconds = cells, sum(cell.seconds for cell in cells.values())
        self._begun = time.monotonic()
        self._status.clear()
        count = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
        self._say(f"{count} to train, about {clock(self._seconds)} of computing")
        if self._live:
            self._start_bars()

    def event(self, event: Event) -> None:
        """Take what an executor reports."""
        cell = self._cells[event.key]
        share = 1.0 if event.status == "done" else min(1.0, event.step / max(cell.steps, 1))
        self._done[event.key] = share * cell.seconds
        name = f"{cell.variant}, seed {cell.seed}"
        if event.status != "running":
            self._ended += 1
            self._tell_end(event, name)
        if self._progress is not None and self._whole is not None:
            self._move_bars(event, name, cell.steps)

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._status.clear()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _tell_end(self, event: Event, name: str) -> None:
        count = f"{self._ended} of {len(self._cells)}"
        if event.status == "done":
            left = "" if self._live or self._ended == len(self._cells) else f", about {self._left()} left"
            self._say(f"{count}  {name}: done{left}")
        elif event.status == "interrupted" and event.step:
            self._say(f"{count}  {name}: interrupted after step {event.step:,}, its state is saved")
        else:
            self._say(f"{count}  {name}: {event.status}: {event.error.strip()}")

    def _left(self) -> str:
        done = sum(self._done.values())
        return clock((time.monotonic() - self._begun) * (self._seconds - done) / max(done, 1e-9))

    def _start_bars(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=error_console(),
            expand=True,
            transient=True,
        )
        self._whole = self._progress.add_task("all", total=self._seconds, state="")
        self._progress.start()

    def _move_bars(self, event: Event, name: str, steps: int) -> None:
        assert self._progress is not None
        assert self._whole is not None
        if event.key not in self._tasks:
            self._tasks[event.key] = self._progress.add_task(name, total=steps, state="")
        task = self._tasks[event.key]
        if event.status == "running":
            self._progress.update(task, completed=event.step, state=f"{event.step:,} of {steps:,}")
        else:
            self._progress.remove_task(self._tasks.pop(event.key))
        done = sum(self._done.values())
        state = f"{self._ended} of {len(self._cells)} cells, {self._left()} left" if done else "starting"
        self._progress.update(self._whole, completed=done, state=state)

    def _say(self, text: str, *, though_quiet: bool = False) -> None:
        if self._quiet and not though_quiet:
            return
        if self._progress is not None:
            self._progress.console.print(printable(text), markup=False, highlight=False)
        else:
            with self._status.aside():
                print_progress(text)


def print_results(results: Results) -> None:
    """Print the figures, how they differ from the baseline's, and what each variant costs, then the answer.

    That is one table with a row for each variant, or a table for each metric where that one is too wide.
    """
    tables = [_whole_table(results)]
    if not fits(*tables[0]):
        tables = [*(_metric_table(results, metric) for metric in results.metrics), *_cost_tables(results)]
    for number, (headers, rows) in enumerate(tables):
        if number:
            print()
        print_table(headers, rows)
    _print_sentences(results)


def _print_sentences(results: Results) -> None:
    signs = "  ".join(f"{sign} {verdict}" for verdict, sign in words.SIGNS.items())
    count = len(results.seeds)
    print_sentence(
        f"* the baseline; {count} seed{'s' if count > 1 else ''}; mean ± deviation; differences are paired "
        f"by seed, with their 95 % interval, each by itself.  {signs}"
    )
    judged = " ".join([*words.how_judged(results)[:1], words.all_seeds_needed(results)]).strip()
    for note in filter(None, [judged, words.answer(results), *results.notes]):
        print_sentence(note)
    if results.go_on:
        print_sentence(f"To go on: {results.go_on}")


Table = tuple[Sequence[str], Sequence[Sequence[str | Styled]]]
"""Headers and rows."""


def _whole_table(results: Results) -> Table:
    """The first metric in full, the others with the sign of their verdict, and what each variant costs."""
    first, *others = results.metrics
    decimals = {metric.name: words.decimals(results.table, metric.name) for metric in results.metrics}
    copied = results.copied
    headers = ["variant", _title(first), "against copying the input", "against the baseline", "verdict"]
    costs = _costs(results)
    headers += [*map(_title, others), *costs]
    rows = []
    for number, row in enumerate(results.table):
        found, places = row.metrics[first.name], decimals[first.name]
        cells: list[str | Styled] = [_name(row), words.measured(found.mean, found.deviation, places)]
        cells += [_beside(found, copied.get(first.name)), *_against_baseline(row, found, places)]
        for name in (metric.name for metric in others):
            other = row.metrics[name]
            text = f"{words.fixed(other.mean, decimals[name])} {words.SIGNS[other.verdict]}"
            beside = _beside(other, copied.get(name))
            cells.append(Styled(f"{text} {beside.text}".rstrip(), beside.style))
        rows.append([*cells, *(column[number] for column in costs.values())])
    return headers, rows


def _metric_table(results: Results, metric: ReportedMetric) -> Table:
    """One metric of all variants with the sign of its verdict, and how it differs from the baseline's."""
    places = words.decimals(results.table, metric.name)
    copied = results.copied.get(metric.name)
    rows: list[Sequence[str | Styled]] = []
    for row in results.table:
        found = row.metrics[metric.name]
        figure = f"{words.measured(found.mean, found.deviation, places)} {words.SIGNS[found.verdict]}"
        difference, _ = _against_baseline(row, found, places)
        rows.append([_name(row), Styled(figure, _beside(found, copied).style), difference])
    if copied is not None:
        rows.append(["copying the input", words.fixed(copied, places), ""])
    return ["variant", _title(metric), "against the baseline"], rows


def _cost_tables(results: Results) -> list[Table]:
    """What each variant costs, and how its first metric stands to copying the input: in two, if need be."""
    first, names = results.metrics[0].name, [_name(row) for row in results.table]
    costs = _costs(results)
    stands = [_beside(row.metrics[first], results.copied.get(first)) for row in results.table]
    title = f"{first} against copying the input"
    whole: Table = ["variant", *costs, title], list(zip(names, *costs.values(), stands, strict=True))
    if fits(*whole):
        return [whole]
    copying: Table = ["variant", title], list(zip(names, stands, strict=True))
    alone: Table = ["variant", *costs], list(zip(names, *costs.values(), strict=True))
    return [copying, alone] if any(stand.text for stand in stands) else [alone]


def _name(row: VariantResult) -> str:
    return f"{row.variant} *" if row.baseline else row.variant


def _against_baseline(row: VariantResult, found: MetricResult, places: int) -> tuple[str, str]:
    return ("", "") if row.baseline else (words.difference(found.difference, places), found.verdict)


def _costs(results: Results) -> dict[str, list[str]]:
    """Return what the variants cost, by what it is called; what is known of none is left out."""
    costs = [row.cost for row in results.table]
    columns = {
        "G, D parameters": [
            ", ".join(map(words.compact, (cost.generator_parameters, cost.discriminator_parameters)))
            for cost in costs
        ],
        "steps": [words.NOTHING if cost.steps is None else f"{cost.steps:,}" for cost in costs],
        "training": [words.trained(cost.train_seconds) for cost in costs],
        "a step": [words.duration(cost.step_seconds, cost.step_deviation) for cost in costs],
        "an image": [words.duration(cost.image_seconds) for cost in costs],
    }
    return {title: texts for title, texts in columns.items() if {*texts} != {words.NOTHING}}


def _beside(found: MetricResult, copied: float | None) -> Styled:
    """Return how a variant's figure stands to copying the input; seeds that do not agree are no victory."""
    style = AGAINST_STYLES.get(found.against_copying, "yellow") if found.against_copying else ""
    return Styled(beside_copying(found.against_copying, copied), style)


def _title(metric: ReportedMetric) -> str:
    way = {"min": " (lower)", "max": " (higher)"}.get(metric.better or "", "")
    return f"{metric.name}{way}"
