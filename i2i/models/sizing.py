"""The scale that pictures are translated at: that of the training, unless told otherwise.

A network knows lines of some width and figures of some size. A model that was trained on pictures brought to
64 x 64 pixels colours a drawing of 64 pixels well, and stains the same drawing at 512. So where training
brought pictures to a size, they are brought to it here too, and the answer back to the picture's own size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from i2i.errors import RecipeError
from i2i.kinds import ImageSpec, Scale
from i2i.records import Pictures

Size = tuple[int, int]
"""Height and width, in pixels."""

Asked = Literal["native"] | int | Size
"""What a person may ask for: pictures as they are, the pixels of the shorter side, or height and width."""

LONGEST = 4
"""How many times the training's side the longer side may have, of a picture of very odd proportions."""

FAR = 2.0
"""How many times larger or smaller a picture is than those of the training when it is far from them."""

NAMED = 3
"""Pictures that are named before the others are only counted."""


def asked_size(text: str) -> Asked:
    """Return what the text of an option asks for: "native", "N" or "HxW"; RecipeError for anything else."""
    if text == "native":
        return "native"
    found = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text, re.ASCII)
    if not found:
        raise RecipeError(
            f"'{text}' is no size: give native, the pixels of the shorter side like 256, or height and width "
            "like 256x384."
        )
    return (int(found[1]), int(found[2])) if found[2] else int(found[1])


@dataclass
class Sizing:
    """Decides at which size each picture is translated, and remembers what a person should be told.

    `source` is what the model's sources were like, `scale` and `pictures` what its file says of the training;
    `asked` is what the person wants instead.
    """

    source: ImageSpec
    scale: Scale | None = None
    pictures: Pictures | None = None
    asked: Asked | None = None
    brought: int = 0
    far: list[str] = field(default_factory=list)

    def size(self, own: Size, name: str) -> Size:
        """Return the size that a picture called `name`, of the size `own`, is translated at."""
        size = self.wanted(own)
        if self._as_they_are and not self._near(own):
            self.far.append(name)
        self.brought += size != own
        return size

    def wanted(self, own: Size) -> Size:
        """Return the size that a picture of the size `own` is translated at, and remember nothing."""
        if self._as_they_are:
            return own
        if self.asked is None:
            return self._of_training(own)
        if isinstance(self.asked, int):
            return _scaled(own, self.asked / min(own))
        assert self.asked != "native"
        return self.asked

    @property
    def _as_they_are(self) -> bool:
        return self.asked == "native" or (self.asked is None and self.scale != "shrunk")

    def notes(self) -> list[str]:
        """Return what to tell a person once, when all pictures are done."""
        notes = []
        if self.brought and self.asked is None:
            notes.append(
                f"{_counted(self.brought)} brought to the scale of the training, {_by(self.source.size)}, "
                "and the answers back to their own size; --size native takes pictures as they are."
            )
        if self.far:
            first = ", ".join(self.far[:NAMED]) + (", …" if len(self.far) > NAMED else "")
            height, width = self._known()
            notes.append(
                f"{_counted(len(self.far))} far from the scale of the training, {height}x{width}, and not "
                f"brought to it: {first}; --size {min(height, width)} does that."
            )
        return notes

    def _of_training(self, own: Size) -> Size:
        """Return the size that training would have brought a picture to.

        Where it squashed pictures, or nobody knows, that is the size of the data. Where it kept their
        proportions these are kept, and the shorter side is as in training, unless the longer one got more
        than `LONGEST` times as long.
        """
        wanted = self.source.size
        if self.pictures is None or self.pictures.squashed:
            return wanted
        factors = [new / old for new, old in zip(wanted, own, strict=True)]
        return _scaled(own, min(max(factors), LONGEST * min(factors)))

    def _known(self) -> Size:
        """Return the size of the pictures that the model knows."""
        if self.scale == "own" and self.pictures is not None:
            return self.pictures.height, self.pictures.width
        return self.source.size

    def _near(self, own: Size) -> bool:
        height, width = self._known()
        ratio = math.sqrt(own[0] * own[1] / (height * width))
        return 1 / FAR <= ratio <= FAR


def _scaled(own: Size, factor: float) -> Size:
    return max(1, round(own[0] * factor)), max(1, round(own[1] * factor))


def _counted(count: int) -> str:
    return f"{count:,} pictures are" if count > 1 else "1 picture is"


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
