"""What a benchmark's folder remembers from one call to the next: benchmark.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from i2i.bench.cells import Conditions
from i2i.bench.rehearsal import Rehearsal
from i2i.bench.results import SCHEMA
from i2i.errors import DataError, RecipeError
from i2i.system.atomic import TEMPORARY, write_text
from i2i.system.lock import LOCK_FILE

FILE = "benchmark.json"


@dataclass(frozen=True)
class SecondsAsSteps:
    """How many steps stand for a budget of `seconds`; `baseline` is the key of the recipe that was timed."""

    seconds: float
    baseline: str
    steps: int


@dataclass(frozen=True)
class SecondsEach:
    """How many steps stand for `seconds` of each training, by its key (`keys.training_of`)."""

    seconds: float
    steps: Mapping[str, int]


@dataclass(frozen=True)
class State:
    """What was chosen and found out once.

    `tried` has the key of each variant's recipe as it was when `rehearsals` were made, and `files` a digest
    of the files of their data. `fingerprint` is of what results.json answers, None where that is not known.
    """

    name: str
    base: str
    schema: int = SCHEMA
    fingerprint: str | None = None
    runtime: Conditions | None = None
    tried: Mapping[str, str] = field(default_factory=dict)
    files: str = ""
    rehearsals: Mapping[str, Rehearsal] = field(default_factory=dict)
    seconds: SecondsAsSteps | None = None
    seconds_each: SecondsEach | None = None


def read_state(root: Path, *, name: str, base: str) -> State:
    """Return what an earlier call of the benchmark `name` of the recipe `base` wrote, or an empty state.

    Raises RecipeError for a folder of something else, DataError for a damaged file.
    """
    path = root / FILE
    if not path.is_file():
        begun = (TEMPORARY, LOCK_FILE)  # what a start that was cut off leaves behind
        if root.is_dir() and any(not path.name.startswith(begun) for path in root.iterdir()):
            raise RecipeError(f"{root} is not empty and holds no benchmark; choose another --out.")
        return State(name, base)
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        # First of all: another schema may look like anything.
        if isinstance(written, dict) and "name" in written and written.get("schema") != SCHEMA:
            raise RecipeError(f"{path} was written by another version of i2i; choose another --out.")
        state = _STATE.validate_python(written)
    except (OSError, ValueError):
        raise DataError(f"{path} is damaged; choose another --out.") from None
    if (state.name, state.base) != (name, base):
        raise RecipeError(
            f"{root} holds another benchmark, '{state.name}' of {state.base}; choose another --out."
        )
    return state


def write_state(root: Path, state: State) -> None:
    """Write `state`, to be there even after a loss of power."""
    write_text(root / FILE, json.dumps(asdict(state), indent=2) + "\n", durable=True)


_STATE = TypeAdapter(State)
