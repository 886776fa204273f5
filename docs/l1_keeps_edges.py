"""Draw what the benchmark `edges` found beside the best answers: l1-keeps-edges.svg, and the sheet.

i2i bench edges && python docs/l1_keeps_edges.py runs/bench-edges
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from i2i import load_generator
from i2i.bench.pictures import GAP, LABELS, MARGIN, sheet
from i2i.bench.results import PicturedPair, Pictures
from i2i.core.data.edges import BAND, Edges, quantile
from i2i.images.previews import picture_png
from i2i.pages.charts import Axis, Box

HERE = Path(__file__).parent
SHEET = HERE.parent / "recipes" / "bench" / "results" / "edges.png"
EPSILON = 0.5
"""The Charbonnier loss of the benchmark, for images in [-1,1]."""

CELL, FRAME = 88, "#c3c9d3"
WIDTH, BOX, BELOW = 812, Box(left=60, right=792, top=16, bottom=300), 350
BEST = "#9ca3af"
LINES = {"l2": "#2563eb", "charbonnier": "#059669", "l1": "#ea580c", "l1+cgan": "#9333ea"}


def main(folder: Path) -> None:
    """Draw the benchmark in `folder`."""
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    data = Edges("val")
    optima = {**data.optima, "charbonnier": charbonnier_optimum(data)}
    SHEET.write_bytes(pictures(found["pictures"], folder, optima, data))
    rows = {name: answers(name, found["cells"], folder, data) for name in LINES}
    (HERE / "l1-keeps-edges.svg").write_text(chart(rows, optima), encoding="utf-8")


def charbonnier_optimum(data: Edges, *, steps: int = 5000) -> Tensor:
    """Return the answer with the least Charbonnier loss over the distribution, (1,H,W) in [0,1].

    Each pixel's is found by halving: the mean slope of the loss over places at equal steps of probability.
    """
    height, width = data.spec.target.size
    places = torch.tensor([quantile((step + 0.5) / steps) for step in range(steps)])
    ends = torch.arange(1, width + 1) - BAND[0] * width
    truths = 2 * (ends - places[:, None] * width).clamp(0, 1) - 1
    low, high = -torch.ones(width), torch.ones(width)
    for _ in range(40):
        middle = (low + high) / 2
        off = middle - truths
        rising = (off / (off.square() + EPSILON**2).sqrt()).mean(dim=0) > 0
        low, high = torch.where(rising, low, middle), torch.where(rising, middle, high)
    return ((low + high) / 4 + 0.5).expand(1, height, width)


def answers(name: str, cells: Sequence[Mapping[str, Any]], folder: Path, data: Edges) -> list[list[float]]:
    """Return the middle row of the answer to the first held-out input, for each seed of a variant."""
    source = data[0]["source"][None].float() / 127.5 - 1
    rows = []
    for cell in cells:
        if cell["variant"] == name:
            generator = load_generator(folder / cell["folder"] / "model.safetensors")
            with torch.no_grad():
                image = (generator(source)[0, 0] + 1) / 2
            rows.append(image[len(image) // 2].tolist())
    return rows


def pictures(found: Mapping[str, Any], folder: Path, optima: Mapping[str, Tensor], data: Edges) -> bytes:
    """Return the sheet of the benchmark's pictures, as PNG, with the best answers among its rows."""
    images = [PicturedPair(**image) for image in found["images"]]
    outputs: dict[str, list[str | None]] = dict(found["outputs"])
    for name, optimum in optima.items():
        path = f"pictures/best-{name}.png"
        (folder / path).write_bytes(picture_png(2 * optimum - 1, data.spec.target, data.spec.target.size))
        outputs[f"best: {name}"] = [path] * len(images)
    order = ["best: mean", "l2", "best: charbonnier", "charbonnier", "best: median", "l1", "l1+cgan"]
    page = Image.open(BytesIO(sheet(Pictures(images, outputs, seed=None), folder, order=order, cell=CELL)))
    draw = ImageDraw.Draw(page)
    for row in range(len(order) + 2):  # white on white has no end
        for column in range(len(images)):
            left, top = MARGIN + LABELS + column * (CELL + GAP), MARGIN + row * (CELL + GAP)
            draw.rectangle((left - 1, top - 1, left + CELL, top + CELL), outline=FRAME)
    buffer = BytesIO()
    page.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def chart(rows: Mapping[str, Sequence[Sequence[float]]], optima: Mapping[str, Tensor]) -> str:
    """Return the profiles as an SVG: the best answers thick and pale, and over them those of each seed."""
    pixels = len(optima["mean"][0, 0])
    across, up = Axis(0, pixels, BOX.left, BOX.right), Axis(0, 1, BOX.bottom, BOX.top)

    def line(values: Sequence[float], style: str) -> str:
        steps = [(across(at), up(value)) for place, value in enumerate(values) for at in (place, place + 1)]
        return f'  <polyline points="{" ".join(f"{x},{y}" for x, y in steps)}" {style}/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {BELOW + 44}" role="img">',
        "  <title>A row of the answers to an edge whose place is uncertain, beside the best answers</title>",
        "  <style>",
        '    text { font: 15px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #4b5563 }',
        "    polyline { fill: none }",
        "    @media (prefers-color-scheme: dark) { text { fill: #c3c9d3 } }",
        "  </style>",
    ]
    for x, label in across.ticks(most=9):
        parts.append(f'  <text x="{x}" y="{BOX.bottom + 20}" text-anchor="middle">{label}</text>')
    for value, label in ((0, "black"), (1, "white")):
        y = up(value)
        parts.append(f'  <line x1="{BOX.left}" y1="{y}" x2="{BOX.right}" y2="{y}" stroke="{FRAME}"/>')
        parts.append(f'  <text x="{BOX.left - 8}" y="{y + 5}" text-anchor="end">{label}</text>')
    best = f'stroke="{BEST}" stroke-width="7" stroke-opacity="0.45"'
    parts += [line(optimum[0, 0].tolist(), best) for optimum in optima.values()]
    for name, colour in LINES.items():
        parts += [line(row, f'stroke="{colour}" stroke-width="1.5"') for row in rows[name]]
    middle = (BOX.left + BOX.right) / 2
    parts.append(f'  <text x="{middle}" y="{BOX.bottom + 42}" text-anchor="middle">pixel of the row</text>')
    keys = [("best: mean, Charbonnier, median", best)]
    keys += [(name, f'stroke="{colour}" stroke-width="2.5"') for name, colour in LINES.items()]
    x = BOX.left
    for name, style in keys:
        parts.append(f'  <line x1="{x}" y1="{BELOW + 20}" x2="{x + 24}" y2="{BELOW + 20}" {style}/>')
        parts.append(f'  <text x="{x + 30}" y="{BELOW + 25}">{name}</text>')
        x += 58 + 7.8 * len(name)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
