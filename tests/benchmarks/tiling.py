"""What a large picture takes: ``python tests/benchmarks/tiling.py --size 8192 --suffix .tif --suffix .png``.

The time of the whole process of `i2i translate`, and the most memory that it had at once, from the system.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from machine import ROOT, as_markdown, facts, write_results
from PIL import Image

import i2i
from i2i.errors import I2IError, ResourceError, exit_code_of
from i2i.recipe.recipe import load_recipe

HEADINGS = ["picture", "norm", "options", "seconds", "megapixels/s", "peak MiB", "said"]


def trained(folder: Path, *, depth: int, width: int) -> Path:
    """Return a model of a U-Net after a single step: as slow as any other."""
    table = {
        "data.use": "shapes",
        "data.size": [max(64, 2**depth)] * 2,
        "data.count": 4,
        "generator.depth": depth,
        "generator.width": width,
        "discriminators.patch.width": 8,
        "train.steps": 1,
    }
    unset = ("callbacks.samples", "transforms.jitter")
    recipe = load_recipe(ROOT / "recipes/paper/pix2pix-256.toml", set=table, unset=unset)
    return i2i.run(recipe, folder, device="cpu", rehearsed=True).folder / "model.safetensors"


def draw(path: Path, *, size: int) -> Path:
    """Write a square picture of smooth colours and noise, a band at a time where its format allows that."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 255, size)

    def band(first: int, count: int) -> np.ndarray[Any, Any]:
        down = np.linspace(0, 255, size)[first : first + count, None]
        colours = np.stack([down + 0 * across, across + 0 * down, (down + across) / 2], axis=-1)
        return (0.8 * colours + rng.integers(0, 50, colours.shape)).astype(np.uint8)

    if path.suffix == ".tif":
        rows = (band(first, min(256, size - first)).tobytes() for first in range(0, size, 256))
        shape = (size, size, 3)
        with tifffile.TiffWriter(path) as writer:
            writer.write(rows, shape=shape, dtype=np.uint8, rowsperstrip=256, photometric="rgb")
    else:
        pixels = np.empty((size, size, 3), np.uint8)
        for first in range(0, size, 256):  # whatever this process has at most counts for its children, too
            pixels[first : first + 256] = band(first, min(256, size - first))
        Image.fromarray(pixels).save(path, compress_level=1)
    return path


def measure(model: Path, source: Path, target: Path, options: Sequence[str]) -> dict[str, Any]:
    """Translate one picture in a process of its own; return its seconds, its memory in MiB, what it said.

    The memory is that of this very process: the system's own count of it, taken as it ends.
    """
    command = [sys.executable, "-m", "i2i", "translate", *map(str, (model, source, target)), *options]
    said = target.with_name("said.txt")
    began = time.perf_counter()
    with said.open("w") as err:
        process = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
            file_actions=[(os.POSIX_SPAWN_DUP2, err.fileno(), 2), (os.POSIX_SPAWN_DUP2, err.fileno(), 1)],
        )
        _, status, used = os.wait4(process, 0)
    told = said.read_text()
    if os.waitstatus_to_exitcode(status):
        raise ResourceError(f"python -m i2i translate {source.name} failed: {told.strip()}")
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": time.perf_counter() - began, "peak_mib": peak, "said": told}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="A large picture in tiles: time and peak memory.")
    parser.add_argument("--size", type=int, default=8192, help="pixels of the picture's side (8192)")
    parser.add_argument("--suffix", action="append", help=".tif or .png; repeatable (.tif)")
    parser.add_argument("--norm", action="append", help="running or batch; repeatable (running)")
    parser.add_argument("--depth", type=int, default=6, help="of the U-Net (6)")
    parser.add_argument("--width", type=int, default=32, help="of the U-Net (32)")
    parser.add_argument("--option", action="append", default=[], help="of i2i translate; repeatable")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="i2i-tiling-") as name:
            folder = Path(name)
            model = trained(folder / "run", depth=asked.depth, width=asked.width)
            for suffix in asked.suffix or [".tif"]:
                source = draw(folder / f"picture{suffix}", size=asked.size)
                for norm in asked.norm or ["running"]:
                    options = ["--size", "native", "--no-dropout", "--norm", norm, *asked.option]
                    found = measure(model, source, folder / f"{norm}{suffix}", options)
                    rows.append({"picture": source.suffix, "norm": norm, "options": asked.option, **found})
                    print(f"{suffix} {norm}: {found['peak_mib']:,.0f} MiB", file=sys.stderr, flush=True)
    except I2IError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    about = facts("cpu") | {
        "picture": f"{asked.size} x {asked.size} px, RGB of 8 bits",
        "network": f"U-Net of depth {asked.depth} and width {asked.width}",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    pixels = asked.size**2 / 1e6
    cells = [
        [
            row["picture"],
            row["norm"],
            " ".join(row["options"]) or "-",
            f"{row['seconds']:.1f}",
            f"{pixels / row['seconds']:.2f}",
            f"{row['peak_mib']:,.0f}",
            "; ".join(line.split("  ", 1)[-1] for line in row["said"].splitlines() if "tiles of" in line),
        ]
        for row in rows
    ]
    shown = as_markdown(about, HEADINGS, cells)
    print(shown, end="")
    for path in asked.out:
        write_results(path, about, rows, shown=shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
