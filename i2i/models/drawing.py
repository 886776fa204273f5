"""The answers of a trained model to pictures, several at once: each as it is where that picture is alone.

Several at once are quicker, and arithmetic in half the bits is quicker still on some machines. Both are tried
on pictures that are to be translated anyway, and taken where they change no more than they may.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from i2i.errors import RecipeError, ran_out_of_memory
from i2i.images import quantise
from i2i.models.noise import OwnNoise
from i2i.models.sizing import Size
from i2i.models.tiles import Layout, Rows
from i2i.models.translate import Model, translate_at
from i2i.records import ImageSpec
from i2i.seeds import seed_for, seeded
from i2i.system.device import resolve

Precision = Literal["auto", "fp32", "bf16"]
"""How a model computes: in float32, in bfloat16 wherever torch's autocast takes that, or as it turns out."""

MOST_LEVELS = 2
"""How many levels of 8 bits an answer in bfloat16 may be away from the one in float32, to be chosen."""

GAIN = 1.25
"""How much faster bfloat16 has to be, to be chosen."""

PAYS_FROM, PAYS_TIMES = 8, 4
"""From how many pictures on it may pay to find that out, and how often as many as are drawn at once."""

ROUNDING = 2 / 255
"""How far an answer in [-1,1] may move by the company of other pictures: one level of 8 bits."""


@dataclass(frozen=True)
class Sources:
    """Pictures (B,C,H,W) in [-1,1] to be translated at one `size`, with the names of their files."""

    images: Tensor
    size: Size
    names: Sequence[str]

    def part(self, first: int, end: int) -> Sources:
        """Return some of them."""
        return Sources(self.images[first:end], self.size, self.names[first:end])


class Drawer:
    """Draws answers to pictures; dropout is drawn from `seed` and the name of a picture's file.

    Pictures that are given together go through the network together, unless its answer to one depends on the
    others, or it draws in another way than by dropout: then each goes by itself.

    With the `precision` "auto", float32 computes until bfloat16 has been tried on some pictures of many, and
    was faster and nearly the same. It is never tried where answers have more than 8 bits or are classes.
    """

    def __init__(self, model: Model, *, seed: int, precision: Precision = "fp32") -> None:
        self._model, self._seed = model, seed
        self._halved = precision == "bf16"
        self._undecided = precision == "auto" and _may_be_halved(model)
        self._tried = False  # whether pictures may go together
        self._most: int | None = None  # pictures that may, or that memory has room for, once that is known
        self._seconds: float | None = None  # what the last pass took, on a CPU without what others took of it
        self.notes: list[str] = []
        """What to tell a person of the precision that was chosen, if anything."""

    @torch.inference_mode()
    def __call__(self, sources: Sources, *, samples: int = 1, left: int = 1) -> list[Tensor]:
        """Return `samples` answers (B,C,H,W) to the sources; `left` pictures are to come, these among them.

        Raises RecipeError for samples that are all equal.
        """
        pays = left >= max(PAYS_FROM, PAYS_TIMES * len(sources.names))
        if self._undecided and pays and self._seconds is not None:
            answers = self._decide(sources, samples)
        else:
            answers = self._drawn(sources, samples, halved=self._halved)
        if samples > 1 and any(map(torch.equal, answers[0], answers[1])):
            raise equal_samples(samples)
        return answers

    def bands(self, rows: Rows, layout: Layout, name: str, *, number: int = 0) -> Iterator[Tensor]:
        """Yield the sample `number` of the answer to a large picture in bands (C,h,W), from the top.

        `rows` returns any of its rows, (1,C,h,W). It is the answer that a call gives to the whole picture at
        its own size, where the model's tiling cuts it as `layout` says.
        """
        assert self._model.tiling is not None
        stream = ("translate", name, *([number] if number else []))
        with torch.inference_mode(), seeded(self._seed, *stream), self._precision(self._halved):
            for band in self._model.tiling.bands(rows, layout):
                yield band[0]

    def _decide(self, sources: Sources, samples: int) -> list[Tensor]:
        """Draw in both precisions, choose the one for all that follow, and return the answers in float32."""
        self._undecided = False
        exact = self._drawn(sources, samples, halved=False)
        seconds = self._seconds or 0.0
        try:
            halved = self._drawn(sources, samples, halved=True)
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise
            return exact  # torch has no bfloat16 for something in this network
        gain = seconds / (self._seconds or math.inf)
        target = self._model.spec.target
        levels = max(_levels_apart(*pair, target) for pair in zip(exact, halved, strict=True))
        if levels <= MOST_LEVELS and gain >= GAIN:
            self._halved = True
            tried = "a picture" if len(sources.names) == 1 else f"{len(sources.names)} pictures"
            self.notes.append(
                f"computed in bfloat16, {gain:.1f} times as fast here; on {tried} of these it was at most "
                f"{levels} of 255 levels away from float32, which --precision fp32 takes for all."
            )
        return exact

    def _drawn(self, sources: Sources, samples: int, *, halved: bool) -> list[Tensor]:
        """Draw the answers together, or in parts where that would change them or take too much memory."""
        count = len(sources.names)
        most = count if self._most is None else self._most
        if count > most:
            parts = (sources.part(first, first + most) for first in range(0, count, most))
            drawn = [self._drawn(part, samples, halved=halved) for part in parts]
            return [torch.cat(answers) for answers in zip(*drawn, strict=True)]
        try:
            if count > 1 and not self._tried:
                return self._drawn_first(sources, samples, halved=halved)
            return [self._pass(sources, number, halved=halved)[0] for number in range(samples)]
        except RuntimeError as error:
            if count == 1 or not ran_out_of_memory(error):
                raise
            self._most = count // 2
        return self._drawn(sources, samples, halved=halved)

    def _drawn_first(self, sources: Sources, samples: int, *, halved: bool) -> list[Tensor]:
        """Draw the first answers together, unless the one to a picture by itself shows that this is wrong."""
        alone, _ = self._pass(sources.part(0, 1), 0, halved=halved)
        together, others_drew = self._pass(sources, 0, halved=halved)
        self._tried = True
        rounding = ROUNDING * (MOST_LEVELS if halved else 1)
        if others_drew or not bool((together[:1] - alone).abs().max() <= rounding):
            self._most = 1
            return self._drawn(sources, samples, halved=halved)
        others = [self._pass(sources, number, halved=halved)[0] for number in range(1, samples)]
        return [together, *others]

    def _pass(self, sources: Sources, number: int, *, halved: bool) -> tuple[Tensor, bool]:
        """Return the sample `number` of each picture, and whether anything but dropout drew beside it."""
        clock = time.process_time if self._model.device == "cpu" else time.perf_counter
        began = clock()
        model, images, size = self._model, sources.images, sources.size
        streams = [("translate", name, *([number] if number else [])) for name in sources.names]
        seeds = [seed_for(self._seed, *stream) for stream in streams]
        with seeded(self._seed, *streams[0]), self._precision(halved):
            if len(seeds) == 1:
                answers, others_drew = translate_at(model, images, size), False
            else:
                with OwnNoise(seeds, model.device) as noise:
                    answers = translate_at(model, images, size)
                others_drew = noise.others_drew
        self._seconds = clock() - began
        return answers, others_drew

    def _precision(self, halved: bool) -> torch.autocast:
        return torch.autocast(torch.device(self._model.device).type, torch.bfloat16, enabled=halved)


def equal_samples(samples: int) -> RecipeError:
    """Return the error for samples of a model that draws nothing."""
    return RecipeError(
        f"this model draws nothing at random, so {samples} samples would be equal; "
        "leave --samples out, or turn on what draws: dropout by --dropout, a sampler by its test "
        "key, --test KEY=VALUE."
    )


def _may_be_halved(model: Model) -> bool:
    target = model.spec.target
    fine = target.depth != "uint8" or any(file.one_hot for file in target.files)
    return not fine and resolve(model.device, "auto").precision == "bf16"


def _levels_apart(one: Tensor, other: Tensor, spec: ImageSpec) -> int:
    apart = quantise(one, spec).int() - quantise(other, spec).int()
    return int(apart.abs().max()) if apart.numel() else 0
