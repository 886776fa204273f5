"""The model file that a path stands for, with the name of a generator where there are several."""

from __future__ import annotations

from pathlib import Path

from i2i.errors import DataError, RecipeError, did_you_mean
from i2i.runs.folder import RunFolder
from i2i.runs.model_files import exported, header_entry


def model_in(path: Path, generator: str | None = None) -> Path:
    """Return the model file that `path` stands for: one in a run's folder, or else `path` itself.

    In a folder `generator` says which of the exported generators it is to hold, by default the first. Raises
    DataError for a folder that holds no run, or one whose run has written no model yet, RecipeError for a
    generator that is not there.
    """
    if not path.is_dir():
        if generator not in (None, own := header_entry(path, "name") or "main") and path.is_file():
            raise RecipeError(
                f"{path} holds the generator '{own}' alone, and not '{generator}': give the folder of its "
                "run, which has a file for each that it exports."
            )
        return path
    run = RunFolder(path)
    if not run.holds_run():
        raise DataError(f"{path} holds no run; give the folder of one, or a model file.")
    if not run.model.is_file():
        raise DataError(f"{path} holds a run that has written no {run.model.name} yet: go on with it first.")
    if generator is None:
        return run.model
    there = exported(run.root)
    if generator not in there:
        close = did_you_mean(generator, there) or f"; it has {', '.join(there)}"
        raise RecipeError(f"{path} has no model of a generator '{generator}'{close}")
    return there[generator]
