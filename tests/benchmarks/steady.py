"""Whether step 5,000 costs what step 100 did, in time and memory: ``python tests/benchmarks/steady.py``.

One whole run of a shipped recipe, with its validations and saves left to the end. Its steps are timed in
stretches, and the process's memory is read after each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from machine import ROOT, as_markdown, facts, write_results

import i2i
from i2i.engine.observer import Silent
from i2i.errors import I2IError, exit_code_of
from i2i.recipe.recipe import load_recipe
from i2i.system.memory import keep_freed_memory

STRETCH = 100
"""Steps that are timed together; the first such stretch warms up, and is left out."""

ENDS = 5
"""Stretches at the beginning and at the end that are compared."""

HEADINGS = ["steps", "ms a step", "memory, MB"]


class Watch(Silent):
    """Keeps the seconds of each stretch, and the memory in MB after it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.memory: list[float] = []
        self._since = 0.0

    def progress(self, step: int, *, images_per_second: float, data_wait: float, epoch: float) -> None:
        if step % STRETCH == 0:
            now = time.perf_counter()
            if step > STRETCH:
                self.seconds.append((now - self._since) / STRETCH)
                self.memory.append(resident_mb())
            self._since = now


def resident_mb() -> float:
    """Return how much memory this process has at the moment, in MB, as Linux counts it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print the stretches at both ends, and return the exit code."""
    parser = argparse.ArgumentParser(description="Time and memory of a step, early and late in a run.")
    parser.add_argument("--recipe", default="recipes/pix2pix.toml", help="recipes/pix2pix.toml by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `i2i run`")
    parser.add_argument("--steps", type=int, default=5000, help="how many (5000)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    if asked.steps < (2 * ENDS + 1) * STRETCH:
        parser.error(f"--steps is at least {(2 * ENDS + 1) * STRETCH}")
    settings = [*asked.set, f"train.threads={asked.threads}"]
    settings += [f"train.{key}={asked.steps}" for key in ("steps", "eval_every", "save_every")]
    keep_freed_memory()
    watch = Watch()
    try:
        recipe = load_recipe(ROOT / asked.recipe, set=settings)
        with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as folder:
            i2i.run(recipe, Path(folder) / "run", device="cpu", observer=watch, rehearsed=True)
    except I2IError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    rows = [
        {
            "steps": f"{first} to {first + ENDS * STRETCH}",
            "seconds_a_step": median(watch.seconds[part]),
            "memory_mb": median(watch.memory[part]),
        }
        for first, part in ((STRETCH, slice(ENDS)), (asked.steps - ENDS * STRETCH, slice(-ENDS, None)))
    ]
    early, late = rows
    about = facts("cpu") | {
        "recipe": asked.recipe,
        "threads": str(asked.threads),
        "late by early, time": f"{late['seconds_a_step'] / early['seconds_a_step']:.3f}",
        "late by early, memory": f"{late['memory_mb'] / early['memory_mb']:.3f}",
    }
    cells = [[r["steps"], f"{1000 * r['seconds_a_step']:.1f}", f"{r['memory_mb']:,.0f}"] for r in rows]
    shown = as_markdown(about, HEADINGS, cells)
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, rows, shown=shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
