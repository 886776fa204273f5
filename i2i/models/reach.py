"""How far a network looks: measured on the network as it is, not told from its layers.

What is done to one row of an input shows in the answer as far as the network reaches. The row is first
filled with NaN, which passes through everything that computes with it, whatever the weights are; then with
other numbers, for a network that lets no NaN through. Inputs are long and narrow, so that this stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from i2i.errors import ran_out_of_memory
from i2i.images.resizing import next_multiple
from i2i.seeds import seeded

NARROW, SHORT = 64, 256
"""Pixels that inputs are wide, and long at least; or the next multiples of what the network takes."""

CHANGED = 1e-6
"""How much an answer in [-1,1] must change to show that a row is seen."""

ALIKE = 1e-4
"""How far answers in [-1,1] to equal surroundings may be apart, for a network not to mind where they are."""


@dataclass(frozen=True)
class Reach:
    """How far a network looks.

    `pixels` is how far from a pixel its answer depends on the input, at most; None where that is further than
    was looked for, as it is where a part of the network looks at the whole picture. `moves` says that a
    picture moved by a multiple of what the network takes has the same answer, moved alike, dropout apart.
    `draws` says that another seed gives another answer.
    """

    pixels: int | None
    moves: bool
    draws: bool


@torch.inference_mode()
def measured_reach(module: nn.Module, *, channels: int, device: str, far: int) -> Reach:
    """Measure how far a network looks up and down and to both sides, up to `far` pixels.

    It is in the mode that it translates in, and its inputs have so many `channels`. Torch's random numbers
    are left as they were.
    """
    probe = Probe(module, channels, device)
    with torch.autocast(torch.device(device).type, enabled=False):
        image = probe.image(probe.length(SHORT))
        draws = not torch.equal(probe.answer(image), probe.answer(image, seed=1))
        pixels = 0
        for across in (False, True):
            found = _one_way(probe, far, across=across)
            if found is None:
                return Reach(None, moves=False, draws=draws)
            pixels = max(pixels, found)
        with _without_dropout(module):
            return Reach(pixels, _moves(probe, pixels), draws)


class Probe:
    """A network that is shown narrow inputs, each time with the same random numbers."""

    def __init__(self, module: nn.Module, channels: int, device: str) -> None:
        self._module, self._channels, self._device = module, channels, device
        self.multiple = int(getattr(module, "size_multiple", 1))
        self._narrow = self.length(NARROW)

    def length(self, least: int) -> int:
        """Return the next length from `least` on that the network takes."""
        return next_multiple(least, self.multiple)

    def image(self, length: int) -> Tensor:
        """Return an input (1,C,L,W) in [-1,1]."""
        rng = torch.Generator().manual_seed(0)
        return torch.rand((1, self._channels, length, self._narrow), generator=rng) * 2 - 1

    def answer(self, image: Tensor, *, across: bool = False, seed: int = 0) -> Tensor:
        """Return the answer to an input, which is shown lying on its side where that is to be `across`."""
        with seeded(seed, "reach"):
            shown = (image.mT if across else image).contiguous()
            answer: Tensor = self._module(shown.to(self._device)).float().cpu()
        return answer.mT if across else answer

    def answer_to_nan(self, image: Tensor, *, across: bool) -> Tensor | None:
        """Return the answer to an input with NaN in it, or nothing from a network that refuses that."""
        try:
            return self.answer(image, across=across)
        except Exception as error:  # it may say so in any words, and other numbers show its reach too
            if isinstance(error, RuntimeError) and ran_out_of_memory(error):
                raise
            return None


def _one_way(probe: Probe, far: int, *, across: bool) -> int | None:
    """Return how far a network looks along one side; None where that is further than `far`."""
    length = probe.length(max(SHORT, 2 * (far + probe.multiple)))
    first = length // 2 // probe.multiple * probe.multiple
    rows = sorted({first, first + probe.multiple // 2, first + probe.multiple - 1})
    image = probe.image(length)
    reach, hidden = 0, list[int]()
    for row in rows:
        answer = probe.answer_to_nan(_with(image, row, torch.tensor(torch.nan)), across=across)
        seen = None if answer is None else _how_far(row, answer.isnan())
        if seen is None:
            hidden.append(row)
        else:
            reach = max(reach, seen)
        if reach > far:
            return None
    before = probe.answer(image, across=across)
    for row in hidden or rows[-1:]:
        answer = probe.answer(_with(image, row, 1 - 3 * image[:, :, row]), across=across)
        reach = max(reach, _how_far(row, (answer - before).abs() > CHANGED) or 0)
    return None if reach > far else reach


def _with(image: Tensor, row: int, values: Tensor) -> Tensor:
    """Return an input with other values in one row."""
    changed = image.clone()
    changed[:, :, row] = values
    return changed


def _how_far(row: int, marked: Tensor) -> int | None:
    """Return how far from a row answers (1,C,L,W) have marks, at most; None where they have none."""
    rows = marked.any(dim=3).any(dim=1)[0].nonzero()
    return max(row - int(rows[0]), int(rows[-1]) - row) if len(rows) else None


def _moves(probe: Probe, reach: int) -> bool:
    """Whether a part of an input has that part of its answer, but for what lies within reach of the ends."""
    shift = probe.multiple
    length = probe.length(2 * reach + shift + SHORT)
    image = probe.image(length)
    for across in (False, True):
        whole = probe.answer(image, across=across)[:, :, shift + reach : length - reach]
        part = probe.answer(image[:, :, shift:], across=across)[:, :, reach : length - shift - reach]
        if not bool((whole - part).abs().max() <= ALIKE):
            return False
    return True


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    parts = [part for part in module.modules() if isinstance(part, _DropoutNd) and part.training]
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for part in parts:
            part.train()
