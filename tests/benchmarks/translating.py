"""How long `i2i translate` takes as people call it: ``python tests/benchmarks/translating.py --beside PATH``.

The time of the whole process, from its start to its end, here and in another checkout of i2i, in turns. Both
translate the same pictures with the same model file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from machine import ROOT, as_markdown, commit, facts, write_results
from PIL import Image

import i2i
from i2i.core.data.shapes import Shapes
from i2i.errors import I2IError, RecipeError, ResourceError, exit_code_of
from i2i.recipe.recipe import load_recipe

HERE, BESIDE, TORCH = "here", "beside", "import torch"
HEADINGS = ["checkout", "commit", "seconds", "images/s", "runs, seconds"]


class Checkout:
    """A folder with i2i, and its command line in a process."""

    def __init__(self, root: Path, *, threads: int) -> None:
        self.root = root
        number = str(threads)
        self._environ = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": number}
        self._environ |= {"MKL_NUM_THREADS": number, "PYTHONDONTWRITEBYTECODE": ""}

    def check(self) -> None:
        """Raise RecipeError where Python would import i2i from elsewhere."""
        found = Path(self._python("-c", "import i2i; print(i2i.__file__)").strip())
        if not found.is_relative_to(self.root):
            raise RecipeError(
                f"{self.root} has no i2i: Python finds it in {found.parent}; name the root of a checkout."
            )

    def translate(self, model: Path, pictures: Path, out: Path, *, device: str) -> float:
        """Translate all pictures into a new folder, and return the seconds of the process."""
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        self._python("-m", "i2i", "translate", str(model), str(pictures), str(out), "--device", device)
        return time.perf_counter() - began

    def import_torch(self) -> float:
        """Return the seconds of a process that imports torch, and does nothing else."""
        began = time.perf_counter()
        self._python("-c", "import torch")
        return time.perf_counter() - began

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=self.root, env=self._environ
        )
        if done.returncode:
            raise ResourceError(
                f"in {self.root}, python {' '.join(arguments[:3])} failed: {done.stderr.strip()}"
            )
        return done.stdout


def trained(folder: Path, *, size: int, depth: int, width: int) -> Path:
    """Return a model of a U-Net, by default the paper's, after a single step: as slow as any other."""
    table = {
        "data.use": "shapes",
        "data.size": [size, size],
        "data.count": 4,
        "generator.depth": depth,
        "generator.width": width,
        "discriminators.patch.width": width,
        "train.steps": 1,
    }
    unset = ("callbacks.samples", "transforms.jitter")
    recipe = load_recipe(ROOT / "recipes/paper/pix2pix-256.toml", set=table, unset=unset)
    return i2i.run(recipe, folder, device="cpu", rehearsed=True).folder / "model.safetensors"


def draw(folder: Path, *, count: int, size: int) -> None:
    """Write so many pictures as PNG files."""
    folder.mkdir()
    data = Shapes("train", size=size, count=count)
    for index in range(count):
        pixels = data[index]["source"].permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels).save(folder / f"{index:04d}.png")


def equal(one: Path, other: Path) -> int:
    """Return how many files of two folders hold the same bytes."""
    names = {path.name for path in one.iterdir()} & {path.name for path in other.iterdir()}
    return sum((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def measure(asked: argparse.Namespace, folder: Path) -> tuple[dict[str, list[float]], int]:
    """Return the seconds of each run, by checkout, and how many pictures both translate to the same bytes.

    Beside them stands what nobody who uses torch can do without: its import.
    """
    checkouts = {HERE: ROOT, **({BESIDE: asked.beside.resolve()} if asked.beside else {})}
    others = {name: Checkout(root, threads=asked.threads) for name, root in checkouts.items()}
    for checkout in others.values():
        checkout.check()
    pictures, model = folder / "pictures", asked.model
    draw(pictures, count=asked.pictures, size=asked.size)
    if model is None:
        model = trained(folder / "run", size=asked.size, depth=asked.depth, width=asked.width)
    times: dict[str, list[float]] = {name: [] for name in (*others, TORCH)}
    for number in range(asked.rounds + 1):
        for name in list(others)[:: 1 if number % 2 else -1]:
            taken = others[name].translate(model.resolve(), pictures, folder / name, device=asked.device)
            if number:  # the first time, files come from the disk
                times[name].append(taken)
            print(f"{name}: {taken:.2f} s", file=sys.stderr, flush=True)
        if number:
            times[TORCH].append(others[HERE].import_torch())
    return times, equal(folder / HERE, folder / BESIDE) if asked.beside else asked.pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Whole processes of `i2i translate`, in turns.")
    parser.add_argument("--beside", type=Path, metavar="PATH", help="another checkout of i2i")
    parser.add_argument("--model", type=Path, help="a model file that both read; else one is made here")
    parser.add_argument("--pictures", type=int, default=100, help="how many (100)")
    parser.add_argument("--size", type=int, default=256, help="of the pictures, in pixels (256)")
    parser.add_argument("--depth", type=int, default=8, help="of the U-Net that is made (8)")
    parser.add_argument("--width", type=int, default=64, help="of the U-Net that is made (64)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, after one untimed (5)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=".json or .md")
    asked = parser.parse_args(arguments)
    if min(asked.rounds, asked.pictures) < 1:
        parser.error("--rounds and --pictures are at least 1")
    try:
        with tempfile.TemporaryDirectory(prefix="i2i-translating-") as folder:
            times, same = measure(asked, Path(folder))
    except I2IError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    about = facts(asked.device) | {
        "threads": str(asked.threads),
        "pictures": f"{asked.pictures} of {asked.size} px",
    }
    if asked.beside:
        ratio = median(times[BESIDE]) / median(times[HERE])
        about |= {"speed": f"{ratio:.2f} x that of the other", "same bytes": f"{same} of {asked.pictures}"}
    commits = {HERE: commit(ROOT), **({BESIDE: commit(asked.beside)} if asked.beside else {}), TORCH: "-"}
    shown = as_markdown(about, HEADINGS, _cells(times, commits, asked.pictures))
    print(shown, end="")
    rows = [
        {"checkout": name, "commit": commits[name], "seconds": median(taken), "runs": taken}
        for name, taken in times.items()
    ]
    for path in asked.out:
        write_results(path, about, rows, shown=shown)
    return 0


def _cells(
    times: Mapping[str, Sequence[float]], commits: Mapping[str, str], pictures: int
) -> list[list[str]]:
    return [
        [
            name,
            commits[name],
            f"{median(taken):.2f}",
            "-" if name == TORCH else f"{pictures / median(taken):.1f}",
            ", ".join(f"{seconds:.2f}" for seconds in taken),
        ]
        for name, taken in times.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
