"""Which pictures go through a network in tiles, how they are cut, and what that changes.

A picture is cut where its answer would take more memory than `MOST_BYTES`, or where a person asks for tiles.
How much neighbours share follows from how far the network looks. Where tiles cannot be what the whole picture
is, it is measured on a part of the picture how far they are from it, and said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from i2i import testtime
from i2i.errors import RecipeError, ran_out_of_memory
from i2i.images.resizing import next_multiple, padded
from i2i.models.footprint import bytes_per_pixel
from i2i.models.reach import Reach, measured_reach
from i2i.models.sizing import Size
from i2i.models.tiles import Cut, Layout, Rows, blended
from i2i.records import ImageSpec, PairSpec, TestSettings
from i2i.seeds import seeded

MOST_BYTES = 2**30
"""Bytes that a network may take to answer a picture as a whole.

Tiles that are chosen here take a quarter of that, the part by which they are compared with the whole a half.
It is the same on every machine, so that the answer to a picture is, too.
"""

SMALL = 512 * 512
"""Pixels of a picture that is never cut unless somebody asks for it."""

LONGEST = 768
"""Pixels that a tile's side has at most, unless somebody asks for more: rows of tiles are held as well."""

FADED = 16
"""Pixels in which one tile fades into the next, where what a network looks at leaves room for that."""

WHOLE = 0
"""What is asked for where no picture is to be cut."""


def asked_tile(text: str) -> int | None:
    """Return what the text of an option asks for: "auto", "none" or pixels; RecipeError for anything else."""
    if text == "auto":
        return None
    if text == "none":
        return WHOLE
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise RecipeError(f"'{text}' is no side of a tile: give pixels like 512, none, or auto.")
    return int(text)


@dataclass(frozen=True)
class Apart:
    """How far tiles were from the whole, on `height` x `width` pixels of a picture.

    In levels of 255; of a map of classes `mean` is the share of pixels of another class.
    """

    height: int
    width: int
    most: float
    mean: float


@dataclass
class Tiling:
    """Cuts pictures into tiles for a network, and remembers what a person should be told.

    `module` answers; it is in the mode that it translates in. `asked` is the side of a tile in pixels,
    `WHOLE`, or None for what `MOST_BYTES` ask for; `overlap` is None for what the network's reach asks for.
    What the network takes and how far it looks is measured once, when the first picture needs it; on
    `network`, where `module` calls that several times.

    Raises RecipeError for tiles that the network cannot take.
    """

    module: nn.Module
    spec: PairSpec
    device: str = "cpu"
    asked: int | None = None
    overlap: int | None = None
    network: nn.Module | None = None
    pictures: int = field(default=0, init=False)
    apart: Apart | None = field(default=None, init=False)
    _compared: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.asked == WHOLE and self.overlap is not None:
            raise RecipeError(
                "no picture is to be cut, so no tiles overlap: leave out one of the two options."
            )
        if self.asked and self.asked < self.multiple:
            raise RecipeError(
                f"tiles of {self.asked} px are too small: this network takes multiples of {self.multiple} px."
            )
        if self.asked:
            self._check(self.overlap or 0)

    @property
    def multiple(self) -> int:
        """What the sides of tiles have to be multiples of."""
        return int(getattr(self.module, "size_multiple", 1))

    @cached_property
    def bytes_per_pixel(self) -> float | None:
        """How many bytes the network takes for each pixel, as `footprint` measures that.

        None for a network that takes pictures of its own size alone, and none that are measured with: it is
        not cut for unless somebody asks for tiles.
        """
        try:
            return bytes_per_pixel(self._network, channels=self.spec.source.channels, device=self.device)
        except Exception as error:  # it may refuse a size in any words
            if isinstance(error, RuntimeError) and ran_out_of_memory(error):
                raise
            return None

    @cached_property
    def side(self) -> int:
        """The side of a tile, in pixels: as asked for, or as large as memory allows."""
        if self.asked:
            return next_multiple(self.asked, self.multiple)
        most = min(LONGEST, math.isqrt(int(MOST_BYTES / 4 / max(self.bytes_per_pixel or 1, 1))))
        return max(1, most // self.multiple) * self.multiple

    @cached_property
    def reach(self) -> Reach:
        """How far the network looks, up to half a tile."""
        return self._measured()

    @cached_property
    def cut(self) -> Cut:
        """How pictures are cut: so that no tile misses what its network looks at, where that can be."""
        reach, multiple = self.reach, self.multiple
        if reach.pixels is not None and reach.moves:
            needed = 2 * reach.pixels
            wanted = (needed + FADED, needed) if self.overlap is None else (self.overlap,)
            room = self.side // 2 if self.overlap is None else self.side - 1
            for overlap in (next_multiple(pixels, multiple) for pixels in wanted if pixels >= needed):
                if overlap <= room:
                    return Cut(self.side, overlap, reach.pixels, multiple, step=multiple)
        overlap = self.side // 4 if self.overlap is None else self.overlap
        self._check(overlap)
        if (
            next_multiple(overlap, multiple) < self.side
        ):  # even so, a network sees things where it would in the whole
            return Cut(self.side, next_multiple(overlap, multiple), overlap // 4, multiple, step=multiple)
        return Cut(self.side, overlap, overlap // 4, multiple, step=math.gcd(multiple, self.side - overlap))

    @property
    def covered(self) -> bool:
        """Whether each tile has all around it that its network looks at."""
        reach, cut = self.reach, self.cut
        return reach.moves and reach.pixels is not None and cut.margin >= reach.pixels and cut.aligned

    def begin(self) -> None:
        """Forget which pictures there were: notes are about those that follow."""
        self.pictures = 0

    def may_cut(self, size: Size) -> bool:
        """Whether a picture of this height and width may have to be cut, as far as no measure tells."""
        if self.asked is None:
            return size[0] * size[1] > SMALL
        return self.asked != WHOLE and max(size) > self.side

    def layout(self, size: Size) -> Layout | None:
        """Return the tiles that a picture of this height and width is cut into; None where it stays whole."""
        if not self.may_cut(size):
            return None
        if self.asked is None:
            taken = self.bytes_per_pixel
            if taken is None or size[0] * size[1] * taken <= MOST_BYTES:
                return None
        layout = Layout.over(size, self.cut) if max(size) > self.side else None
        return layout if layout is not None and layout.count > 1 else None

    def bands(self, rows: Rows, layout: Layout) -> Iterator[Tensor]:
        """Yield the answer to pictures in bands (B,C,h,W), from the top; `rows` returns any of their rows.

        Of the first pictures that tiles cannot be the whole of, a part is translated in both ways before.
        """
        if not self._compared and (self.reach.draws or not self.covered):
            self._compared = True
            self.apart = self._on_a_part(rows, layout)
        self.pictures += 1
        yield from blended(rows, self.answer, layout)

    @torch.no_grad()
    def answer(self, tiles: Tensor) -> Tensor:
        """Return the network's answers to tiles (B,C,H,W), on the CPU in float32."""
        answers: Tensor = self.module(tiles.to(self.device)).float().cpu()
        return answers

    def notes(self) -> list[str]:
        """Return what to tell a person once, when all pictures are done."""
        if not self.pictures:
            if not self.asked:
                return []
            none = (
                f"no picture was cut: none was larger than a tile of {self.side} px where it was translated."
            )
            return [none]
        many = "1 picture was" if self.pictures == 1 else f"{self.pictures:,} pictures were"
        first = (
            f"{many} translated in tiles of {self.side} px that overlap by {self.cut.overlap}; "
            f"{self._why()}{self._how_far()}."
        )
        return [first, *self._cure()]

    @property
    def _network(self) -> nn.Module:
        return self.module if self.network is None else self.network

    def _check(self, overlap: int) -> None:
        if overlap >= self.side:
            raise RecipeError(
                f"tiles of {self.side} px cannot overlap by {overlap}: give an overlap that is less."
            )

    def _measured(self) -> Reach:
        channels, far = self.spec.source.channels, self.side // 2
        return measured_reach(self._network, channels=channels, device=self.device, far=far)

    def _on_a_part(self, rows: Rows, layout: Layout) -> Apart | None:
        """Return how far tiles in the middle are from one; None where one would take too much memory.

        They are two along a side that is cut, and two along the other as far as there is memory for that.
        """
        windows = (layout.down, layout.across)
        long, short = sorted(range(2), key=lambda side: len(windows[side].starts) == 1)
        extent = [min(window.size, 2 * self.side - self.cut.overlap) for window in windows]
        room = (
            int(MOST_BYTES / 2 / (self.bytes_per_pixel or 1) / extent[long]) // self.multiple * self.multiple
        )
        extent[short] = min(extent[short], room)
        if not extent[short]:
            return None
        height, width = extent
        top, left = (
            (window.size - pixels) // 2 // self.multiple * self.multiple
            for window, pixels in zip(windows, extent, strict=True)
        )
        part = rows(top, top + height)[:1, ..., left : left + width]
        with seeded(0, "part"):
            whole = self.answer(padded(part, self.multiple))[..., :height, :width]
        with seeded(0, "part"):
            cut = Layout.over((height, width), self.cut)
            tiled = torch.cat(
                list(blended(lambda first, end: part[..., first:end, :], self.answer, cut)), dim=-2
            )
        return _apart(whole, tiled, self.spec.target)

    def _why(self) -> str:
        """Say what makes tiles the whole picture, or something else."""
        reach, reasons = self.reach, list[str]()
        if self._own_statistics:
            reasons.append("its norms take each tile's own statistics")
        elif reach.pixels is None:
            reasons.append(f"its network looks further than {self.side // 2} px, or at the whole picture")
        elif not reach.moves and not reach.draws:
            reasons.append("its network answers by where in a picture something is")
        elif not self.covered:
            reasons.append(f"its network looks {reach.pixels} px far, for which they overlap too little")
        if reach.draws:
            reasons.append("what its network draws at random it draws for each tile")
        if not reasons:
            return f"its network looks {reach.pixels} px far, so that answers are those to whole pictures"
        return ", and ".join(reasons)

    def _how_far(self) -> str:
        """Say how far tiles were from the whole."""
        if self.apart is None:
            return (
                "" if self.covered and not self.reach.draws else ", and no part was small enough to compare"
            )
        apart, labels = self.apart, self.spec.target.one_hot
        told = f": on a part of {apart.height}x{apart.width} px they were "
        if labels:
            return f"{told}of another class than the whole at {apart.mean:.2%} of the pixels"
        return f"{told}at most {apart.most:.0f} and on average {apart.mean:.2f} of 255 levels from the whole"

    def _cure(self) -> list[str]:
        """Say what would make tiles the whole picture, if anything."""
        parts = list(self._network.modules())
        dropout = any(isinstance(part, _DropoutNd) and part.training for part in parts)
        told = ["--no-dropout draws nothing in tiles."] if dropout else []
        if self._own_statistics:
            with testtime.applied(self._network, TestSettings(dropout=dropout, norm="running")):
                fixed = self._measured()
            looks = f"further than {self.side // 2} px" if fixed.pixels is None else f"{fixed.pixels} px far"
            told.append(
                f"`i2i calibrate` makes a model with fixed statistics; its network looks {looks}"
                + ("." if fixed.pixels is None else f", for which {self._enough(fixed.pixels)} is enough.")
            )
        elif self.reach.pixels is not None and self.reach.moves and not self.covered:
            told.append(f"{self._enough(self.reach.pixels)} is enough for that.")
        return told

    @property
    def _own_statistics(self) -> bool:
        return any(isinstance(part, testtime.OwnStatistics) for part in self._network.modules())

    def _enough(self, pixels: int) -> str:
        """Return the options by which tiles have all around them that a network looks at that far."""
        overlap = next_multiple(2 * pixels, self.multiple)
        side = "" if overlap < self.side else f"--tile {next_multiple(2 * overlap, self.multiple)} "
        return f"{side}--overlap {overlap}"


def _apart(whole: Tensor, tiled: Tensor, spec: ImageSpec) -> Apart:
    height, width = whole.shape[-2:]
    if spec.one_hot:
        others = (whole.argmax(dim=1) != tiled.argmax(dim=1)).float()
        return Apart(height, width, float(others.max()), float(others.mean()))
    levels = (whole.clamp(-1, 1) - tiled.clamp(-1, 1)).abs() * 127.5
    return Apart(height, width, float(levels.max()), float(levels.mean()))
