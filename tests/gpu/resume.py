"""A run that is stopped and resumed ends with the bits of one left in peace, by deterministic algorithms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch
from parts import METRICS, Settings
from rows import Row, holds, measured

import i2i
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint, weights

STEPS = 6
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def of_resuming(settings: Settings) -> Iterator[Row]:
    """The paper's networks at half their width, with dropout; in float32, and as the device would choose.

    Half the width, since a state of the whole would take seconds to write, a dozen times.
    """
    os.environ[WORKSPACE] = ":4096:8"  # read when the device is first used
    for precision in ("fp32", "auto"):
        narrow = dict.fromkeys(("generator.width", "discriminators.patch.width"), settings.width // 2)
        recipe = settings.recipe(
            {**narrow, "train.precision": precision, "train.steps": STEPS}, unset=METRICS
        )
        torch.use_deterministic_algorithms(True)
        told = _differing(recipe, settings.folder / precision, settings.device)
        what = f"stopped, resumed, {precision}, deterministic algorithms"
        yield holds("resume", what, told == "equal to the bit", value=told, wanted="equal to the bit")
        torch.use_deterministic_algorithms(False)
        told = _differing(recipe, settings.folder / f"{precision}-usual", settings.device)
        yield measured("resume", f"stopped, resumed, {precision}, torch's usual algorithms", told)


def _differing(recipe: Recipe, folder: Path, device: str) -> str:
    """Train twice, once with a stop at half, and say how many tensors of the last checkpoints differ."""
    i2i.run(recipe, folder / "whole", device=device, rehearsed=True)
    i2i.run(recipe, folder / "halves", device=device, rehearsed=True, stop_at=STEPS // 2)
    i2i.run(recipe, folder / "halves", device=device)
    whole, halves = (_state(folder / name) for name in ("whole", "halves"))
    if whole.keys() != halves.keys():
        return f"other tensors: {', '.join(sorted(whole.keys() ^ halves.keys())[:3])}"
    unlike = [name for name, tensor in whole.items() if not torch.equal(tensor, halves[name])]
    return f"{len(unlike)} of {len(whole)} tensors differ" if unlike else "equal to the bit"


def _state(run: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of a run's last checkpoint: networks, optimizers and all else."""
    last = checkpoint.newest(run / "checkpoints")
    assert last is not None
    assert last.step == STEPS
    return {
        f"{file.name}: {name}": tensor
        for file in sorted(last.folder.glob("*.safetensors"))
        for name, tensor in weights.read(file).tensors.items()
    }
