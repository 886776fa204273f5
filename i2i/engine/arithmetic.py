"""Whether the hardware's usual arithmetic pays for these networks, and agrees: asked once, in the rehearsal.

Half precision is the default where the processor multiplies it itself. Small networks may be faster in
float32, and a loss may not survive half precision: then float32 is taken, with its own layout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from i2i.engine.threads import GAIN
from i2i.system.device import Runtime

PART, WHOLE = 0.1, 0.05
"""How far a loss may be off in half precision: this share of itself, and this one of the largest loss."""


@dataclass(frozen=True)
class Tried:
    """A runtime with the losses of a first step on the same batch as another's, and the seconds of a step."""

    runtime: Runtime
    losses: Mapping[str, float]
    step_seconds: float


def in_full(runtime: Runtime) -> Runtime:
    """Return `runtime` with float32, in the layout that goes with it."""
    return replace(runtime, precision="fp32", channels_last=False)


def settle(usual: Tried, full: Tried) -> tuple[Tried, str]:
    """Return which of the two to train with, and what to tell the person where that is not the usual one."""
    name = usual.runtime.precision
    for part, (value, expected) in _apart(usual.losses, full.losses).items():
        return full, (
            f"fp32 instead of {name}: the first step's {part} is {value:.4g} in {name} and {expected:.4g} in "
            f'fp32. train.precision = "{name}" takes it all the same.'
        )
    if usual.step_seconds > GAIN * full.step_seconds:
        return full, (
            f"fp32 instead of {name}: a step takes {full.step_seconds:.3g} s in it, and "
            f'{usual.step_seconds:.3g} s in {name}. train.precision = "{name}" takes that.'
        )
    return usual, ""


def _apart(found: Mapping[str, float], expected: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return the losses that do not agree, with both values."""
    largest = max((abs(value) for value in expected.values() if math.isfinite(value)), default=0.0)
    return {
        name: (found[name], value)
        for name, value in expected.items()
        if not math.isclose(found[name], value, rel_tol=PART, abs_tol=WHOLE * largest)
    }
