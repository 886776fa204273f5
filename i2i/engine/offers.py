"""Whether several processes have the same: recipe, data, versions, a device; told in a sentence where not."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from typing import Any

import torch

from i2i._version import __version__
from i2i.data.fingerprint import Fingerprint
from i2i.data.fingerprint import differences as of_data
from i2i.errors import DataError, RecipeError, ResourceError
from i2i.processes.launch import Launch
from i2i.processes.meeting import Meeting
from i2i.recipe.recipe import Recipe, differences
from i2i.runs.folder import plugin_records
from i2i.system.device import Runtime, find_device
from i2i.system.facts import usable_cores


def facts(recipe: Recipe, marks: Mapping[str, Fingerprint]) -> dict[str, Any]:
    """Return what all processes must have alike, as JSON."""
    return {
        "recipe": recipe.to_toml(),
        "marks": dict(marks),
        "versions": {
            "i2i": __version__,
            "torch": torch.__version__,
            "Python": platform.python_version(),
            **{
                f"the plug-in '{about['namespace']}'": f"{about['distribution']} {about['version']}"
                for about in plugin_records(recipe)
            },
        },
        "devices": ["cpu", *(["cuda"] if torch.cuda.is_available() else [])],
    }


def require_alike(
    meeting: Meeting, recipe: Recipe, marks: Mapping[str, Fingerprint], runtime: Runtime
) -> None:
    """Hear from all other processes what they have, and raise an error that names the first that differs."""
    own = facts(recipe, marks)
    for name, found in meeting.offers():
        for what, version in own["versions"].items():
            there = found["versions"].get(what, "none")
            if there != version:
                raise RecipeError(
                    f"{name} has {what} {there}, and process 0 has {version}: install the same everywhere."
                )
        if found["recipe"] != own["recipe"]:
            other, ours = tomllib.loads(found["recipe"]), tomllib.loads(own["recipe"])
            told = [
                f"{key} is {there} there and {here} in process 0"
                for key, here, there in differences(ours, other)
            ]
            raise RecipeError(f"{name} has another recipe: {'; '.join(told[:3])}. Give all the same.")
        if others := of_data(marks, found["marks"]):
            raise DataError(f"{name} has other data than process 0, beside which {'; '.join(others)}.")
        kind = torch.device(runtime.device).type
        if kind not in found["devices"]:
            raise ResourceError(
                f"{name} has no {kind}, on which process 0 trains; --device cpu is everywhere."
            )


def check_shares(recipe: Recipe, launch: Launch) -> None:
    """Raise RecipeError where the batch cannot be shared out evenly."""
    size = recipe.data.settings.batch_size
    if size % launch.size:
        problem = recipe.problem(
            "data.batch_size",
            f"a batch of {size} cannot be shared out evenly among {launch.size} processes: it is the whole "
            f"batch, so take a multiple of {launch.size}",
        )
        raise RecipeError(problem)


def take_device(device: str, launch: Launch) -> str:
    """Return the device that each of the processes computes on, and let this one take its own GPU.

    Raises RecipeError or ResourceError where there is none for each.
    """
    if launch.size == 1:
        return device
    found = torch.device(find_device(device))
    if found.type == "mps":
        if device == "auto":
            return "cpu"
        raise RecipeError("--device mps is one device, and several processes need one each: --device cpu.")
    if found.index is not None and found.type == "cuda":
        raise RecipeError(f"--device {device} is one device: with --device cuda each process takes its own.")
    if found.type == "cuda":
        count = torch.cuda.device_count()
        if launch.local_rank >= count:
            there = f"{count} GPU{'' if count == 1 else 's'}"
            raise ResourceError(
                f"this computer has {there}, and more processes were started on it: start one for each, or "
                "give --device cpu."
            )
        torch.cuda.set_device(launch.local_rank)
    return found.type


def threads_for(recipe: Recipe, launch: Launch) -> int | None:
    """Return how many threads each of several processes computes with: as set, or its share of the cores."""
    if launch.size == 1 or recipe.train.threads is not None:
        return recipe.train.threads
    return max(1, usable_cores() // launch.local_size)
