"""Pairs in a folder beside the same pairs in a pack of i2i-datasets: ``python tests/benchmarks/mapping.py``.

Time and memory to open many small pairs, and to read all of them in the order of an epoch. Whoever reads has
a process of its own, and rounds go in turns. Memory is the process's own (RssAnon) but for the peak: pages of
a mapped file are the system's, which takes them back when memory is short.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import ROOT, as_markdown, facts, write_results

from i2i import open_split
from i2i.data.stream import epoch_order, training_batches
from i2i.images import png_bytes
from i2i.slot_keys import DataSettings

VARIANTS = 64
"""Different pictures; files are many, and what is in them makes no difference to a reader."""

SAMPLES = 20
"""How often the memory is looked at while all pairs are read."""

HEADINGS = ["read", "seconds to open", "MB once open", "pairs/s", "x the folder", "growth, MB", "peak MB"]
PLACES = {"folder": "paired-images", "pack": "datasets/pairs"}


def write_folder(root: Path, count: int, size: int) -> None:
    """Write `count` pairs for training and one for validation, as folders A and B."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (VARIANTS, 3, size, size), generator=rng).to(torch.uint8)
    pictures = [png_bytes(image) for image in noise]
    for split, pairs in (("train", count), ("val", 1)):
        for shift, side in enumerate("AB"):
            folder = root / split / side
            folder.mkdir(parents=True)
            for number in range(pairs):
                data = pictures[(number + 7 * shift) % VARIANTS]
                (folder / f"{number:06d}.png").write_bytes(data)


def own_mb(field: str = "RssAnon") -> float:
    """Return a field of this process's memory in MB, as Linux counts it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def read(use: str, root: str, *, engine: bool) -> dict[str, float]:
    """Open a split, read all of it in the order of an epoch, and return what that took."""
    began = time.perf_counter()
    data = open_split({"use": use, "root": root}, "train")
    opened, open_mb, count = time.perf_counter() - began, own_mb(), len(data)
    order = epoch_order(count, seed=0, epoch=0)

    def items() -> Iterator[Any]:
        if not engine:
            yield from map(data.__getitem__, order)
            return
        settings = DataSettings(batch_size=1, cache="none")
        yield from training_batches(data, {}, settings, seed=0, first=0, last=count)

    stream, memory = items(), []
    began = time.perf_counter()
    for _ in range(SAMPLES):
        sum(1 for _ in islice(stream, count // SAMPLES))
        memory.append(own_mb())
    seconds = time.perf_counter() - began
    warm = memory[SAMPLES // 10 : SAMPLES // 5]  # by then all that is made once is made
    return {
        "seconds_to_open": opened,
        "open_mb": open_mb,
        "pairs_per_second": count // SAMPLES * SAMPLES / seconds,
        "growth_mb": median(memory[-2:]) - median(warm),
        "peak_mb": own_mb("VmHWM"),
    }


def child(*arguments: str) -> Callable[[], dict[str, float]]:
    """Return what runs this script in a process of its own, and returns the figures that it prints."""

    def run() -> dict[str, float]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
        command = [sys.executable, __file__, *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def pack(folder: str, out: str) -> dict[str, float]:
    """Pack a folder, and return what that took."""
    from i2i_datasets.packing import pack as write

    began = time.perf_counter()
    write(lambda split: open_split({"use": "paired-images", "root": folder}, split), Path(out), source=folder)
    return {"seconds": time.perf_counter() - began, "own_mb": own_mb(), "peak_mb": own_mb("VmHWM")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write pairs, pack them, read them in both places, print what that took, and return the exit code."""
    parser = argparse.ArgumentParser(description="Pairs in a folder beside the same in a pack.")
    parser.add_argument("--pairs", type=int, default=100_000, help="how many (100,000)")
    parser.add_argument("--size", type=int, default=8, help="height and width in pixels (8)")
    parser.add_argument("--rounds", type=int, default=3, help="of each reader (3)")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--pack", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.read or asked.pack:
        torch.set_num_threads(1)
        use, root, way = asked.read or ("", "", "")
        found = pack(*asked.pack) if asked.pack else read(use, root, engine=way == "engine")
        print(json.dumps(found))
        return 0
    with tempfile.TemporaryDirectory(prefix="i2i-benchmark-") as name:
        places = {place: str(Path(name) / place) for place in PLACES}
        write_folder(Path(places["folder"]), asked.pairs, asked.size)
        packing = child("--pack", *places.values())()
        readers = {
            f"{place}, by the engine" if way == "engine" else place: child("--read", use, places[place], way)
            for way in ("items", "engine")
            for place, use in PLACES.items()
        }
        runs: dict[str, list[dict[str, float]]] = {reader: [] for reader in readers}
        for number in range(asked.rounds):
            turn = list(readers)[number % len(readers) :] + list(readers)[: number % len(readers)]
            for reader in turn:
                runs[reader].append(readers[reader]())
        packed_bytes = sum(path.stat().st_size for path in Path(places["pack"]).rglob("*") if path.is_file())
    rows = [
        {"read": reader, **{key: median(run[key] for run in own) for key in own[0]}}
        for reader, own in runs.items()
    ]
    speed = {row["read"]: row["pairs_per_second"] for row in rows}
    for row in rows:
        row["times_folder"] = row["pairs_per_second"] / speed[row["read"].replace("pack", "folder")]
    about = facts("cpu") | {
        "pairs": f"{asked.pairs:,} of {asked.size} x {asked.size} pixels",
        "packing": f"{packing['seconds']:.1f} s, {packing['own_mb']:,.0f} MB of its own at the end, "
        f"{packing['peak_mb']:,.0f} MB at most; {packed_bytes:,} bytes",
    }
    cells = [
        [
            row["read"],
            f"{row['seconds_to_open']:.2f}",
            f"{row['open_mb']:,.0f}",
            f"{row['pairs_per_second']:,.0f}",
            f"{row['times_folder']:.2f}",
            f"{row['growth_mb']:+.1f}",
            f"{row['peak_mb']:,.0f}",
        ]
        for row in rows
    ]
    shown = as_markdown(about, HEADINGS, cells)
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, [packing, *rows], shown=shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
