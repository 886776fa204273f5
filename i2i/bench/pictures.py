"""The same held-out images, translated by every variant: files beside results.json, and one sheet of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i.bench.results import PicturedPair, Pictures
from i2i.building.blame import components_blamed
from i2i.data.scale import scale_of
from i2i.data.stream import HeldOutPairs
from i2i.errors import DataError
from i2i.images.previews import picture_png
from i2i.kind_table import changes_spec
from i2i.kinds import Data, ImageSpec
from i2i.models.translate import load_model, translate
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import Recipe
from i2i.seeds import seeded
from i2i.system.atomic import write_bytes
from i2i.system.device import resolve

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FOLDER = "pictures"
LONGEST_NAME = 48


def make_pictures(
    models: Mapping[str, Path],
    recipe: Recipe,
    data: Data,
    folder: Path,
    *,
    count: int = 8,
    catalog: Catalog,
    device: str = "auto",
    tests: Mapping[str, Mapping[str, Any]] = {},
) -> Pictures:
    """Translate `count` pairs of `data` with each variant's model; write them as PNGs below `folder`.

    `data` is the recipe's opened validation split, over which the pairs are spread evenly. Files are named
    as seen from `folder`. An output is None where there is no model, or one for other channels. What is
    drawn at random, like dropout, depends on the recipe's seed and the image alone. `tests` has values of
    test keys for some variants. Raises DataError for a
    damaged model and for an empty split, PluginError when a component of the recipe fails.
    """
    runtime = resolve(device, "fp32")
    with runtime.active(), components_blamed(recipe):
        return _made(models, recipe, data, folder, count, catalog, runtime.device, tests)


def _made(
    models: Mapping[str, Path],
    recipe: Recipe,
    data: Data,
    folder: Path,
    count: int,
    catalog: Catalog,
    device: str,
    tests: Mapping[str, Mapping[str, Any]],
) -> Pictures:
    spec = data.spec
    chosen = HeldOutPairs(data, scale=scale_of(recipe, data)).spread(count)
    changing = tuple(slot for slot in recipe.section("transforms") if changes_spec(slot.factory))
    count = len(chosen)
    if not count:
        raise DataError(f"{recipe.data.entry.ref}: the split 'val' is empty.")
    names = [f"{place}-{_safe(identity)}.png" for place, (_, _, identity, _) in enumerate(chosen)]

    def write(below: str, name: str, image: Tensor, side: ImageSpec) -> str:
        path = f"{FOLDER}/{below}/{name}"
        write_bytes(folder / path, picture_png(image, side, spec.target.size))
        return path

    images = [
        PicturedPair(
            identity,
            source=write("input", name, source, spec.source),
            target=write("target", name, target, spec.target),
        )
        for name, (source, target, identity, _) in zip(names, chosen, strict=True)
    ]
    outputs: dict[str, list[str | None]] = {variant: [None] * count for variant in models}
    for number, (variant, path) in enumerate(models.items(), start=1):
        if not path.is_file():
            continue
        model = load_model(path, device=device, catalog=catalog, test=tests.get(variant, {}))
        if model.sides != ("source",) or (model.changes.slots if model.changes else ()) != changing:
            continue  # it is to be shown other pictures than these sources
        if (model.spec.source.channels, model.spec.target.channels) != (
            spec.source.channels,
            spec.target.channels,
        ):
            continue
        for place, (source, _, identity, _) in enumerate(chosen):
            with seeded(recipe.seed, "pictures", identity):
                answer = translate(model, source)
            below = f"{number}-{_safe(variant)}"
            outputs[variant][place] = write(below, names[place], answer, spec.target)
    return Pictures(images, outputs, seed=None)


def _safe(name: str) -> str:
    """Return a name that any file system takes."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)[:LONGEST_NAME]


# --- one sheet --------------------------------------------------------------------------------------

GAP, MARGIN, LABELS, LINE = 6, 14, 150, 17  # in pixels
INK, PAPER, MISSING = "#1a1f26", "#ffffff", "#eceff2"


def sheet(pictures: Pictures, folder: Path, *, order: Sequence[str] = (), cell: int = 112) -> bytes:
    """Return one PNG: held-out images in columns, input, variants and target in rows, with their names.

    Args:
        pictures: what `make_pictures` returned.
        folder: where its files are.
        order: the variants to show, from top to bottom; all of them by default.
        cell: the width of each picture, in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    images, outputs = pictures.images, pictures.outputs
    rows: list[tuple[str, Sequence[str | None]]] = [
        ("input", [image.source for image in images]),
        *((name, outputs[name]) for name in order or outputs),
        ("target", [image.target for image in images]),
    ]
    first = _opened(folder / images[0].target)
    height = round(cell * first.height / first.width)
    page = Image.new(
        "RGB",
        (
            2 * MARGIN + LABELS + len(images) * (cell + GAP) - GAP,
            2 * MARGIN + len(rows) * (height + GAP) - GAP,
        ),
        PAPER,
    )
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for row, (name, paths) in enumerate(rows):
        top = MARGIN + row * (height + GAP)
        lines = _wrapped(name, LABELS - 12, font.getlength)[: max(1, height // LINE)]
        for number, line in enumerate(lines):
            middle = top + height / 2 + (number - (len(lines) - 1) / 2) * LINE
            draw.text((MARGIN, middle), line, fill=INK, font=font, anchor="lm")
        for column, path in enumerate(paths):
            left = MARGIN + LABELS + column * (cell + GAP)
            if path is None:
                draw.rectangle((left, top, left + cell - 1, top + height - 1), fill=MISSING)
                continue
            picture = _opened(folder / path)
            # Few pixels are enlarged as squares, so that nothing is smoothed over.
            way = Image.Resampling.NEAREST if picture.width < cell else Image.Resampling.LANCZOS
            page.paste(picture.resize((cell, height), way), (left, top))
    buffer = BytesIO()
    page.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _opened(path: Path) -> Image:
    from PIL import Image

    with Image.open(path) as file:
        return file.convert("RGB")


def _wrapped(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Cut a text in lines of at most `width`, between words, or inside one that is too long."""
    lines, line = [], ""
    for word in text.split():
        if line and length(f"{line} {word}") > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while length(line) > width:
            fits = max((end for end in range(1, len(line)) if length(line[:end]) <= width), default=1)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line]
