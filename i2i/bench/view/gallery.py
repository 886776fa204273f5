"""The picture that people look for: the same held-out images, as each variant answers them.

Pictures are embedded, at most 512 pixels wide, or 320 where there are more than a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.bench.results import Pictures
from i2i.pages.pictures import Picture

MANY_PICTURES = 100
LARGEST_PICTURE, LARGEST_OF_MANY = 512, 320


@dataclass(frozen=True)
class ShownPicture:
    """One picture, and the names of those beside it, to go on to in the large view."""

    id: str
    picture: Picture | None
    description: str
    up: str
    down: str
    left: str
    right: str


@dataclass(frozen=True)
class PictureRow:
    """The same held-out images as one variant answers them; `kind` is input, output or target."""

    name: str
    kind: str
    cells: Sequence[ShownPicture]


def gallery(pictures: Pictures | None, order: Sequence[str], folder: Path) -> list[PictureRow]:
    """Return a row for the input, for each variant of `order` that has pictures, and for the target."""
    if pictures is None:
        return []
    images, outputs = pictures.images, pictures.outputs
    rows: list[tuple[str, str, Sequence[str | None]]] = [
        ("input", "input", [image.source for image in images]),
        *((name, "output", outputs[name]) for name in order if name in outputs),
        ("target", "target", [image.target for image in images]),
    ]
    largest = LARGEST_PICTURE if len(rows) * len(images) <= MANY_PICTURES else LARGEST_OF_MANY
    embedded = [[_embedded(folder, path, largest) for path in paths] for _, _, paths in rows]

    def beside(row: int, column: int, down: int, right: int) -> str:
        """Return the next picture in a direction, passing over gaps; nothing at the edge."""
        row, column = row + down, column + right
        while 0 <= row < len(rows) and 0 <= column < len(images):
            if embedded[row][column]:
                return f"picture-{row}-{column}"
            row, column = row + down, column + right
        return ""

    return [
        PictureRow(
            name,
            kind,
            [
                ShownPicture(
                    id=f"picture-{row}-{column}",
                    picture=embedded[row][column],
                    description=f"{name}: {image.id}",
                    up=beside(row, column, -1, 0),
                    down=beside(row, column, 1, 0),
                    left=beside(row, column, 0, -1),
                    right=beside(row, column, 0, 1),
                )
                for column, image in enumerate(images)
            ],
        )
        for row, (name, kind, _) in enumerate(rows)
    ]


def _embedded(folder: Path, path: str | None, largest: int) -> Picture | None:
    if path is None or not (folder / path).is_file():
        return None
    return Picture.of_file(folder / path, largest=largest)
