"""A data set of the Hugging Face hub at one commit, as pairs that can be packed.

The library downloads it, as Parquet or Arrow files alone: what would need a script, or could hold pickled
objects, is refused. Not tried against the hub itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from i2i.errors import DataError, MissingSplitError, RecipeError, ResourceError, did_you_mean, in_a_line
from i2i.kinds import Data, Split
from i2i_datasets.folders import SPLIT_NAMES
from i2i_datasets.rows import Rows
from i2i_datasets.tables import Table

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check_name(name: str, revision: str) -> None:
    """Raise RecipeError for what is no name of a data set, or no commit."""
    if not _NAME.fullmatch(name):
        raise RecipeError(f"'{name}' is no name of a data set on the hub, which is OWNER/NAME.")
    if not _COMMIT.fullmatch(revision):
        raise RecipeError(
            f"'{revision}' is no commit: give the 40 digits of one as --revision, for a branch may change."
        )


def parse_splits(texts: Iterable[str]) -> dict[Split, str]:
    """Return where each split comes from, of texts like ``val=train[90%:]``; RecipeError for any other."""
    found: dict[Split, str] = {}
    for text in texts:
        name, equals, theirs = text.partition("=")
        split = next((split for split in get_args(Split) if split == name), None)
        if split is None or not equals or not theirs:
            close = did_you_mean(name, get_args(Split))
            raise RecipeError(f"--split '{text}' is not like val=validation or val=train[90%:]{close}")
        found[split] = theirs
    return found


def fetched(path: str, *, revision: str | None, config: str | None, cache: Path) -> Any:
    """Return the library's builder of a data set, whose files are in the folder `cache` by then.

    `path` is a name on the hub, or a folder on this machine that is as one there. Raises ResourceError where
    it cannot be had, DataError where its files are not Parquet or Arrow.
    """
    from datasets import load_dataset_builder
    from datasets.packaged_modules.arrow.arrow import Arrow
    from datasets.packaged_modules.parquet.parquet import Parquet

    with _had(path):
        builder = load_dataset_builder(path, config, revision=revision, cache_dir=str(cache))
    if not isinstance(builder, (Parquet, Arrow)):
        raise DataError(
            f"{path} is not stored as Parquet or Arrow files, and no others are read: its commits under "
            "refs/convert/parquet may have these."
        )
    if revision is not None:
        _check_files(builder, path, revision)
    with _had(path):
        builder.download_and_prepare()
    return builder


@contextmanager
def _had(path: str) -> Iterator[None]:
    """Say in a sentence why a data set cannot be had; the library draws no bars of its own meanwhile."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    drawn = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except Exception as error:  # the library's, its client's, or that of what they speak through
        raise ResourceError(f"{path} cannot be had: {in_a_line(error)}") from error
    finally:
        if drawn:
            enable_progress_bars()


def _check_files(builder: Any, name: str, revision: str) -> None:
    """Raise DataError where a data set is of other files than those of its commit.

    The page of a data set may name files of anywhere, and the library takes a folder of that name on this
    machine for it.
    """
    own = f"hf://datasets/{name}@{revision}/"
    files = [str(file) for each in (builder.config.data_files or {}).values() for file in each]
    strange = next((file for file in files if not file.startswith(own)), None)
    if strange is not None or not files:
        raise DataError(f"{name} is of files that are not its own at this commit, such as {strange}.")


def opener(
    builder: Any, *, name: str, columns: Sequence[str], ids: str | None, splits: Mapping[Split, str]
) -> Callable[[Split], Data]:
    """Return what opens the splits of a data set that was fetched; `columns` are source and target.

    `splits` says where each comes from, in the library's words; left out, those of the same names.
    """
    there = [str(split) for split in builder.info.splits or ()]

    def opened(split: Split) -> Data:
        own = next((other for other in SPLIT_NAMES[split] if other in there), None)
        theirs = splits.get(split) if splits else own
        if theirs is None:
            raise MissingSplitError(f"{name} has no split {split}; its splits: {', '.join(there)}.")
        try:
            found = builder.as_dataset(split=theirs)
        except (ValueError, AssertionError) as error:
            raise RecipeError(f"--split {split}={theirs} cannot be had: {in_a_line(error)}") from error
        table = Table(found.with_format("arrow")[:])
        return Rows(table, place=f"{name}: {theirs}", columns=columns, ids=ids)

    return opened
