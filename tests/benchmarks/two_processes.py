"""Two processes on two cores beside one with two threads: ``python tests/benchmarks/two_processes.py``.

Whole runs of one recipe, in turns. Of each run the steps after the first count, by the times in its own
records, so that starting up, rehearsing, saving and validating are left out. Leave the machine to it alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from machine import as_markdown, facts, write_results
from training import CASES

ALONE, TWO, TWO_SYNC = "one process, two threads", "two processes", "two processes, sync-batch"
USUAL = ("paper-256-batch-8", "default-64-batch-4")
SYNC = {f"{slot}.norm": "sync-batch" for slot in ("generator", "discriminators.patch")}


@dataclass(frozen=True)
class Outcome:
    """One contender of a case: its median run, each run, and its steps a second by those of one process."""

    case: str
    contender: str
    seconds_a_step: float
    efficiency: float
    runs: list[float]


class RunFailedError(Exception):
    """A run that did not end as it should; the text is what it said."""


def command(who: str, recipe: Path, out: Path) -> list[str]:
    """Return the command of a contender's run."""
    launcher = [] if who == ALONE else ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    threads = "2" if who == ALONE else "1"
    given = ["run", str(recipe), "--out", str(out), "--device", "cpu", "--threads", threads, "--quiet"]
    return [sys.executable, "-m", *launcher, "i2i", *given]


def seconds_a_step(who: str, case: str, *, steps: int) -> float:
    """Train a case so many steps and return how long one took, from the first one's end on.

    Raises RunFailedError.
    """
    recipe = CASES[case].load(steps=steps)
    changes = {"train.log_every": steps, **(SYNC if who == TWO_SYNC else {})}
    with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as text:
        file, out = Path(text) / "recipe.toml", Path(text) / "run"
        file.write_text(recipe.to_toml(), encoding="utf-8")
        sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        done = subprocess.run([*command(who, file, out), *sets], capture_output=True, text=True)
        if done.returncode:
            raise RunFailedError(done.stderr)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [record for record in map(json.loads, lines) if record["kind"] == "train"]
    first, last = records[0], records[-1]
    return float(last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def measure(case: str, contenders: Sequence[str], *, rounds: int, steps: int) -> list[Outcome]:
    """Measure one case, each contender once a round, another one first each time. Raises RunFailedError."""
    times: dict[str, list[float]] = {who: [] for who in contenders}
    for number in range(rounds):
        begin = number % len(contenders)
        for who in (*contenders[begin:], *contenders[:begin]):
            times[who].append(seconds_a_step(who, case, steps=steps))
    alone = median(times[ALONE])
    return [Outcome(case, who, median(taken), alone / median(taken), taken) for who, taken in times.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cases that are asked for, print them, and return the exit code."""
    parser = argparse.ArgumentParser(description="Two processes beside one with two threads.")
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender (5)")
    parser.add_argument("--steps", type=int, default=60, help="of each run, from 2 on (60)")
    parser.add_argument(
        "--sync-batch", action="store_true", help='two processes with norm = "sync-batch" too'
    )
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    if asked.rounds < 1 or asked.steps < 2:
        parser.error("--rounds is at least 1, --steps at least 2")
    contenders = (ALONE, TWO, TWO_SYNC) if asked.sync_batch else (ALONE, TWO)
    outcomes: list[Outcome] = []
    for case in asked.only or USUAL:
        if CASES[case].batch % 2:
            parser.error(f"{case}: its batch cannot be shared out to two processes")
        print(f"{case} ...", file=sys.stderr, flush=True)
        try:
            outcomes += measure(case, contenders, rounds=asked.rounds, steps=asked.steps)
        except RunFailedError as error:
            print(error, file=sys.stderr)
            return 1
    about = facts("cpu") | {"steps of a run": str(asked.steps), "rounds": str(asked.rounds)}
    shown = as_markdown(about, HEADINGS, [_cells(outcome) for outcome in outcomes])
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, [asdict(outcome) for outcome in outcomes], shown=shown)
    return 0


HEADINGS = ["case", "contender", "ms a step", "steps/s", "x one process", "runs, ms"]


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.case,
        outcome.contender,
        f"{1000 * outcome.seconds_a_step:.1f}",
        f"{1 / outcome.seconds_a_step:.2f}",
        f"{outcome.efficiency:.2f}",
        f"{1000 * min(outcome.runs):.1f} to {1000 * max(outcome.runs):.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
