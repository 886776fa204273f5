"""How many images a second train, and in how much memory, beside a loop that is written by hand.

Both take the same batches, which lie on the device: what is compared is a step, and not how data are read.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from parts import METRICS, Settings
from plain_loop import Networks, PlainLoop, Variant
from rows import Row, measured
from turns import Step, Turns, cycled, stretch

from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.errors import ran_out_of_memory
from i2i.records import Batch
from i2i.system.device import Precision, Runtime

PART = "images/s"
BATCHES = (1, 8, 32)
ROUNDS = 5
MODES: dict[str, tuple[Precision, bool]] = {
    "fp32": ("fp32", False),
    "fp32, channels last": ("fp32", True),
    "bf16": ("bf16", False),
    "bf16, channels last": ("bf16", True),
}
"""The engine's precision, and whether images are laid out channels last."""

LOOPS: tuple[Variant, ...] = ("plain", "tuned")
SHARE, LONGEST = 0.6, 1.5
"""Which part of a batch size's time goes into stretches; the rest is for warming up. Seconds of a stretch."""


@dataclass(frozen=True)
class Contender:
    """Something that trains, warm, and the most memory that it alone took, in MB; None on a CPU."""

    step: Step
    peak_mb: float | None


def of_speed(settings: Settings) -> Iterator[Row]:
    """Each batch size: the engine in each mode beside both loops, in turns."""
    until = time.monotonic() + settings.seconds
    for number, size in enumerate(BATCHES):
        left = (until - time.monotonic()) / (len(BATCHES) - number)
        try:
            yield from _of_batch(size, settings, seconds=left)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            yield Row(PART, f"batch {size}", "-", "-", "left out: this card's memory does not hold it")
        gc.collect()  # the contenders, before the next ones come


def _of_batch(size: int, settings: Settings, *, seconds: float) -> Iterator[Row]:
    recipe = settings.recipe({"data.batch_size": size}, unset=METRICS)
    data = open_splits(recipe)

    def session(precision: Precision, channels_last: bool) -> Session:
        runtime = Runtime(settings.device, precision, channels_last, torch.get_num_threads())
        return Session(recipe, data=data, runtime=runtime, provenance={})

    batches = list(session("fp32", False).batches(last=2))
    makers: dict[str, Callable[[], Step]] = {
        name: lambda mode=mode: engine(session(*mode), batches) for name, mode in MODES.items()
    }
    makers |= {name: lambda variant=name: loop(settings, variant, batches) for name in LOOPS}
    contenders = {name: _warm(make, settings.device) for name, make in makers.items()}
    each = 0.02 if settings.smoke else min(LONGEST, SHARE * seconds / len(contenders) / ROUNDS)
    steps = {name: stretch(c.step, seconds=each, device=settings.device) for name, c in contenders.items()}
    turns = Turns({name: c.step for name, c in contenders.items()}, device=settings.device, steps=steps)
    for _ in range(1 if settings.smoke else ROUNDS):
        turns.round()
    speeds = {name: size / taken for name, taken in turns.medians().items()}
    for name, contender in contenders.items():
        peak = "-" if contender.peak_mb is None else f"{contender.peak_mb:,.0f} MB"
        told = f"{speeds[name]:.1f} images/s, peak {peak}"
        if name in LOOPS:
            yield measured(PART, f"batch {size}, {name} loop", told)
        else:
            ratios = ", ".join(f"{speeds[name] / speeds[other]:.2f} x {other}" for other in LOOPS)
            yield measured(PART, f"batch {size}, engine, {name}", f"{told}; {ratios}")


def engine(session: Session, batches: Sequence[Batch]) -> Step:
    """Return a step of i2i's engine."""
    placed = [([batch.moved(session.runtime.place)],) for batch in batches]
    return cycled(session.advance, placed)


def loop(settings: Settings, variant: Variant, batches: Sequence[Batch]) -> Step:
    """Return a step of the loop that is written by hand."""
    made = PlainLoop(Networks(settings.depth, settings.width), variant=variant, device=settings.device)
    placed = [(made.place(batch.source), made.place(batch.target)) for batch in batches]
    return cycled(made.step, placed)


def _warm(make: Callable[[], Step], device: str) -> Contender:
    """Build a contender and let it do what it does only once; measure its memory, less what was there."""
    on_card = torch.device(device).type == "cuda"
    gc.collect()  # what is freed later would pass for less of this one
    if on_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if on_card else 0
    step = make()
    for _ in range(3):
        step()
    return Contender(step, (torch.cuda.max_memory_allocated(device) - before) / 2**20 if on_card else None)
