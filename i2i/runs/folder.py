"""The folder of one run: what other programs read, and what the run itself needs to go on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from i2i._version import __version__
from i2i.errors import DataError, RecipeError, ResourceError
from i2i.plugins.versions import PROVENANCE, RESOLVED, plugin_versions
from i2i.recipe.recipe import Recipe
from i2i.runs import checkpoint
from i2i.runs.metrics_log import METRICS, read_records
from i2i.runs.model_files import MODEL, exported
from i2i.system.atomic import TEMPORARY, cannot_write, sync, sync_folder, write_bytes, write_text
from i2i.system.device import Runtime
from i2i.system.facts import processor
from i2i.system.lock import LOCK_FILE, held

SUMMARY = "summary.json"
ASIDE = ".damaged"
"""What the names of damaged records end with, of which new ones were written."""

TRACE = "trace.json"
"""Where a profile leaves its trace, also before there is a run."""

OWN_FILES = (
    "recipe.toml",
    PROVENANCE,
    METRICS,
    SUMMARY,
    "val.csv",
    "traceback.txt",
    TRACE,
    "report.html",
    MODEL,
    *(f"{name}{ASIDE}" for name in (PROVENANCE, SUMMARY)),
    RESOLVED,  # the last to be removed: while it is there, the folder holds a run
)
LONGEST_STEM = 120
"""Bytes of an image's id that its picture's name keeps."""

OWN_FOLDERS = ("samples", "worst", "checkpoints", "eval", "diverged")

_IN_PROVENANCE = {"recipe", "seed", "i2i", "python", "torch", "platform", "processor", "device"}
_IN_PROVENANCE |= {"runtime", "plugins"}
_IN_RUNTIME = {field.name for field in fields(Runtime)}


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
    def diverged(self) -> Path:
        """Where the networks of a run that diverged are kept, as they were before."""
        return self.root / "diverged"

    @property
    def model(self) -> Path:
        """The exported generator, or the first of several."""
        return self.root / MODEL

    def models(self) -> list[Path]:
        """Return the model files that are there, one for each exported generator."""
        return list(exported(self.root).values())

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
        return [("report", str(self.report)), *(("model", str(model)) for model in self.models())]

    def strip(self, step: int, name: str) -> Path:
        """Where the picture input | output | target of one image stands."""
        return self.root / "samples" / f"{step:06d}" / f"{file_name_of(name)}.png"

    @property
    def worst(self) -> Path:
        """Where the held-out images that scored worst at the last validation stand."""
        return self.root / "worst"

    def bytes_saved(self) -> int:
        """Return how many bytes the checkpoints and the model take."""
        paths = (*self.models(), *self.checkpoints.glob("*/*"))
        return sum(path.stat().st_size for path in paths if path.is_file())

    # --- starting -------------------------------------------------------------------------------

    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return (self.root / RESOLVED).is_file()

    def clear(self) -> None:
        """Remove what an earlier run left, if there was one, and nothing else.

        Raises ResourceError when something stays; then the folder still holds a run.
        """
        if not self.holds_run():
            return
        try:
            for name in OWN_FOLDERS:
                if (self.root / name).is_dir():
                    shutil.rmtree(self.root / name)
            for path in (*self.models(), *(self.root / name for name in OWN_FILES)):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"{error.filename or self.root} cannot be removed: {error.strerror}."
            ) from error

    def tidy(self) -> list[str]:
        """Remove what processes that were killed left half-written; return notes on what stays."""
        notes = checkpoint.tidy(self.checkpoints)
        for place in (self.root, self.worst, *(folder for folder, _ in self._pictures())):
            for leftover in place.glob(f"{TEMPORARY}*"):
                try:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
                except OSError as error:
                    notes.append(
                        f"{leftover} was left by an earlier run and cannot be removed: {error.strerror}."
                    )
        return notes

    def start(self, recipe: Recipe, provenance: Mapping[str, Any], *, over: bool = False) -> None:
        """Write down what is about to run; `over` an earlier run, whose folder may hold other files too.

        Raises RecipeError when the folder holds files of something else, ResourceError when it
        cannot be written.
        """
        # What a start that was cut off leaves behind is no reason to refuse.
        begun = (PROVENANCE, TEMPORARY, TRACE)
        names = {path.name for path in self.root.iterdir()} - {LOCK_FILE}
        if not over and any(not name.startswith(begun) for name in names):
            model = f", where generator.init_from = '{self.model}' goes on from the model that is there"
            raise RecipeError(
                f"{self.root} is not empty and holds no run; choose another --out"
                f"{model if self.model.exists() else ''}."
            )
        self.tidy()
        write_text(self.root / PROVENANCE, _json(provenance), durable=True)
        write_text(self.root / RESOLVED, recipe.to_toml(), durable=True)  # now it holds a run
        write_text(self.root / "recipe.toml", recipe.text)
        sync_folder(self.root)

    def take(self, recipe: Recipe) -> None:
        """Write down that the run goes on by `recipe`, which differs from that of its start."""
        write_text(self.root / RESOLVED, recipe.to_toml(), durable=True)
        write_text(self.root / "recipe.toml", recipe.text)

    def provenance(self) -> dict[str, Any]:
        """Return what `start` wrote about the environment; DataError where the most of it is lost."""
        found = self._read_json(PROVENANCE)
        return self._needed(PROVENANCE, found if found and {"runtime", "plugins"} <= found.keys() else None)

    def sound_provenance(self) -> dict[str, Any] | None:
        """Return what `start` wrote about the environment, or None where any of it is missing or damaged."""
        found = self._read_json(PROVENANCE)
        if found is None or not found.keys() >= _IN_PROVENANCE:
            return None
        runtime, plugins = found["runtime"], found["plugins"]
        sound = isinstance(runtime, dict) and runtime.keys() == _IN_RUNTIME and isinstance(plugins, list)
        return found if sound and len(plugin_versions(found)) == len(plugins) else None

    def rewrite(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a record anew; one that stands there, damaged, is set aside."""
        path = self.root / name
        if path.is_file():
            try:
                path.replace(path.with_name(f"{name}{ASIDE}"))
            except OSError as error:
                raise ResourceError(
                    f"{path} is damaged and cannot be set aside: {error.strerror}."
                ) from error
        write_text(path, _json(record), durable=True)

    def add_to_provenance(self, key: str, entry: Mapping[str, Any]) -> None:
        """Append `entry` to the list `key` of provenance.json."""
        about = self.provenance()
        entries = [*about.get(key, []), entry]
        write_text(self.root / PROVENANCE, _json(about | {key: entries}), durable=True)

    # --- records --------------------------------------------------------------------------------

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        path, line = self.root / METRICS, json.dumps(plain(record)) + "\n"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise cannot_write(path, error, needed=len(line)) from error

    def rewind(self, step: int, *, validated: bool = True) -> tuple[list[dict[str, Any]], list[str]]:
        """Drop records after `step`, which the run will take again; return those that stay, and notes.

        Without `validated`, the validation of `step` itself will be made again too.
        """
        path = self.root / METRICS
        found = read_records(path, upto=step, validated=validated)
        write_bytes(path, b"".join(line + b"\n" for line in found.lines))
        for folder, shown_at in self._pictures():
            if shown_at > step:
                shutil.rmtree(folder, ignore_errors=True)
        return found.records, found.notes

    def strips(self) -> list[tuple[int, list[Path]]]:
        """Return the pictures that are there, by step."""
        return [(step, sorted(folder.glob("*.png"))) for folder, step in self._pictures()]

    def _pictures(self) -> list[tuple[Path, int]]:
        """Return the folders of pictures with their steps, in the order of these."""
        folders = (self.root / "samples").glob("*")
        found = [(folder, int(folder.name)) for folder in folders if folder.name.isdecimal()]
        ours = [(folder, step) for folder, step in found if folder.name == f"{step:06d}"]
        return sorted(ours, key=lambda place: place[1])

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        write_text(self.root / SUMMARY, _json(summary))

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says, or nothing when there is none; DataError where it is damaged."""
        if not (self.root / SUMMARY).is_file():
            return {}
        return self._needed(SUMMARY, self.sound_summary())

    def sound_summary(self) -> dict[str, Any] | None:
        """Return what summary.json says, or None where it is missing or damaged."""
        return self._read_json(SUMMARY)

    def sync(self) -> None:
        """Wait until metrics.jsonl is on the disk."""
        if (self.root / METRICS).exists():
            sync(self.root / METRICS)

    def _needed(self, name: str, found: dict[str, Any] | None) -> dict[str, Any]:
        if found is None:
            raise DataError(
                f"{self.root / name} is missing or damaged; i2i run with --out {self.root} writes it anew."
            )
        return found

    def _read_json(self, name: str) -> dict[str, Any] | None:
        path = self.root / name
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResourceError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def now() -> str:
    """Return the time as the records of a run have it: ``2026-01-31T09:30:00+0100``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def provenance(recipe: Recipe, runtime: Runtime, *, command: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what a reader must know to repeat or to doubt a run.

    `command` is what a person typed to start it, after the program's name; None for a run made from Python.
    """
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
        "plugins": plugin_records(recipe),
        **({} if command is None else {"command": list(command)}),
        "started": now(),
    }


def plugin_records(recipe: Recipe) -> list[dict[str, str]]:
    """Return the plug-ins of a recipe's components, with the versions that are installed."""
    plugins = {
        (slot.entry.namespace, slot.entry.distribution, slot.entry.version) for slot in recipe.slots.values()
    }
    return [
        {"namespace": namespace, "distribution": distribution, "version": version}
        for namespace, distribution, version in sorted(plugins)
    ]


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def file_name_of(name: str) -> str:
    """Return an image's id as the stem of a file; where that changes it, a hash keeps it apart from others.

    Some file systems take two spellings of a letter for one name, and none takes more than 255 bytes: an id
    of few ASCII letters, digits, and `-`, `_` or `.` inside it stays as it is.
    """
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    while len(safe.encode()) > LONGEST_STEM:
        safe = safe[:-1]
    if safe == name and name.isascii() and not name.startswith("."):
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{safe.lstrip('.')}-{digest}"


def plain(value: Any) -> Any:
    """Return a JSON value in which what is no finite number is null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(plain(value), indent=2) + "\n"
