"""What a run will cost, before it starts: measured on a session that has made its dry pass.

Time is the sum of what was timed (steps, batches, validations, saves); memory is the most that the dry pass
took and what the decoded pairs will add; disk is what the checkpoints take that are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from i2i.data.stream import held_out_batches
from i2i.data.views import Cached
from i2i.engine.session import Session
from i2i.engine.threads import Threads, choose
from i2i.errors import RecipeError
from i2i.pages.numbers import clock
from i2i.recipe.slots import TrainSettings
from i2i.records import Batch
from i2i.system.device import computing_with, peak_memory_mb

COST = "cost"
"""Where provenance.json keeps what was measured."""

SECONDS = 0.7
"""How long each thing is timed, at least; less in a run that is short itself."""

SHARE = 0.01
"""How much of a run its timing may take, for each thing that is timed."""

SHORT = 10.0
"""Seconds of a run that is over before another number of threads would pay."""

MOST_STEPS = 40
BATCHES = 12
"""Batches that timed steps take in turns."""


@dataclass(frozen=True)
class Cost:
    """What was measured of a run; times in seconds, on the device and with the threads that it will have.

    `epoch` are the steps of one; `step` is one optimizer step without its batches, `batch` what those take
    once their pairs were read before, `first_batch` when they are read for the first time; `validation` is
    one over the whole split, `copying` the scores of its inputs, made once; `save` is one checkpoint with the
    model.
    `memory_mb` is the peak (of the device on CUDA, else of the process), None where the system does not say.
    """

    epoch: float
    step: float
    batch: float
    first_batch: float
    validation: float
    copying: float
    save: float
    memory_mb: float | None
    state_bytes: int
    model_bytes: int

    def seconds(self, train: TrainSettings, *, steps: int, begun: int = 0) -> float:
        """Return how long the steps after `begun` up to `steps` take."""
        first = max(0.0, min(steps, self.epoch) - begun) * (self.first_batch - self.batch)
        validations = math.ceil(steps / train.eval_every) - math.ceil(begun / train.eval_every)
        saves = _saves(train, steps) - _saves(train, begun)
        return (
            (steps - begun) * (self.step + self.batch)
            + first
            + self.copying
            + validations * self.validation
            + saves * self.save
        )

    def steps_within(self, train: TrainSettings) -> int:
        """Return how many steps end within `train.minutes`. RecipeError where not one does."""
        assert train.minutes is not None
        limit = train.minutes * 60
        low, high = 0, max(1, math.ceil(limit / max(self.step + self.batch, 1e-9)))
        while low < high:  # the most steps of which the whole takes no longer
            middle = (low + high + 1) // 2
            if self.seconds(train, steps=middle) <= limit:
                low = middle
            else:
                high = middle - 1
        if low == 0:
            least = self.seconds(train, steps=1)
            raise RecipeError(
                f"train.minutes = {train.minutes:g} is too short for one step: with its validation and its "
                f"checkpoint that takes {least:,.1f} s ({least / 60:.2g} minutes) here."
            )
        return low

    def disk_bytes(self, train: TrainSettings, *, steps: int) -> int:
        """Return what the checkpoints and the model take at the end, and one more that is being written."""
        return disk_bytes(train, steps, state=self.state_bytes, model=self.model_bytes)

    def told(self, train: TrainSettings, *, steps: int, begun: int = 0) -> str:
        """Return in words what the steps after `begun` cost: time, memory, disk."""
        seconds = self.seconds(train, steps=steps, begun=begun)
        parts = [f"about {clock(seconds)}, {1000 * (self.step + self.batch):,.3g} ms a step"]
        if self.memory_mb is not None:
            parts.append(f"{self.memory_mb:,.0f} MB of memory")
        parts.append(f"{self.disk_bytes(train, steps=steps) / 2**20:,.0f} MB for checkpoints")
        return "; ".join(parts)

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def disk_bytes(train: TrainSettings, steps: int, *, state: int, model: int) -> int:
    """Return what the checkpoints of a `state` and the `model` take, and one more that is being written."""
    return state * min(train.keep + 1, _saves(train, steps)) + model


def _saves(train: TrainSettings, steps: int) -> int:
    """Return how many steps up to `steps` are saved: each `save_every`-th, each validated one, the last."""
    each, validated = train.save_every, train.eval_every
    found = steps // each + steps // validated - steps // math.lcm(each, validated)
    return found + bool(steps % each and steps % validated)


def cost_from(record: Mapping[str, Any] | None) -> Cost | None:
    """Return what `Cost.record` gave; None where an older i2i wrote down nothing."""
    try:
        return Cost(**record) if record else None
    except TypeError:
        return None


def measure(
    session: Session, *, minutes: float | None, save: float, state_bytes: int, model_bytes: int
) -> tuple[Cost, Threads]:
    """Time a session that has made its dry pass; return what it costs, and with how many threads.

    Fewer threads than the session has are tried on a CPU, unless its recipe names their number. The run is
    as long as the session's recipe says, or so many `minutes`.
    """
    recipe, most = session.recipe, session.runtime.threads
    steps = _Steps(session)
    seconds = steps.seconds_with(most, timed=0)
    whole = seconds * session.total_steps if minutes is None else 60 * minutes
    timed = min(SECONDS, SHARE * whole)
    first, batch = steps.take_batches(timed)
    if recipe.train.threads is None and session.runtime.device == "cpu" and whole > SHORT:
        threads = choose(most, lambda count: steps.seconds_with(count, timed=timed))
    else:
        seconds = steps.seconds_with(most, timed=timed)
        threads = Threads(most, seconds, most, seconds)
    workers = recipe.data.settings.workers
    with computing_with(threads.count):
        validation, copying = _validation(session, timed)
    cost = Cost(
        epoch=session.steps_per_epoch,
        step=threads.step_seconds,
        batch=_beside(batch, threads.step_seconds, workers),
        first_batch=_beside(first, threads.step_seconds, workers),
        validation=validation,
        copying=copying,
        save=save,
        memory_mb=peak_memory_mb(session.runtime.device),
        state_bytes=state_bytes,
        model_bytes=model_bytes,
    )
    if cost.memory_mb is not None and not _on_cuda(session):
        to_come = sum(data.bytes_to_come() for data in session.data.values() if isinstance(data, Cached))
        cost = replace(cost, memory_mb=cost.memory_mb + to_come / 2**20)
    return cost, threads


class _Steps:
    """Steps of a session over the same few batches, again and again."""

    def __init__(self, session: Session) -> None:
        self._session, self._made = session, 0
        self._batches = self._read(most=1, seconds=0)[1]

    def take_batches(self, seconds: float) -> tuple[float, float]:
        """Take some batches for the steps; return the seconds that one step's take, at first and later."""
        first, self._batches = self._read(most=BATCHES, seconds=seconds)
        later, _ = self._read(most=len(self._batches), seconds=math.inf)
        return max(first, later), later

    def seconds_with(self, threads: int, *, timed: float) -> float:
        """Return the seconds that a step takes with so many threads, from as many as are made in `timed`."""
        with computing_with(threads):
            self._step()  # the first one after a change makes the threads
            count, begun = 0, time.perf_counter()
            while True:
                self._step()
                count, taken = count + 1, time.perf_counter() - begun
                if taken >= timed or count == MOST_STEPS:
                    return taken / count

    def _step(self) -> None:
        if self._session.step >= self._session.total_steps:
            self._session.run.step = 0  # schedules know of no step beyond the last
        self._session.advance(self._batches[self._made % len(self._batches)])
        self._made += 1
        _wait_for_device(self._session)

    def _read(self, *, most: int, seconds: float) -> tuple[float, list[list[Batch]]]:
        """Return the seconds that the batches of a step take, and those of at most so many steps."""
        session = self._session
        stream = session.batches(last=(session.step + most) * session.accumulate, workers=0)
        found: list[list[Batch]] = []
        begun = time.perf_counter()
        while not found or (len(found) < most and time.perf_counter() - begun < seconds):
            found.append([next(stream) for _ in range(session.accumulate)])
        _wait_for_device(session)
        return (time.perf_counter() - begun) / len(found), found


def _beside(loading: float, step: float, workers: int) -> float:
    """Return what loading adds to a step, where so many processes load beside it."""
    return max(0.0, loading / workers - step) if workers else loading


def _validation(session: Session, seconds: float) -> tuple[float, float]:
    """Return the seconds of a validation and of scoring its inputs, zero for what there is none of.

    As many held-out pairs are scored as take so many `seconds`.
    """
    scorer = session.scorer.without(session.scorer.unprepared)
    if "val" not in session.data or not scorer.metrics:
        return 0.0, 0.0
    settings, pairs = session.recipe.data.settings, len(session.data["val"])
    timed = min(pairs, settings.batch_size)
    while True:
        begun = time.perf_counter()
        batches = list(held_out_batches(session.data["val"], settings, limit=timed, scale=session.scale))
        loaded = time.perf_counter() - begun
        with session.exported() as translate:
            scorer.score(translate, batches, trial=True)
        scored = time.perf_counter() - begun - loaded
        if scored + loaded >= seconds or timed == pairs:
            break
        timed = min(pairs, 4 * timed)
    begun = time.perf_counter()
    scorer.copy_input(batches, trial=True)
    copied = time.perf_counter() - begun
    return scored * pairs / timed, (loaded + copied) * pairs / timed


def _wait_for_device(session: Session) -> None:
    if _on_cuda(session):
        torch.cuda.synchronize(session.runtime.device)


def _on_cuda(session: Session) -> bool:
    return torch.device(session.runtime.device).type == "cuda"
