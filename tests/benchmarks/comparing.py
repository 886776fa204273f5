"""What `i2i bench` takes beside the training of its cells: ``python tests/benchmarks/comparing.py``.

The time of the whole process, from its start to its end, less what its cells took by their own clocks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from machine import ROOT, as_markdown, facts, write_results

HEADINGS = ["benchmark", "cells", "seconds", "of its cells", "beside them"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark, print what it took, and return the exit code."""
    parser = argparse.ArgumentParser(description="What a benchmark takes beside its cells.")
    parser.add_argument("--bench", default="recipes/bench/losses.toml", help="recipes/bench/losses.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `i2i bench`")
    parser.add_argument("--seeds", default="1", help="as of `i2i bench` (1)")
    parser.add_argument("--steps", default="400", help="of each cell (400)")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as folder:
        out = Path(folder) / "bench"
        command = [sys.executable, "-m", "i2i", "bench", asked.bench, "--out", str(out), "--quiet"]
        command += ["--seeds", asked.seeds, "--steps", asked.steps]
        command += [word for each in asked.set for word in ("--set", each)]
        began = time.perf_counter()
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        if done.returncode:
            print(done.stderr, file=sys.stderr, end="")
            return done.returncode
        cells = json.loads((out / "results.json").read_text(encoding="utf-8"))["cells"]
    own = sum(cell["seconds"] for cell in cells)
    row = {"benchmark": asked.bench, "cells": len(cells), "seconds": seconds, "cells_seconds": own}
    row["share"] = (seconds - own) / own
    about = facts("cpu") | {"seeds": asked.seeds, "steps": asked.steps}
    shown = as_markdown(
        about,
        HEADINGS,
        [[asked.bench, str(len(cells)), f"{seconds:.1f}", f"{own:.1f}", f"{100 * row['share']:.1f} %"]],
    )
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, [row], shown=shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
