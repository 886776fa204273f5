"""The parts of the check: what each is given, and how it runs in a process of its own.

So a part that hangs, dies or spoils the device's state takes none of the others with it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rows import Row

from i2i.bench import processes
from i2i.errors import in_a_line
from i2i.recipe.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]

METRICS = ("metrics.mae", "metrics.psnr", "metrics.ssim")
"""Those of the paper's recipe, to be unset where nothing is scored."""


@dataclass(frozen=True)
class Settings:
    """What a part is given: where it computes, how large, a folder of its own, its `seconds`."""

    device: str
    smoke: bool
    folder: Path
    seconds: float

    @property
    def size(self) -> int:
        """The side of the images in pixels."""
        return 32 if self.smoke else 256

    @property
    def depth(self) -> int:
        """How often the U-Net halves the size: down to a pixel, as in the paper."""
        return 5 if self.smoke else 8

    @property
    def width(self) -> int:
        """The channels of the first layer, in both networks."""
        return 4 if self.smoke else 64

    def recipe(self, changes: Mapping[str, Any] = {}, *, unset: Sequence[str] = ()) -> Recipe:
        """Return the paper's recipe on drawn shapes: 64 pairs as they are, nothing random, no samples."""
        usual = {
            "data.use": "shapes",
            "data.size": [self.size, self.size],
            "data.count": 64,
            "generator.depth": self.depth,
            "generator.width": self.width,
            "discriminators.patch.width": self.width,
        }
        removed = ("callbacks.samples", "transforms.jitter", "transforms.mirror", *unset)
        return load_recipe(ROOT / "recipes/paper/pix2pix-256.toml", set={**usual, **changes}, unset=removed)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let a card round what it multiplies in float32 to 11 bits, or not; torch lets it in convolutions."""
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = allowed
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


@dataclass(frozen=True)
class Part:
    """A part by name: a `function` of a `module`, from Settings to its rows, and its share of the time."""

    name: str
    module: str
    function: str
    share: float


PARTS = (
    Part("networks", "parity", "of_networks", 2),
    Part("losses", "parity", "of_losses", 1),
    Part("training steps", "parity", "of_training", 1),
    Part("resume", "resume", "of_resuming", 2),
    Part("several", "several", "of_several", 1),
    Part("transforms", "transforms", "of_transforms", 1),
    Part("eval and translate", "use", "of_use", 2),
    Part("checkpoint", "saving", "of_saving", 1),
    Part("images/s", "speed", "of_speed", 6),
    Part("compiled training", "compiling", "of_compiling", 4),
    Part("CUDA graphs", "compiling", "of_graphs", 4),
)


def run(part: Part, settings: Settings, *, log: Path, found: Callable[[Row], None]) -> None:
    """Run a part in a process of its own, and hand on its rows, the last of which may tell of its failure."""
    until = time.monotonic() + settings.seconds
    child = processes.start(_work, part, settings, log=log)
    try:
        while child.pipe.poll(max(0.0, until - time.monotonic())):
            row = child.pipe.recv()
            if row is None:
                return
            found(row)
        found(_failure(part, f"it ran out of time after {settings.seconds:.0f} s"))
    except EOFError:
        child.process.join(5.0)
        found(_failure(part, f"its process ended with exit code {child.process.exitcode}"))
    finally:
        child.end(patience=0.5)


def _failure(part: Part, why: str) -> Row:
    return Row(part.name, "the whole part", "-", "-", f"failed: {why}")


def _work(pipe: Connection, part: Part, settings: Settings) -> None:
    """Send each row of a part, and None at its end."""
    try:
        for row in getattr(import_module(part.module), part.function)(settings):
            pipe.send(row)
    except Exception as error:
        traceback.print_exc()
        pipe.send(_failure(part, in_a_line(error)))
    pipe.send(None)
