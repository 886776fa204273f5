"""A picture cut into tiles that overlap, and the answers to them laid back into one.

Where two tiles overlap, the one fades out as the other fades in, along a line; at every pixel the weights of
all tiles add up to one. A tile counts for nothing in its `margin`, next to an edge where it was cut: there a
network sees less than it would of the whole picture. Rows of tiles follow each other from the top, so that
neither the picture nor its answer need be in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from i2i.images.resizing import next_multiple

Rows = Callable[[int, int], Tensor]
"""Returns the rows of pictures from a first one to before another, (B,C,H,W) float32 in [-1,1]."""

Answer = Callable[[Tensor], Tensor]
"""Returns the answers to tiles (B,C,H,W), whose sides are multiples of the network's, on the CPU."""


MOST_ROWS = 64
"""Rows that a band of an answer has at most: who takes it may make several copies of it."""


@dataclass(frozen=True)
class Cut:
    """How pictures are cut, in pixels: the side of a tile, and what neighbours share at least.

    Tiles have sides that are multiples of `multiple`, and begin at multiples of `step`. At each end of an
    overlap there is a `margin` that does not count, so that twice that is at most the overlap.
    """

    side: int
    overlap: int
    margin: int
    multiple: int = 1
    step: int = 1

    @property
    def aligned(self) -> bool:
        """Whether tiles begin where a network of multiples begins anew in a whole picture, too."""
        return self.step % self.multiple == 0


@dataclass(frozen=True)
class Windows:
    """Where tiles lie along one side of a picture of `size` pixels: all have the same `length`."""

    size: int
    length: int
    starts: tuple[int, ...]
    margin: int

    @classmethod
    def over(cls, size: int, cut: Cut) -> Windows:
        """Return the fewest windows that cover a side, spread evenly; one alone is as long as the side.

        Together they are as long as the next multiple of what the network needs.
        """
        whole = next_multiple(size, cut.multiple)
        if whole <= cut.side:
            return cls(size, whole, (0,), cut.margin)
        count = -(-(whole - cut.overlap) // (cut.side - cut.overlap))
        steps = (whole - cut.side) // cut.step
        starts = tuple(cut.step * (number * steps // (count - 1)) for number in range(count))
        return cls(size, cut.side, starts, cut.margin)

    def kept(self, number: int) -> tuple[int, int]:
        """Return the first pixel at which a window counts, and the first after it at which it does not."""
        first = self.starts[number] + self.margin if number else 0
        last = number == len(self.starts) - 1
        return first, self.size if last else self.starts[number] + self.length - self.margin

    def weights(self, number: int) -> Tensor:
        """Return how much a window counts at each of the pixels that it keeps."""
        first, end = self.kept(number)
        places = torch.arange(first, end, dtype=torch.float32) + 0.5
        return self._risen(number, places) - self._risen(number + 1, places)

    def _risen(self, number: int, places: Tensor) -> Tensor:
        """Return how far the change from the window before to this one has come at each place, 0 to 1."""
        if number == 0:
            return torch.ones_like(places)
        if number == len(self.starts):
            return torch.zeros_like(places)
        begins = self.starts[number] + self.margin
        ends = self.starts[number - 1] + self.length - self.margin
        if begins == ends:
            return (places > begins).float()
        return ((places - begins) / (ends - begins)).clamp(0, 1)


@dataclass(frozen=True)
class Layout:
    """The tiles of a picture, which `mirrors` continues by its mirror image where they reach beyond it."""

    down: Windows
    across: Windows
    mirrors: bool

    @classmethod
    def over(cls, size: tuple[int, int], cut: Cut) -> Layout:
        """Return the tiles of a picture of this height and width."""
        down, across = (Windows.over(side, cut) for side in size)
        mirrors = all(next_multiple(side, cut.multiple) - side < side for side in size)
        return cls(down, across, mirrors)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.down.starts) * len(self.across.starts)

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of each tile."""
        return self.down.length, self.across.length


def blended(rows: Rows, answer: Answer, layout: Layout) -> Iterator[Tensor]:
    """Yield the answer to pictures in bands (B,C,h,W), which lie below each other, from the top.

    Each row of tiles reads its rows once; a network that takes multiples is given what `images.resizing.
    padded` would give it of the whole picture.
    """
    down, across = layout.down, layout.across
    lines, columns = (_continued(windows, mirrors=layout.mirrors) for windows in (down, across))
    waiting: Tensor | None = None
    for number, top in enumerate(down.starts):
        strip = _strip(rows, lines[top : top + down.length], columns, width=across.size)
        first, end = down.kept(number)
        band: Tensor | None = None
        for place, left in enumerate(across.starts):
            begin, stop = across.kept(place)
            tile = answer(strip[..., left : left + across.length])[..., first - top : end - top, :]
            if band is None:
                band = tile.new_zeros(*tile.shape[:-1], across.size)
            band[..., begin:stop] += tile[..., begin - left : stop - left] * across.weights(place)
        assert band is not None
        band *= down.weights(number)[:, None]
        if waiting is not None:
            band[..., : waiting.shape[-2], :] += waiting
        last = number == len(down.starts) - 1
        done = (down.size if last else down.kept(number + 1)[0]) - first
        yield from torch.split(band[..., :done, :], MOST_ROWS, dim=-2)
        waiting = band[..., done:, :].clone()


def _strip(rows: Rows, lines: Tensor, columns: Tensor, *, width: int) -> Tensor:
    """Return what a row of tiles sees: those lines and columns of the pictures, some of them mirrored."""
    least, most = int(lines.min()), int(lines.max())
    strip = rows(least, most + 1)
    if len(lines) != strip.shape[-2] or int(lines[-1]) != most:
        strip = strip.index_select(-2, lines - least)
    return strip if len(columns) == width else strip.index_select(-1, columns)


def _continued(windows: Windows, *, mirrors: bool) -> Tensor:
    """Return which pixel of a picture's side stands at each place of all windows together."""
    size, whole = windows.size, windows.starts[-1] + windows.length
    beyond = torch.arange(size, whole)
    mirrored = 2 * (size - 1) - beyond if mirrors else torch.full_like(beyond, size - 1)
    return torch.cat([torch.arange(size), mirrored])
