"""What figures were made on, and how they are told in a table."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from i2i import __version__
from i2i.system.facts import processor, usable_cores

ROOT = Path(__file__).parents[2]


def facts(device: str) -> dict[str, str]:
    """Return the card, or the processor, and the versions of all that computes on it."""
    on_card = torch.device(device).type == "cuda"
    driver = said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "card": torch.cuda.get_device_name(device) if on_card else "none",
        "processor": f"{processor()}, {usable_cores()} cores",
        "driver": driver if on_card else "-",
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "i2i": f"{__version__}, commit {commit(ROOT)}",
        "date": time.strftime("%Y-%m-%d"),
    }


def commit(folder: Path) -> str:
    """Return the commit of a checkout, "-dirty" added where files differ from it."""
    return said("git", "-C", str(folder), "describe", "--always", "--dirty")


def said(*command: str) -> str:
    """Return the first line that a command prints; "unknown" where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.partition("\n")[0].strip() or "unknown"


def as_markdown(about: Mapping[str, str], headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return facts as a list and rows as a table."""
    lines = [f"* {name}: {value}" for name, value in about.items()]
    lines += ["", *(_line(cells) for cells in (headings, ["---"] * len(headings), *rows))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |"


def write_results(
    path: Path, about: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, shown: str
) -> None:
    """Write results: as JSON where the file is called so, otherwise `shown`, which is Markdown."""
    told = json.dumps({"about": about, "rows": rows}, indent=1) + "\n" if path.suffix == ".json" else shown
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(told, encoding="utf-8")
