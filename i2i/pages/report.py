"""The page of a run: one file, report.html, that opens from disk and asks nothing of the network.

It shows held-out pictures over time, curves, the recipe and where the figures come from. Curves are
thinned to a fixed number of points, and pictures to a fixed number of rows and columns, so that an
update costs the same at any length of run. Pictures larger than 512 pixels are shown smaller; the
files they come from are untouched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from i2i.pages.charts import Axis, Box, Reading, strips, with_air
from i2i.pages.numbers import Standings, Thinned, against_copying, beside_copying, short
from i2i.pages.pictures import Picture
from i2i.pages.template import template
from i2i.system.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from i2i.records import Direction

MOST_POINTS = 400  # of a curve
MOST_READINGS = 80  # of a curve: places where the pointer finds a value
MOST_COLUMNS = 8  # points in time at which pictures are shown
MOST_ROWS = 8  # pictures at each of them
LARGEST_PICTURE = 512

Point = tuple[int, float]


class Report:
    """Gathers what a run reports, and writes it as a page.

    Args:
        path: The file to write.
        name: The run's name.
        recipe: The resolved recipe, as TOML.
        environment: Label and text of what the run ran on.
        plugins: For each plug-in in use its ``namespace``, ``distribution`` and ``version``.
        credits: Attributions of data and weights, a sentence each.
        total_steps: How many steps the whole run has.
        directions: For each metric which way is better; without it no value is called best.
        command: What was typed to start the run; nothing for one made from Python.
        started: When it began, as ``2026-01-31T09:30:00+0100``.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        recipe: str,
        environment: Mapping[str, str],
        plugins: Sequence[Mapping[str, str]],
        credits: Sequence[str],  # noqa: A002
        total_steps: int,
        directions: Mapping[str, Direction] | None = None,
        command: str = "",
        started: str = "",
        objective: str = "",
        stages: str = "",
        aligned: bool = True,
    ) -> None:
        self._path = path
        self._fixed = {
            "name": name,
            "recipe": recipe,
            "environment": dict(environment),
            "plugins": [dict(plugin) for plugin in plugins],
            "credits": list(credits),
            "total_steps": total_steps,
            "command": command,
            "started": started,
            "objective": objective,
            "stages": stages,
            "aligned": aligned,
        }
        self._status, self._facts, self._ended = "running", dict[str, str](), ""
        self._commands: Sequence[tuple[str, str]] = ()
        self._step, self._seconds = 0, 0.0
        self._losses: dict[str, Thinned[Point]] = {}
        self._metrics: dict[str, Thinned[Point]] = {}
        self._others: dict[str, dict[str, Thinned[Point]]] = {}
        self._notes: list[tuple[int, str]] = []
        self._directions = directions or {}
        self._standings = Standings(self._directions)
        self._worst = Worst()
        self._rows: dict[str, Row] = {}
        self._columns: Thinned[Column] = Thinned(MOST_COLUMNS)
        self._template = template("report.html.j2")

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one object of metrics.jsonl."""
        self._step, self._seconds = record["step"], record["seconds"]
        if record["kind"] == "val":
            self._standings.add(record)
            _extend(self._metrics, record["step"], record["metrics"])
        elif record["kind"] == "train":
            _extend(self._losses, record["step"], record["losses"])
        elif record["kind"] == "note":
            self._notes.append((record["step"], record["text"]))
        else:  # a callback's
            _extend(self._others.setdefault(record["kind"], {}), record["step"], record["values"])

    def add_strips(self, step: int, strips: Sequence[Path]) -> None:
        """Take the pictures made at `step`: files of input, output and target side by side.

        Each is cut in three equal parts; the file's stem is the picture's id. The first eight ids are
        shown, and eight points in time: the first, the last, and some between.
        """
        outputs = {}
        for strip in strips:
            known = strip.stem in self._rows
            if known or len(self._rows) < MOST_ROWS:
                source, output, target = _thirds(strip)
                outputs[strip.stem] = _embedded(output)
                if not known:
                    self._rows[strip.stem] = Row(strip.stem, _embedded(source), _embedded(target))
        self._columns.add(Column(step, outputs))

    def show_worst(
        self, step: int, figure: str, strips: Sequence[tuple[Path, str, float | None, float | None]]
    ) -> None:
        """Take the images that scored worst at `step` by `figure`, in place of those before.

        Each comes as the file of its strip, its id, its figure, and that of copying its input.
        """
        images = []
        for path, name, value, copied in strips:
            source, output, target = map(_embedded, _thirds(path))
            against = against_copying(value, copied, self._directions.get(figure))
            text = f"{figure} {'not a number' if value is None else short(value)}"
            beside = beside_copying(against, copied)
            images.append(WorstImage(Row(name, source, target), output, text, against or "", beside))
        self._worst = Worst(step, figure, images)

    def reach(self, step: int, seconds: float) -> None:
        """Say how far the run has come, which no record may tell yet."""
        self._step, self._seconds = step, seconds

    def suggest(self, commands: Sequence[tuple[str, str]]) -> None:
        """Take what may be typed next: what it does, and the command."""
        self._commands = commands

    def set_status(self, status: str, facts: Mapping[str, str], *, ended: str = "") -> None:
        """Say how the run stands ("running", "done", "stopped", "failed"), with label and text of facts.

        The fact "error" is a sentence and is shown as such; `ended` is when the run came to that.
        """
        self._status, self._facts, self._ended = status, dict(facts), ended

    def write(self) -> None:
        """Write the page; whoever reads the file sees the old one or the new one, never a part."""
        columns = self._columns.items()
        baselines = {score.name: score.copied for score in self._standings}
        best = {
            score.name: (score.best_step, score.best) for score in self._standings if score.best is not None
        }
        page = self._template.render(
            self._fixed,
            status=self._status,
            facts={label: text for label, text in self._facts.items() if label != "error"},
            error=self._facts.get("error", ""),
            ended=self._ended,
            commands=self._commands,
            clauses=self._standings.clauses(),
            worst=self._worst,
            step=self._step,
            seconds=self._seconds,
            scores=list(self._standings),
            scores_step=self._standings.step,
            columns=columns,
            rows=list(self._rows.values()),
            notes=self._notes,
            losses=_smooth_charts(self._losses),
            others={kind: charts for kind, c in self._others.items() if (charts := _smooth_charts(c))},
            metrics=[
                _chart(name, curve.items(), baseline=baselines.get(name), best=best.get(name))
                for name, curve in self._metrics.items()
                if len(curve) > 1
            ],
        )
        write_text(self._path, page)


# --- pictures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One held-out image: what goes in and what should come out."""

    id: str
    source: Picture
    target: Picture


@dataclass(frozen=True)
class Column:
    """What came out at one point in time, by the image's id."""

    step: int
    outputs: Mapping[str, Picture]


@dataclass(frozen=True)
class WorstImage:
    """A held-out image that scored badly: what came out, and its figure beside that of copying its input."""

    row: Row
    output: Picture
    text: str
    against: str
    beside: str


@dataclass(frozen=True)
class Worst:
    """The images that scored worst at one validation, from the worst on."""

    step: int = 0
    figure: str = ""
    images: Sequence[WorstImage] = ()


def _thirds(strip: Path) -> tuple[Image, Image, Image]:
    from PIL import Image

    with Image.open(strip) as file:
        image = file.convert("RGB")
    width, rest = divmod(image.width, 3)
    if rest or not width:
        raise ValueError(f"{strip} is {image.width} pixels wide: not three pictures of equal width")
    left, middle, right = (image.crop((i * width, 0, (i + 1) * width, image.height)) for i in range(3))
    return left, middle, right


def _embedded(image: Image) -> Picture:
    return Picture.of(image, largest=LARGEST_PICTURE)


# --- curves ---------------------------------------------------------------------------------------

BOX = Box(left=54, right=390, top=18, bottom=190)


@dataclass(frozen=True)
class Chart:
    """A curve in the units of its drawing."""

    title: str
    summary: str
    line: str
    smooth: str
    dots: Sequence[tuple[float, float]]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    readings: Sequence[Reading]
    baseline: float | None = None
    best: tuple[float, float] | None = None
    box: Box = BOX


def _extend(curves: dict[str, Thinned[Point]], step: int, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if math.isfinite(value):
            curves.setdefault(name, Thinned(MOST_POINTS)).add((step, value))


def _smooth_charts(curves: Mapping[str, Thinned[Point]]) -> list[Chart]:
    return [_chart(name, curve.items(), smooth=True) for name, curve in curves.items() if len(curve) > 1]


def _chart(
    title: str,
    points: Sequence[Point],
    *,
    smooth: bool = False,
    baseline: float | None = None,
    best: tuple[int, float] | None = None,
) -> Chart:
    """Return the drawing of at least two points; `baseline` is a level to compare them with."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    levels = values if baseline is None or not math.isfinite(baseline) else [*values, baseline]
    last = max(*steps, 1)
    x = Axis(0, last, BOX.left, BOX.right)
    y = Axis(*with_air(min(levels), max(levels)), BOX.bottom, BOX.top)

    def path(heights: Sequence[float]) -> str:
        return " ".join(f"{x(step)},{y(value)}" for step, value in zip(steps, heights, strict=True))

    every = math.ceil(len(points) / MOST_READINGS)
    places = [*points[:-1:every], points[-1]]
    areas = strips([x(step) for step, _ in places], BOX.left, BOX.right)
    summary = (
        f"{title}: {short(values[0])} at step {steps[0]:,}, {short(values[-1])} at step {steps[-1]:,}, "
        f"between {short(min(values))} and {short(max(values))}."
    )
    if baseline is not None:
        summary += f" Copying the input scores {short(baseline)}."
    return Chart(
        title=title,
        summary=summary,
        line=path(values),
        smooth=path(_smoothed(values)) if smooth and len(values) >= 20 else "",
        dots=[(x(step), y(value)) for step, value in points] if len(points) <= 40 and not smooth else [],
        x_ticks=x.whole_ticks(),
        y_ticks=y.ticks(),
        readings=[
            Reading(left=left, width=width, x=x(step), y=y(value), text=f"step {step:,}: {short(value)}")
            for (left, width), (step, value) in zip(areas, places, strict=True)
        ],
        baseline=y(baseline) if baseline is not None and math.isfinite(baseline) else None,
        best=(x(best[0]), y(best[1])) if best and math.isfinite(best[1]) else None,
    )


def _smoothed(values: Sequence[float]) -> list[float]:
    """Return the mean over a window around each value, a twentieth of the whole wide.

    It is narrower at the beginning, where curves fall fastest, and one-sided at the end.
    """
    sums = [0.0, *accumulate(values)]
    smoothed = []
    for index in range(len(values)):
        reach = min(len(values) // 40, index)
        end = min(index + reach + 1, len(values))
        smoothed.append((sums[end] - sums[index - reach]) / (end - index + reach))
    return smoothed
