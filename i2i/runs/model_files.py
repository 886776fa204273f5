"""Which file of a run's folder holds which of its exported generators, and which one a person means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors

MODEL = "model.safetensors"
"""The file of a run's first exported generator; the others have their names in those of their files."""


def model_name(generator: str, exports: Sequence[str]) -> str:
    """Return the name of the file that holds a generator, of those that a method exports."""
    return MODEL if generator == exports[0] else f"model-{generator}.safetensors"


def header_entry(path: Path, entry: str) -> Any:
    """Return an entry of a weights file's header, decoded but unverified; None where it has none."""
    unreadable = suppress(OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError)
    with unreadable, safetensors.safe_open(str(path), framework="pt") as file:
        return json.loads((file.metadata() or {})[entry])
    return None


def exported(root: Path) -> dict[str, Path]:
    """Return the model files in a run's folder by the names of their generators, the first exported first.

    A person may have put other files there: of these names, those are the run's that hold the generator which
    they are called after.
    """
    first = root / MODEL
    found = {str(header_entry(first, "name") or "main"): first} if first.is_file() else {}
    for path in sorted(root.glob("model-*.safetensors")):
        name = path.stem.removeprefix("model-")
        if header_entry(path, "name") == name:
            found.setdefault(name, path)
    return found
