"""What a training step costs beside a loop that is written by hand: ``python tests/benchmarks/training.py``.

In one process and in turns: the engine's step on batches in memory, a whole run with all that it does between
steps, and both loops of `plain_loop`. A run cannot be stopped in the midst and gone on with for free, so the
run is the host: after each stretch of its own, its observer gives the others theirs. Memory is that of
processes in which each trains alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import ROOT, as_markdown, facts, write_results
from plain_loop import Game, Networks, PlainLoop, Variant
from turns import Step, Turns, cycled, stretch, wait_for

import i2i
from i2i.bench import processes
from i2i.building import components
from i2i.data.opening import open_splits
from i2i.data.stream import training_batches
from i2i.engine.observer import Silent
from i2i.engine.session import Session
from i2i.errors import I2IError, exit_code_of
from i2i.recipe.recipe import Recipe, load_recipe
from i2i.records import Batch
from i2i.system.device import peak_memory_mb, resolve

WHOLE = "whole run"
LOOPS: tuple[Variant, ...] = ("plain", "tuned")
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
        unset = ("callbacks.samples", "metrics.mae", "metrics.psnr", "metrics.ssim")
        return load_recipe(ROOT / "recipes" / self.recipe, set={**changes, **self.changes}, unset=unset)


PAPER = "paper/pix2pix-256.toml"
CASES = {
    "paper-256-batch-1": Case(PAPER, 256, 1, Networks()),
    "paper-256-batch-8": Case(PAPER, 256, 8, Networks()),
    "half-128-batch-1": Case(PAPER, 128, 1, Networks(7, 32), changes={"transforms.jitter.resize": 143}),
    "default-64-batch-4": Case("pix2pix.toml", 64, 4, Networks(6, 32), game="lsgan"),
    "tiny-32-batch-2": Case(PAPER, 32, 2, Networks(5, 4), changes={"transforms.jitter.resize": 36}),
}
TINY = "tiny-32-batch-2"
"""It says nothing of anybody's training: it tries this script."""


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


class Host(Silent):
    """Watches a run, times its stretches of so many steps, and lets others have their turn after each."""

    def __init__(self, steps: int, device: str, others: Callable[[], None]) -> None:
        self.times: list[float] = []
        self._steps, self._device, self._others = steps, device, others
        self._since: float | None = None

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        if step < WARM_UP or (step - WARM_UP) % self._steps:
            return
        wait_for(self._device)
        if self._since is not None:
            self.times.append((time.perf_counter() - self._since) / self._steps)
            self._others()
        self._since = time.perf_counter()


def measure(name: str, *, device: str, rounds: int, seconds: float, memory: bool) -> list[Outcome]:
    """Measure one case; a stretch takes about so many `seconds` of the engine's steps."""
    case = CASES[name]
    makers = contenders(case, device)
    steps_of = {who: make() for who, make in makers.items()}
    turns = Turns(steps_of, device=device, steps=1)
    turns.warm_up(WARM_UP)
    steps = stretch(steps_of["engine"], seconds=seconds, device=device)
    turns = Turns(steps_of, device=device, steps=steps)
    host = Host(steps, device, turns.round)
    recipe = case.load(steps=WARM_UP + rounds * steps)
    data = open_splits(recipe)
    with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as folder:
        i2i.run(
            recipe,
            Path(folder) / "run",
            device=device,
            observer=host,
            open_data=lambda recipe, note: data,
            rehearsed=True,
        )
    times = {**turns.times, WHOLE: host.times}
    typical = {who: median(taken) for who, taken in times.items()}
    peaks = {who: peak_of(name, who, device) if memory and who in makers else None for who in times}
    return [
        Outcome(
            case=name,
            contender=who,
            seconds_a_step=typical[who],
            images_per_second=case.batch / typical[who],
            times_plain=typical["plain"] / typical[who],
            times_tuned=typical["tuned"] / typical[who],
            peak_memory_mb=peaks[who],
            stretches=taken,
        )
        for who, taken in times.items()
    ]


def contenders(case: Case, device: str) -> dict[str, Callable[[], Step]]:
    """Return by name what builds each contender and returns its step."""
    recipe = case.load(steps=1000)
    data = open_splits(recipe)
    runtime = resolve(device, recipe.train.precision)

    def engine() -> Step:
        session = Session(recipe, data=data, runtime=runtime, provenance={})
        return cycled(session.advance, [([batch],) for batch in session.batches(last=KEPT)])

    def loop(variant: Variant) -> Step:
        made = PlainLoop(case.networks, variant=variant, device=device, game=case.game)
        return cycled(made.step, [(made.place(b.source), made.place(b.target)) for b in batches()])

    def batches() -> Iterator[Batch]:
        transforms = components.build_transforms(recipe, at="loading")
        settings = recipe.data.settings
        return training_batches(data["train"], transforms, settings, seed=recipe.seed, first=0, last=KEPT)

    makers: dict[str, Callable[[], Step]] = {"engine": engine}
    return makers | {variant: lambda variant=variant: loop(variant) for variant in LOOPS}


# --- memory, each contender in a process of its own --------------------------------------------------


def peak_of(case: str, contender: str, device: str) -> float | None:
    """Return the most memory in MB that a process takes in which a contender trains alone.

    On CUDA that of the device. Raises EOFError where that process died.
    """
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        child = processes.start(
            _train_alone, case, contender, device, torch.get_num_threads(), log=Path(log.name)
        )
        try:
            peak: float | None = child.pipe.recv()
        except EOFError:
            print(Path(log.name).read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
            raise
        finally:
            child.end()
    return peak


def _train_alone(pipe: Connection, case: str, contender: str, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    step = contenders(CASES[case], device)[contender]()
    for _ in range(WARM_UP):
        step()
    wait_for(device)
    pipe.send(peak_memory_mb(device))


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
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="leave memory out")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    if min(asked.rounds, asked.threads) < 1:
        parser.error("--rounds and --threads are at least 1")
    torch.set_num_threads(asked.threads)
    outcomes: list[Outcome] = []
    try:
        precision = resolve(asked.device, "auto").precision
        for name in asked.only or usual:
            print(f"{name} ...", file=sys.stderr, flush=True)
            outcomes += measure(
                name, device=asked.device, rounds=asked.rounds, seconds=asked.seconds, memory=asked.memory
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
