"""The word `latest` in place of a run's folder, on the command line alone: the newest run under runs/."""

from __future__ import annotations

from pathlib import Path

from i2i.cli.render import print_note
from i2i.errors import RecipeError

LATEST = "latest"


def run_or_path(text: str) -> Path:
    """Read an argument that names a run or a model: `latest` is the newest run, anything else a path.

    A file or a folder with that name is written ``./latest``. Raises RecipeError where there is no run.
    """
    if text != LATEST:
        return Path(text)
    from i2i.runs.earlier import newest_run

    under = Path("runs")
    newest = newest_run(under)
    if newest is None:
        raise RecipeError(
            f"`{LATEST}` is the newest run under {under}/, and there is none: give the folder of a run. "
            f"A file or a folder with that name is ./{LATEST}."
        )
    print_note(f"{LATEST} is {newest}")
    return newest
