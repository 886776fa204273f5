"""What a training step costs beside a loop that is written by hand: ``python tests/benchmarks/training.py``.

The engine's step on batches in memory, a whole run with all that it does between steps, and the loops of
`plain_loop`: each in a process of its own, as what one frees would serve another, and in turns, so that what
else the machine does slows all alike.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import ROOT, as_markdown, facts, write_results
from plain_loop import Game, Networks, PlainLoop, Variant
from turns import Step, Turns, cycled, wait_for

import i2i
from i2i.bench import processes
from i2i.building import components
from i2i.data.opening import open_splits
from i2i.data.stream import training_batches
from i2i.engine.observer import Silent
from i2i.engine.session import Session
from i2i.errors import I2IError, exit_code_of
from i2i.recipe.recipe import Recipe, load_recipe
from i2i.system.device import peak_memory_mb, resolve
from i2i.system.memory import keep_freed_memory

ENGINE, WHOLE = "engine", "whole run"
LOOPS: dict[str, tuple[Variant, bool]] = {
    "plain": ("plain", False),
    "tuned": ("tuned", False),
    "tuned, memory kept": ("tuned", True),
}
"""The loops by hand, and whether their process keeps what it frees, as `i2i run` lets its own do."""

CONTENDERS = (ENGINE, WHOLE, *LOOPS)
WARM_UP = 3
KEPT = 4
"""Batches that are kept in memory, one for each of so many steps in turn."""


@dataclass(frozen=True)
class Case:
    """Networks and images of one size, as a recipe trains them; data are drawn shapes, kept in memory."""

    recipe: str
    size: int
    batch: int
    networks: Networks
    game: Game = "vanilla"
    changes: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def load(self, *, steps: int) -> Recipe:
        """Return the recipe, without figures and samples, saved at its end alone."""
        changes = {
            "data.use": "shapes",
            "data.size": [self.size, self.size],
            "data.count": 8 * self.batch,
            "data.batch_size": self.batch,
            "data.cache": "ram",
            "generator.depth": self.networks.depth,
            "generator.width": self.networks.width,
            "discriminators.patch.width": self.networks.width,
            "train.steps": steps,
            "train.save_every": steps,
            "train.eval_every": steps,
        }
        unset = ("callbacks.samples", "metrics.mae", "metrics.psnr", "metrics.ssim", *self.unset)
        return load_recipe(ROOT / "recipes" / self.recipe, set={**changes, **self.changes}, unset=unset)


PAPER = "paper/pix2pix-256.toml"
CASES = {
    "paper-256-batch-1": Case(PAPER, 256, 1, Networks()),
    "paper-256-batch-8": Case(PAPER, 256, 8, Networks()),
    "half-128-batch-1": Case(PAPER, 128, 1, Networks(7, 32), changes={"transforms.jitter.resize": 143}),
    # What the loops do not do, the recipe does not either.
    "default-64-batch-4": Case(
        "pix2pix.toml", 64, 4, Networks(6, 32), "lsgan", unset=("transforms.diff-augment", "train.ema")
    ),
    "at-once-256-batch-1": Case(PAPER, 256, 1, Networks(), changes={"method.update": "simultaneous"}),
    "tiny-32-batch-2": Case(PAPER, 32, 2, Networks(5, 4), changes={"transforms.jitter.resize": 36}),
}
TINY = "tiny-32-batch-2"
"""It says nothing of anybody's training: it tries this script."""

MOST_STEPS = 200
"""In a stretch."""


@dataclass(frozen=True)
class Outcome:
    """One contender of a case: its median stretch, each stretch, and its speed beside both loops."""

    case: str
    contender: str
    seconds_a_step: float
    images_per_second: float
    times_plain: float
    times_tuned: float
    peak_memory_mb: float | None
    stretches: list[float]


def measure(name: str, *, device: str, threads: int, rounds: int, seconds: float) -> list[Outcome]:
    """Measure one case; a stretch takes about so many `seconds` of the engine's steps."""
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".log"))

        def peer(who: str, *, steps: int) -> Peer:
            made = Peer(name, who, device, threads, rounds, steps, log=Path(log.name))
            stack.callback(made.end)
            return made

        trial = peer(ENGINE, steps=2)
        steps = max(1, min(MOST_STEPS, round(seconds / (trial.stretch() / 2))))
        trial.end()
        peers = {who: peer(who, steps=steps) for who in CONTENDERS}
        turns = Turns({who: each.stretch for who, each in peers.items()}, device="cpu", steps=1)
        for _ in range(rounds):
            turns.round()
        times = {who: [taken / steps for taken in found] for who, found in turns.times.items()}
        peaks = {who: each.peak() for who, each in peers.items()}
    typical = {who: median(taken) for who, taken in times.items()}
    batch = CASES[name].batch
    return [
        Outcome(
            case=name,
            contender=who,
            seconds_a_step=typical[who],
            images_per_second=batch / typical[who],
            times_plain=typical["plain"] / typical[who],
            times_tuned=typical["tuned"] / typical[who],
            peak_memory_mb=peaks[who],
            stretches=taken,
        )
        for who, taken in times.items()
    ]


class Peer:
    """A contender in a process of its own, warm, that takes a stretch of `steps` whenever it is told to."""

    def __init__(
        self, case: str, who: str, device: str, threads: int, rounds: int, steps: int, *, log: Path
    ) -> None:
        self._log = log
        self._child = processes.start(contend, case, who, device, threads, rounds, steps, log=log)
        self._hear()

    def stretch(self) -> float:
        """Return the seconds that a stretch took, by the contender's own clock."""
        self._child.pipe.send("go")
        taken: float = self._hear()
        return taken

    def peak(self) -> float | None:
        """Return the most memory that it took so far, in MB; on CUDA that of the device."""
        self._child.pipe.send("peak")
        peak: float | None = self._hear()
        return peak

    def end(self) -> None:
        """End its process."""
        self._child.end()

    def _hear(self) -> Any:
        """Return its next answer. Raises EOFError where it has died; what it said before is printed."""
        try:
            return self._child.pipe.recv()
        except EOFError:
            print(self._log.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
            raise


# --- in the process of a contender -------------------------------------------------------------------


def contend(
    pipe: Connection, case: str, who: str, device: str, threads: int, rounds: int, steps: int
) -> None:
    """Make ready, and take a stretch whenever the pipe says so, until it is closed."""
    torch.set_num_threads(threads)
    if who not in LOOPS or LOOPS[who][1]:
        keep_freed_memory()
    partner = Partner(pipe, steps, device)
    if who == WHOLE:
        train_whole(CASES[case], device, partner, steps=rounds * steps)
        partner.stand_by()
        return
    step = engine(CASES[case], device) if who == ENGINE else loop(CASES[case], LOOPS[who][0], device)
    for _ in range(WARM_UP):
        step()
    partner.ready()
    while True:
        for _ in range(steps):
            step()
        partner.done()


class Partner:
    """The contender's side of the talk: says how long a stretch took, and waits for the word to go on."""

    def __init__(self, pipe: Connection, steps: int, device: str) -> None:
        self.steps = steps
        self._pipe, self._device = pipe, device

    def ready(self) -> None:
        """Say so, and wait for the first stretch."""
        wait_for(self._device)
        self._pipe.send(0.0)
        self.stand_by()

    def done(self) -> None:
        """Tell how long the stretch took, and wait for the next."""
        wait_for(self._device)
        self._pipe.send(time.perf_counter() - self._since)
        self.stand_by()

    def stand_by(self) -> None:
        """Answer questions until a stretch begins. Raises EOFError when there is none any more."""
        while self._pipe.recv() == "peak":
            self._pipe.send(peak_memory_mb(self._device))
        self._since = time.perf_counter()


class Turned(Silent):
    """Watches a run, which waits for its turn after the steps that warm it up, and after each stretch."""

    def __init__(self, partner: Partner) -> None:
        self._partner = partner

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        if step == WARM_UP:
            self._partner.ready()
        elif step > WARM_UP and (step - WARM_UP) % self._partner.steps == 0:
            self._partner.done()


def train_whole(case: Case, device: str, partner: Partner, *, steps: int) -> None:
    """Train as `i2i run` does, so many steps in stretches."""
    recipe = case.load(steps=WARM_UP + steps)
    with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as folder:
        i2i.run(recipe, Path(folder) / "run", device=device, observer=Turned(partner), rehearsed=True)


def engine(case: Case, device: str) -> Step:
    """Return a step of the engine, on batches in memory."""
    recipe = case.load(steps=1000)
    runtime = resolve(device, recipe.train.precision)
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
    return cycled(session.advance, [([batch],) for batch in session.batches(last=KEPT)])


def loop(case: Case, variant: Variant, device: str) -> Step:
    """Return a step of a loop by hand, on batches in memory."""
    recipe = case.load(steps=1000)
    train, settings = open_splits(recipe)["train"], recipe.data.settings
    transforms = components.build_transforms(recipe, at="loading", spec=train.spec)
    batches = training_batches(train, transforms, settings, seed=recipe.seed, first=0, last=KEPT)
    made = PlainLoop(case.networks, variant=variant, device=device, game=case.game)
    return cycled(made.step, [(made.place(batch.source), made.place(batch.target)) for batch in batches])


# --- the command -------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cases that are asked for, print them, and return the exit code."""
    parser = argparse.ArgumentParser(description="Training steps beside loops that are written by hand.")
    usual = [name for name in CASES if name != TINY]
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7, help="stretches of each contender (7)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a stretch, about (5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    if min(asked.rounds, asked.threads) < 1:
        parser.error("--rounds and --threads are at least 1")
    outcomes: list[Outcome] = []
    try:
        precision = resolve(asked.device, "auto").precision
        for name in asked.only or usual:
            print(f"{name} ...", file=sys.stderr, flush=True)
            outcomes += measure(
                name,
                device=asked.device,
                threads=asked.threads,
                rounds=asked.rounds,
                seconds=asked.seconds,
            )
    except I2IError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    about = facts(asked.device) | {"threads": str(asked.threads), "engine": f"in {precision}"}
    shown = as_markdown(about, HEADINGS, [_cells(outcome) for outcome in outcomes])
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, [asdict(outcome) for outcome in outcomes], shown=shown)
    return 0


HEADINGS = ["case", "contender", "ms a step", "images/s", "x plain", "x tuned", "peak MB", "stretches, ms"]


def _cells(outcome: Outcome) -> list[str]:
    peak = outcome.peak_memory_mb
    return [
        outcome.case,
        outcome.contender,
        f"{1000 * outcome.seconds_a_step:.1f}",
        f"{outcome.images_per_second:.2f}",
        f"{outcome.times_plain:.2f}",
        f"{outcome.times_tuned:.2f}",
        "-" if peak is None else f"{peak:,.0f}",
        f"{1000 * min(outcome.stretches):.1f} to {1000 * max(outcome.stretches):.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
