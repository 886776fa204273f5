"""What a run computes on: device, precision, memory layout and threads, resolved once and recorded.

Bits depend on all four, so a resumed run takes them from its record instead of choosing anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from i2i.errors import RecipeError, ResourceError

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """The resolved settings of one run."""

    device: str
    precision: Precision
    channels_last: bool
    threads: int

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON values, to be written beside the run."""
        return asdict(self)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks run."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, DTYPES[self.precision])

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, image: Tensor) -> Tensor:
        """Return a batch on the device: images (B,C,H,W) in its layout, other tensors as they are."""
        if image.dim() != 4:
            return image.to(self.device, non_blocking=True)
        return image.to(self.device, memory_format=self.memory_format, non_blocking=True)

    def active(self) -> AbstractContextManager[None]:
        """Compute with this number of threads for a while."""
        return computing_with(self.threads)


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve(device: str, precision: str, threads: int | None = None) -> Runtime:
    """Choose what "auto" leaves open; without a number of `threads`, all cores compute.

    Raises ResourceError for a device that is not there, RecipeError for fp16 on a CPU.
    """
    name = find_device(device)
    kind = torch.device(name).type
    if precision == "fp16" and kind == "cpu":
        raise RecipeError("train.precision = 'fp16' needs a GPU; on a CPU use 'bf16', 'fp32' or 'auto'.")
    chosen: Precision = _best_precision(kind) if precision == "auto" else precision  # type: ignore[assignment]
    # Convolutions in half precision want channels last on CPUs and CUDA; MPS gains nothing from it.
    channels_last = kind != "mps" and chosen != "fp32"
    return Runtime(name, chosen, channels_last, threads or torch.get_num_threads())


def find_device(wanted: str) -> str:
    """Return the device for "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises RecipeError for any other word, ResourceError for a device that is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(wanted).type
    except RuntimeError:
        raise RecipeError(
            f"--device {wanted}: there is no such device; use auto, cpu, cuda or mps."
        ) from None
    if kind not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"--device {wanted}: use auto, cpu, cuda or mps.")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise ResourceError(f"--device {wanted}: this machine, or this build of torch, has no {kind} device.")
    return wanted


def _best_precision(kind: str) -> Precision:
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if kind == "cpu" and _cpu_computes_bf16():
        return "bf16"
    return "fp32"


def _cpu_computes_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; emulated it is slower than fp32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:  # not Linux: torch has no public question for it
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16 "))


def peak_memory_mb(device: str) -> float | None:
    """Return the most memory used so far in MB: the device's on CUDA, else the process's, if known."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
