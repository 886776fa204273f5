"""The page of a run: one file, report.html, that opens from disk and asks nothing of the network.

It shows held-out pictures over time, curves, the recipe and where the figures come from. Curves are
thinned to a fixed number of points, and pictures to a fixed number of rows and columns, so that an
update costs the same at any length of run. Pictures larger than 512 pixels are shown smaller; the
files they come from are untouched.
"""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from i2i.atomic import write_text
from i2i.numbers import Scores, Thinned, clock, short, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from i2i.kinds import Direction

MOST_POINTS = 400  # of a curve
MOST_READINGS = 80  # of a curve: places where the pointer finds a value
MOST_COLUMNS = 8  # points in time at which pictures are shown
MOST_ROWS = 8  # pictures at each of them
LARGEST_PICTURE = 512
LOSSLESS_PICTURE = 128  # pictures up to this size are embedded without loss, and enlarged as squares

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
    ) -> None:
        self._path = path
        self._fixed = {
            "name": name,
            "recipe": recipe,
            "environment": dict(environment),
            "plugins": [dict(plugin) for plugin in plugins],
            "credits": list(credits),
            "total_steps": total_steps,
        }
        self._status, self._facts = "running", dict[str, str]()
        self._step, self._seconds = 0, 0.0
        self._losses: dict[str, Thinned[Point]] = {}
        self._metrics: dict[str, Thinned[Point]] = {}
        self._scores = Scores(directions or {})
        self._rows: dict[str, Row] = {}
        self._columns: Thinned[Column] = Thinned(MOST_COLUMNS)
        environ = Environment(
            loader=PackageLoader("i2i"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environ.filters.update(short=short, clock=clock)
        environ.globals["box"] = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
        self._template = environ.get_template("report.html.j2")

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one object of metrics.jsonl."""
        self._step, self._seconds = record["step"], record["seconds"]
        if record["kind"] == "val":
            self._scores.add(record)
            _extend(self._metrics, record["step"], record["metrics"])
        else:
            _extend(self._losses, record["step"], record["losses"])

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
                outputs[strip.stem] = Picture.of(output)
                if not known:
                    self._rows[strip.stem] = Row(strip.stem, Picture.of(source), Picture.of(target))
        self._columns.add(Column(step, outputs))

    def set_status(self, status: str, facts: Mapping[str, str]) -> None:
        """Say how the run stands ("running", "done", "stopped", "failed"), with label and text of facts.

        The fact "error" is a sentence and is shown as such.
        """
        self._status, self._facts = status, dict(facts)

    def write(self) -> None:
        """Write the page; whoever reads the file sees the old one or the new one, never a part."""
        columns = self._columns.items()
        baselines = {score.name: score.copied for score in self._scores}
        best = {score.name: (score.best_step, score.best) for score in self._scores if score.best is not None}
        page = self._template.render(
            self._fixed,
            status=self._status,
            facts={label: text for label, text in self._facts.items() if label != "error"},
            error=self._facts.get("error", ""),
            step=self._step,
            seconds=self._seconds,
            scores=list(self._scores),
            scores_step=self._scores.step,
            columns=columns,
            rows=list(self._rows.values()),
            losses=[
                _chart(name, curve.items(), smooth=True)
                for name, curve in self._losses.items()
                if len(curve) > 1
            ],
            metrics=[
                _chart(name, curve.items(), baseline=baselines.get(name), best=best.get(name))
                for name, curve in self._metrics.items()
                if len(curve) > 1
            ],
        )
        write_text(self._path, page)


# --- pictures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """An image as a data: address, with its size in pixels."""

    address: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether it is to be enlarged as squares, without smoothing."""
        return max(self.width, self.height) <= LOSSLESS_PICTURE

    @classmethod
    def of(cls, image: Image) -> Picture:
        """Return `image` as PNG, or as JPEG where that is shorter and the image is not small."""
        image.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
        kind, data = "png", _encoded(image, "png")
        if max(image.size) > LOSSLESS_PICTURE:
            jpeg = _encoded(image, "jpeg", quality=90, subsampling=0)
            kind, data = min((kind, data), ("jpeg", jpeg), key=lambda choice: len(choice[1]))
        return cls(f"data:image/{kind};base64,{b64encode(data).decode()}", *image.size)


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


def _thirds(strip: Path) -> tuple[Image, Image, Image]:
    from PIL import Image

    with Image.open(strip) as file:
        image = file.convert("RGB")
    width, rest = divmod(image.width, 3)
    if rest or not width:
        raise ValueError(f"{strip} is {image.width} pixels wide: not three pictures of equal width")
    left, middle, right = (image.crop((i * width, 0, (i + 1) * width, image.height)) for i in range(3))
    return left, middle, right


def _encoded(image: Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- curves ---------------------------------------------------------------------------------------

LEFT, RIGHT, TOP, BOTTOM = 54, 390, 18, 190  # of the area where the curve is, y downwards


@dataclass(frozen=True)
class Reading:
    """A place that the pointer can find: a strip of the chart, and the point and value it stands for."""

    left: float
    width: float
    x: float
    y: float
    text: str


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


def _extend(curves: dict[str, Thinned[Point]], step: int, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if math.isfinite(value):
            curves.setdefault(name, Thinned(MOST_POINTS)).add((step, value))


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
    low, high = _range(min(levels), max(levels))
    last = max(*steps, 1)

    def x(step: float) -> float:
        return round(LEFT + step / last * (RIGHT - LEFT), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    def path(heights: Sequence[float]) -> str:
        return " ".join(f"{x(step)},{y(value)}" for step, value in zip(steps, heights, strict=True))

    every = math.ceil(len(points) / MOST_READINGS)
    places = [*points[:-1:every], points[-1]]
    xs = [x(step) for step, _ in places]
    edges = [LEFT, *((a + b) / 2 for a, b in pairwise(xs)), RIGHT]
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
        x_ticks=[(x(value), label) for value, label in ticks(0, last, most=5) if value == int(value)],
        y_ticks=[(y(value), label) for value, label in ticks(low, high)],
        readings=[
            Reading(
                left=round(edges[index], 1),
                width=round(edges[index + 1] - edges[index], 1),
                x=x(step),
                y=y(value),
                text=f"step {step:,}: {short(value)}",
            )
            for index, (step, value) in enumerate(places)
        ],
        baseline=y(baseline) if baseline is not None and math.isfinite(baseline) else None,
        best=(x(best[0]), y(best[1])) if best and math.isfinite(best[1]) else None,
    )


def _range(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis for values within [low, high]: from 0 where that is near, else some air."""
    air = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    bottom = 0.0 if 0 <= low <= 0.35 * high else low - air
    return bottom, high + air


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
