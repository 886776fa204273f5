"""What a training begins with, once all of it was decided: by one process, for each that takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.data.fingerprint import Fingerprint
from i2i.recipe.recipe import Recipe
from i2i.runs.folder import RunFolder
from i2i.system.device import Runtime


@dataclass(frozen=True)
class Settled:
    """The recipe with its length in steps, what it computes on, and where it writes.

    `about` is the run's provenance, `marks` are the fingerprints of its data; `resumes` says that there is a
    checkpoint to go on from, and `stop_at` after which step it shall end early.
    """

    recipe: Recipe
    runtime: Runtime
    folder: RunFolder
    about: Mapping[str, Any]
    marks: Mapping[str, Fingerprint]
    resumes: bool
    stop_at: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON, for processes that have been given the same recipe."""
        return {
            "recipe": self.recipe.to_toml(),
            "runtime": self.runtime.record(),
            "folder": str(self.folder.root),
            "about": dict(self.about),
            "marks": dict(self.marks),
            "resumes": self.resumes,
            "stop_at": self.stop_at,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], recipe: Recipe) -> Settled:
        """Return what another process has settled; `recipe` is the one that was given to this one."""
        return cls(
            recipe=recipe.as_resolved(found["recipe"]),
            runtime=Runtime(**found["runtime"]),
            folder=RunFolder(Path(found["folder"])),
            about=found["about"],
            marks=found["marks"],
            resumes=found["resumes"],
            stop_at=found["stop_at"],
        )
