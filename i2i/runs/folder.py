"""The folder of one run: what other programs read, and what the run itself needs to go on."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from i2i._version import __version__
from i2i.errors import DataError, RecipeError, ResourceError
from i2i.plugins.versions import RESOLVED, beside
from i2i.recipe.recipe import Recipe, differences, read_resolved
from i2i.system.atomic import TEMPORARY, sync, sync_folder, write_text
from i2i.system.device import Runtime
from i2i.system.facts import processor
from i2i.system.lock import held

OWN_FILES = (
    "recipe.toml",
    "resolved.toml",
    "provenance.json",
    "metrics.jsonl",
    "summary.json",
    "val.csv",
    "traceback.txt",
    "report.html",
    "model.safetensors",
)
OWN_FOLDERS = ("samples", "checkpoints", "eval")


@dataclass(frozen=True)
class RunFolder:
    """Paths and records under `root`."""

    root: Path

    @classmethod
    @contextmanager
    def held(cls, root: Path) -> Iterator[RunFolder]:
        """Hold `root` for this process alone; it is made if need be, and removed if it stays empty.

        Raises RecipeError when another process is running there, ResourceError when it cannot be used.
        """
        with held(root):
            yield cls(root)

    @classmethod
    @contextmanager
    def new(cls, name: str, *, under: Path = Path("runs")) -> Iterator[RunFolder]:
        """Hold a new folder with the time in its name."""
        stem, number = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", 1
        root = under / stem
        while True:
            try:
                root.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
                root = under / f"{stem}-{number}"
            except OSError as error:
                raise ResourceError(f"{root} cannot be made: {error.strerror}.") from error
        try:
            with cls.held(root) as folder:
                yield folder
        finally:
            with suppress(OSError):
                root.rmdir()

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints stand, one folder a step."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The exported generator."""
        return self.root / "model.safetensors"

    @property
    def images(self) -> Path:
        """What the exported generator scores on each validation image, a row for each."""
        return self.root / "val.csv"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"

    @property
    def traceback(self) -> Path:
        """Where a run that failed by a bug, ours or a component's, leaves its traceback."""
        return self.root / "traceback.txt"

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
        """Remove what an earlier run left, if there was one, and nothing else."""
        if not self.holds_run():
            return
        for name in OWN_FILES:
            (self.root / name).unlink(missing_ok=True)
        for name in OWN_FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def start(self, recipe: Recipe, provenance: Mapping[str, Any]) -> None:
        """Write down what is about to run.

        Raises RecipeError when the folder holds files of something else, ResourceError when it
        cannot be written.
        """
        # What a start that was cut off leaves behind is no reason to refuse.
        begun = ("provenance.json", TEMPORARY)
        if any(not path.name.startswith(begun) for path in self.root.iterdir()):
            raise RecipeError(f"{self.root} is not empty and holds no run; choose another --out.")
        write_text(self.root / "provenance.json", _json(provenance), durable=True)
        write_text(self.root / "resolved.toml", recipe.to_toml(), durable=True)  # now it holds a run
        write_text(self.root / "recipe.toml", recipe.text)
        sync_folder(self.root)

    def check_same(self, recipe: Recipe) -> None:
        """Raise RecipeError when the run here was started from another recipe."""
        changed = differences(read_resolved(self.root / "resolved.toml"), recipe.table)
        if changed:
            key, before, after = changed[0]
            first = f"{key} was {_told(before)}, now {_told(after)}"
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise RecipeError(
                f"{self.root} holds a run of another recipe: {first}{more}.{self._skew(recipe, key)} "
                "Choose another --out, or start over with --fresh."
            )

    def _skew(self, recipe: Recipe, key: str) -> str:
        """Say that the run was begun with another version of the plug-in behind `key`, if it was."""
        used = next((slot for path, slot in recipe.slots.items() if f"{key}.".startswith(f"{path}.")), None)
        if used is None:
            return ""
        then, now = beside(self.root / RESOLVED), f"{used.entry.distribution} {used.entry.version}"
        before = then.get(used.entry.namespace, now)
        return "" if before == now else f" It was begun with {before}, and installed is {now}."

    def provenance(self) -> dict[str, Any]:
        """Return what `start` wrote about the environment."""
        return self._read_json("provenance.json", needs=("runtime", "plugins"))

    # --- records --------------------------------------------------------------------------------

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        try:
            with (self.root / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(plain(record)) + "\n")
        except OSError as error:
            raise ResourceError(
                f"{self.root / 'metrics.jsonl'} cannot be written: {error.strerror}."
            ) from error

    def rewind(self, step: int) -> tuple[list[dict[str, Any]], list[str]]:
        """Drop records after `step`, which the run will take again; return those that stay, and notes."""
        path, kept, notes = self.root / "metrics.jsonl", [], []
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if record["step"] <= step:
                    kept.append(record)
            except (ValueError, TypeError, KeyError):
                if number < len(lines):  # the last one a killed process may have left unfinished
                    notes.append(f"{path}:{number} is damaged and was left out.")
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        for folder in (self.root / "samples").glob("*"):
            if folder.name.isdigit() and int(folder.name) > step:
                shutil.rmtree(folder, ignore_errors=True)
        return kept, notes

    def strips(self) -> list[tuple[int, list[Path]]]:
        """Return the pictures that are there, by step."""
        folders = sorted((f for f in (self.root / "samples").glob("*") if f.name.isdigit()), key=_step_of)
        return [(_step_of(folder), sorted(folder.glob("*.png"))) for folder in folders]

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        write_text(self.root / "summary.json", _json(summary))

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says, or nothing when there is none."""
        return self._read_json("summary.json") if (self.root / "summary.json").is_file() else {}

    def sync(self) -> None:
        """Wait until metrics.jsonl is on the disk."""
        if (self.root / "metrics.jsonl").exists():
            sync(self.root / "metrics.jsonl")

    def _read_json(self, name: str, *, needs: tuple[str, ...] = ()) -> dict[str, Any]:
        path = self.root / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or not all(key in found for key in needs):
            raise DataError(f"{path} is missing or damaged: this run cannot go on; start over with --fresh.")
        return found


def model_in(path: Path) -> Path:
    """Return the model file that `path` stands for: the one in a run's folder, or else `path` itself.

    Raises DataError for a folder that holds no run, or one whose run has written no model yet.
    """
    if not path.is_dir():
        return path
    run = RunFolder(path)
    if not run.holds_run():
        raise DataError(f"{path} holds no run; give the folder of one, or a model file.")
    if not run.model.is_file():
        raise DataError(f"{path} holds a run that has written no {run.model.name} yet: go on with it first.")
    return run.model


def provenance(recipe: Recipe, runtime: Runtime) -> dict[str, Any]:
    """Return what a reader must know to repeat or to doubt a run."""
    plugins = {
        (slot.entry.namespace, slot.entry.distribution, slot.entry.version) for slot in recipe.slots.values()
    }
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "i2i": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": processor(),
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


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def _step_of(folder: Path) -> int:
    return int(folder.name)


def _told(value: Any) -> str:
    return "absent" if value is None else str(value)


def plain(value: Any) -> Any:
    """Return a JSON value in which what is no finite number is null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(plain(value), indent=2) + "\n"
