"""Checks i2i on a GPU and measures it there: ``python tests/gpu/check.py [--out FILE.md] [--minutes 8]``.

Ends with 0, with 1 where a check failed, with 4 where there is no such device.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import machine
import parts
import rows

from i2i.errors import EXIT_BUG, I2IError, exit_code_of
from i2i.system.device import find_device


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part, show and write what was found, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        device = find_device(asked.device)
    except I2IError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    began = time.monotonic()
    found = _found(device, asked.smoke, asked.only or [part.name for part in parts.PARTS], 60 * asked.minutes)
    facts = machine.facts(device)
    facts["took"] = f"{time.monotonic() - began:.0f} s"
    if asked.smoke:
        facts["note"] = "tiny networks and images: the figures mean nothing"
    rows.show(facts, found)
    if asked.out:
        rows.write(asked.out, facts, found)
    return EXIT_BUG if any(row.failed for row in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Check i2i on a GPU, and measure it there.")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write what was found as Markdown")
    parser.add_argument("--minutes", type=float, default=8.0, help="the most that it takes (8)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (cuda)")
    known = [part.name for part in parts.PARTS]
    told = f"this part alone, repeatable: {', '.join(known)}"
    parser.add_argument("--only", action="append", choices=known, metavar="PART", help=told)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to try this script itself")
    return parser


def _found(device: str, smoke: bool, names: Sequence[str], seconds: float) -> list[rows.Row]:
    """Run the named parts one after another; each is given its share of the time that is left."""
    found: list[rows.Row] = []
    until = time.monotonic() + seconds
    waiting = [part for part in parts.PARTS if part.name in names]
    with tempfile.TemporaryDirectory(prefix="i2i-gpu-") as folder:
        log = Path(folder) / "log.txt"
        log.touch()
        while waiting:
            share = waiting[0].share / sum(part.share for part in waiting)
            part = waiting.pop(0)
            own = Path(folder) / part.module / part.function
            own.mkdir(parents=True)
            given = share * (until - time.monotonic())
            settings = parts.Settings(device=device, smoke=smoke, folder=own, seconds=given)
            print(f"{part.name}: at most {given:.0f} s", file=sys.stderr, flush=True)
            parts.run(part, settings, log=log, found=found.append)
        if any(row.failed for row in found):
            print(log.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
