"""An earlier training on disk: which file holds which network, and which run is the newest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from i2i.errors import DataError
from i2i.kind_table import NETWORK_SECTIONS
from i2i.plugins.versions import RESOLVED
from i2i.runs import checkpoint
from i2i.runs.folder import SUMMARY, RunFolder
from i2i.runs.metrics_log import METRICS
from i2i.runs.model_choice import model_in
from i2i.runs.model_files import header_entry

_MAIN = "generators.main"
_SUFFIX = ".safetensors"


def network_file(path: str) -> str:
    """Return which file of a checkpoint holds the network at `path`, like ``generators.main``."""
    return f"{'generator' if path == _MAIN else path}{_SUFFIX}"


@dataclass(frozen=True)
class EarlierNetworks:
    """The weights files of an earlier training, found under `place`.

    `model` is the exported generator; None in a checkpoint, which has it among its `networks`: those of the
    newest checkpoint, by their paths. A model file alone has no others, unless it holds all that a method
    translates with.
    """

    place: Path
    model: Path | None
    networks: Mapping[str, Path] = field(default_factory=dict)


def earlier_networks(place: Path) -> EarlierNetworks:
    """Return the networks that a model file, a run's folder or a checkpoint's folder holds.

    Raises DataError for a folder that is neither, a run without a model, a checkpoint that is damaged.
    """
    if not place.is_dir():
        return EarlierNetworks(place, place, dict.fromkeys(header_entry(place, "networks") or (), place))
    if (place / checkpoint.MANIFEST).is_file():
        if checkpoint.verified(place.resolve()) is None:
            raise DataError(
                f"{place} is no sound checkpoint: its files or its name are not those that its "
                f"{checkpoint.MANIFEST} lists; give another one, or the run's folder."
            )
        return EarlierNetworks(place, None, _networks_in(place))
    model = model_in(place)
    newest = checkpoint.newest(RunFolder(place).checkpoints)
    return EarlierNetworks(place, model, _networks_in(newest.folder) if newest else {})


def _networks_in(folder: Path) -> dict[str, Path]:
    """Return the weights files of networks in a checkpoint's folder, by the networks' paths."""
    files = {file.name.removesuffix(_SUFFIX): file for file in sorted(folder.glob(f"*{_SUFFIX}"))}
    paths = {_MAIN if file.name == network_file(_MAIN) else stem: file for stem, file in files.items()}
    return {path: file for path, file in paths.items() if path.partition(".")[0] in NETWORK_SECTIONS}


def newest_run(under: Path) -> Path | None:
    """Return the folder directly below `under` whose run was started or written to last, if there is one."""
    runs = [path.parent for path in under.glob(f"*/{RESOLVED}")]
    return max(runs, key=lambda folder: (_last_written(folder), folder.name), default=None)


def _last_written(folder: Path) -> int:
    """Return when a run was last written to, in nanoseconds: as it started, trained or ended."""
    records = (folder / name for name in (RESOLVED, METRICS, SUMMARY))
    return max((record.stat().st_mtime_ns for record in records if record.is_file()), default=0)
