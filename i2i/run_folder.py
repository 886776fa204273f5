"""The folder of one run: what other programs read, and what the run itself needs to go on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import i2i
from i2i.atomic import write_text
from i2i.errors import RecipeError, ResourceError
from i2i.recipe import Recipe, differences, read_resolved
from i2i.runtime import Runtime

OWN_FILES = (
    "recipe.toml",
    "resolved.toml",
    "provenance.json",
    "metrics.jsonl",
    "summary.json",
    "report.html",
    "model.safetensors",
)
OWN_FOLDERS = ("samples", "checkpoints")


@dataclass(frozen=True)
class RunFolder:
    """Paths and records under `root`."""

    root: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints stand, one folder a step."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The exported generator."""
        return self.root / "model.safetensors"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"

    def last_lines(self) -> list[tuple[str, str]]:
        """Return what a run's last lines on the terminal name: the report, and the model if there is one."""
        lines = [("report", str(self.report))]
        return [*lines, ("model", str(self.model))] if self.model.is_file() else lines

    def strip(self, step: int, name: str) -> Path:
        """Where the picture input | output | target of one image stands."""
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        return self.root / "samples" / f"{step:06d}" / f"{safe}.png"

    # --- starting -------------------------------------------------------------------------------

    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return (self.root / "resolved.toml").is_file()

    def clear(self) -> None:
        """Remove what an earlier run left, and nothing else."""
        for name in OWN_FILES:
            (self.root / name).unlink(missing_ok=True)
        for name in OWN_FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def start(self, recipe: Recipe, provenance: Mapping[str, Any]) -> None:
        """Write down what is about to run.

        Raises RecipeError when the folder holds files of something else, ResourceError when it
        cannot be written.
        """
        try:
            foreign = self.root.exists() and any(self.root.iterdir())
        except OSError as error:
            raise ResourceError(f"{self.root} cannot be used: {error.strerror}.") from error
        if foreign:
            raise RecipeError(f"{self.root} is not empty and holds no run; choose another --out.")
        write_text(self.root / "recipe.toml", recipe.text)
        write_text(self.root / "provenance.json", _json(provenance))
        # Last, because its presence says that a run was started.
        write_text(self.root / "resolved.toml", recipe.to_toml())

    def check_same(self, recipe: Recipe) -> None:
        """Raise RecipeError when the run here was started from another recipe."""
        changed = differences(read_resolved(self.root / "resolved.toml"), recipe.table)
        if changed:
            key, before, after = changed[0]
            first = f"{key} was {_told(before)}, now {_told(after)}"
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise RecipeError(
                f"{self.root} holds a run of another recipe: {first}{more}. "
                "Choose another --out, or start over with --fresh."
            )

    def provenance(self) -> dict[str, Any]:
        """Return what `start` wrote about the environment."""
        found: dict[str, Any] = json.loads((self.root / "provenance.json").read_text(encoding="utf-8"))
        return found

    # --- records --------------------------------------------------------------------------------

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        try:
            with (self.root / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise ResourceError(
                f"{self.root / 'metrics.jsonl'} cannot be written: {error.strerror}."
            ) from error

    def rewind(self, step: int) -> list[dict[str, Any]]:
        """Drop records after `step`, which the run will take again, and return those that stay."""
        path = self.root / "metrics.jsonl"
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                record = json.loads(line)
            except ValueError:  # the line that a killed process did not finish
                break
            if record["step"] <= step:
                kept.append(record)
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        for folder in (self.root / "samples").glob("*"):
            if folder.name.isdigit() and int(folder.name) > step:
                shutil.rmtree(folder, ignore_errors=True)
        return kept

    def strips(self) -> list[tuple[int, list[Path]]]:
        """Return the pictures that are there, by step."""
        folders = sorted((f for f in (self.root / "samples").glob("*") if f.name.isdigit()), key=_step_of)
        return [(_step_of(folder), sorted(folder.glob("*.png"))) for folder in folders]

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        write_text(self.root / "summary.json", _json(summary))

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says, or nothing when there is none."""
        path = self.root / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def new_folder(name: str, *, under: Path = Path("runs")) -> Path:
    """Return a folder name that is not taken, with the time in it."""
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = under / stem, 2
    while path.exists():
        path, number = under / f"{stem}-{number}", number + 1
    return path


def provenance(recipe: Recipe, runtime: Runtime) -> dict[str, Any]:
    """Return what a reader must know to repeat or to doubt a run."""
    plugins = {
        (slot.entry.namespace, slot.entry.distribution, slot.entry.version) for slot in recipe.slots.values()
    }
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "i2i": i2i.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": _device_name(runtime.device),
        "runtime": runtime.record(),
        "plugins": [
            {"namespace": namespace, "distribution": distribution, "version": version}
            for namespace, distribution, version in sorted(plugins)
        ],
        "command": sys.argv[1:],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def _step_of(folder: Path) -> int:
    return int(folder.name)


def _told(value: Any) -> str:
    return "absent" if value is None else str(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
