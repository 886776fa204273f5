"""Where the time of a training step goes: each part timed by the clock, and a trace of torch's own profiler.

A session is timed that trains nothing which stays. On a GPU each part waits for the device, so the parts are
true and their sum is more than an undisturbed step takes; that one is timed too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from i2i.building.earlier_training import start_from
from i2i.context import Objective, Run
from i2i.data.opening import open_splits
from i2i.engine.observer import Observer, Silent
from i2i.engine.session import Session
from i2i.engine.surroundings import under
from i2i.errors import ResourceError
from i2i.recipe.recipe import Recipe
from i2i.system.device import resolve

WARM_UP = 3
"""Steps before the first that is timed: they make threads, kernels and buffers."""

TRACED = 5
"""The most steps of a trace: it has a line for each operation."""


@dataclass(frozen=True)
class Profile:
    """Seconds a step: of each part, by its name, and of steps that nothing was timed in."""

    parts: Mapping[str, float]
    step_seconds: float
    steps: int
    trace: Path


def profile_steps(
    recipe: Recipe,
    steps: int,
    *,
    trace: Path,
    device: str = "auto",
    observer: Observer | None = None,
    init_from: str | Path | None = None,
) -> Profile:
    """Time so many steps of `recipe`, write a trace to `trace`, and return where the time goes.

    Raises what a run would, and ResourceError where the trace cannot be written.
    """
    observer = observer or Silent()
    runtime = resolve(device, recipe.train.precision, recipe.train.threads)
    clock = _Clock(on_cuda=torch.device(runtime.device).type == "cuda")
    with under(runtime, recipe):
        observer.stage(f"opening the data: {recipe.data.entry.ref}")
        data = open_splits(recipe, observer.note)
        if init_from is not None:
            recipe, notes = start_from(recipe, data["train"].spec, Path(init_from))
            for text in notes:
                observer.note(text)
        observer.stage("building the networks")
        session = Session(
            recipe, data=data, runtime=runtime, provenance={}, run=lambda **about: _TimedRun(clock, **about)
        )
        last = session.accumulate * (WARM_UP + 2 * steps + TRACED)
        batches = session.batches(last=last)
        observer.stage(f"timing {steps:,} steps, each of its parts, and {min(steps, TRACED)} for the trace")
        for _ in range(WARM_UP):
            _step(session, batches, _Clock(on_cuda=clock.on_cuda))
        begun = time.perf_counter()
        for _ in range(steps):
            session.advance([next(batches) for _ in range(session.accumulate)])
        clock.wait()
        whole = (time.perf_counter() - begun) / steps
        with _networks_timed(session, clock):
            clock.start()
            for _ in range(steps):
                _step(session, batches, clock)
        _write_trace(session, batches, min(steps, TRACED), trace)
    return Profile({name: seconds / steps for name, seconds in clock.parts()}, whole, steps, trace)


class _Clock:
    """Counts seconds for the innermost part that is being timed; parts may lie within others."""

    def __init__(self, *, on_cuda: bool) -> None:
        self.on_cuda = on_cuda
        self._seconds: dict[str, float] = {}
        self._inside: list[str] = []
        self.start()

    def start(self) -> None:
        """Forget what was counted."""
        self._seconds.clear()
        self._since = time.perf_counter()

    def wait(self) -> None:
        """Wait for the device, so that what it still computes is counted here."""
        if self.on_cuda:
            torch.cuda.synchronize()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done within for `name`."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """Begin to count for `name`, and not for what it lies within."""
        self._count()
        self._inside.append(name)

    def leave(self) -> None:
        """Go on to count for what the part lay within."""
        self._count()
        self._inside.pop()

    def parts(self) -> list[tuple[str, float]]:
        """Return the parts in the order in which they came, with their seconds."""
        return list(self._seconds.items())

    def _count(self) -> None:
        self.wait()
        now = time.perf_counter()
        if self._inside:
            name = self._inside[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


class _TimedRun(Run):
    """A run that counts its updates' parts: the objective, the backward pass, the optimizer."""

    def __init__(self, clock: _Clock, **about: Any) -> None:
        super().__init__(**about)
        self._clock = clock

    def update_together(
        self, slots: Sequence[str], objectives: Iterable[Mapping[str, Objective]], *, parts: int = 1
    ) -> dict[str, Tensor]:
        names = " and ".join(slots)
        with self._clock.part(f"backward, {names}"):  # what is left of an update beside the two others
            return super().update_together(slots, self._computed(names, objectives), parts=parts)

    def _computed(
        self, names: str, objectives: Iterable[Mapping[str, Objective]]
    ) -> Iterator[Mapping[str, Objective]]:
        iterator = iter(objectives)
        while True:
            with self._clock.part(f"losses, {names}"):
                found = next(iterator, None)
            if found is None:
                return
            yield found

    def _step(self, slot: str, optimizer: torch.optim.Optimizer) -> bool:
        with self._clock.part(f"optimizer, {slot}"):
            return super()._step(slot, optimizer)


def _step(session: Session, batches: Iterator[Any], clock: _Clock) -> None:
    with clock.part("data"):
        chosen = [next(batches) for _ in range(session.accumulate)]
    with clock.part("the rest"):
        logs = session.advance(chosen)
    with clock.part("logging"):
        session.run.check_finite()
        {name: float(value) for name, value in logs.items()}


@contextmanager
def _networks_timed(session: Session, clock: _Clock) -> Iterator[None]:
    """Count the forward passes of each network for itself."""

    def enter(name: str) -> Callable[..., None]:
        return lambda module, inputs: clock.enter(name)

    handles = []
    for path, module in session.networks.modules():
        handles.append(module.register_forward_pre_hook(enter(f"forward, {path}")))
        handles.append(module.register_forward_hook(lambda *about: clock.leave(), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _write_trace(session: Session, batches: Iterator[Any], steps: int, path: Path) -> None:
    """Trace some steps with torch's profiler, and write what it found for a viewer such as Perfetto."""
    activities = [ProfilerActivity.CPU]
    if torch.device(session.runtime.device).type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    handles = [_labelled(path, module) for path, module in session.networks.modules()]
    with profile(activities=activities, record_shapes=True) as found:
        for _ in range(steps):
            with record_function("data"):
                chosen = [next(batches) for _ in range(session.accumulate)]
            with record_function("step"):
                session.advance(chosen)
    for both in handles:
        for handle in both:
            handle.remove()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")  # torch tells nobody when it cannot write
        found.export_chrome_trace(str(path))
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error.strerror}.") from error


def _labelled(path: str, module: nn.Module) -> tuple[Any, Any]:
    """Give the forward passes of a network its name in the trace."""
    labels: list[record_function] = []

    def enter(*_about: object) -> None:
        labels.append(record_function(path))
        labels[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(*_about: object) -> None:
        labels.pop().__exit__(None, None, None)

    return module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)
