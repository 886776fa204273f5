"""Image pairs from a list: a CSV file with a header, or JSON Lines.

Columns `source` and `target`, or those that the recipe names; `split` and `id` where present. Paths are
relative to the list. Files are looked for, but not opened; a row that names none is a problem.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i.core.data.records import Listing, PairFiles, SideNames
from i2i.core.data.splits import ByName, named_split
from i2i.errors import DataError, MissingSplitError, Problem
from i2i.images import composed, is_image, stem
from i2i.kinds import Split

_COLUMNS = "columns are told apart by commas; data.source and data.target name others than source and target"

NAMES = ("manifest.csv", "manifest.jsonl")
"""The names under which a folder's manifest is found."""


_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")


def find(root: Path) -> Path | None:
    """Return the manifest that `root` is or holds; raise DataError for two, and for another kind of file."""
    if root.is_file():
        _check_kind(root)
        return root
    found = [root / name for name in NAMES if (root / name).is_file()]
    if len(found) > 1:
        message = f"'{root}' holds {' and '.join(NAMES)}."
        raise DataError(Problem(message, where="data.root", hint="make data.root the one that is meant"))
    return found[0] if found else None


def _check_kind(path: Path) -> None:
    """Raise DataError, with what to give instead, for a file that cannot be a manifest by its suffix."""
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES:
        message, hint = "this is an archive.", "unpack it, and give the folder of the pairs as data.root"
    elif is_image(path.name):
        message, hint = "this is one image.", "data.root is the folder of the image pairs, or a manifest"
    elif suffix == ".json":
        message = "a list of pairs is JSON Lines, not JSON."
        hint = 'write one object a line, like {"source": "a/1.png", "target": "b/1.png"}, into a .jsonl file'
    elif suffix == ".toml":
        message, hint = "this is a recipe.", "data.root is the folder of the image pairs, or a manifest"
    else:
        return
    raise DataError(Problem(message, where="data.root", file=str(path), hint=hint))


def read(
    path: Path, split: Split, *, sides: SideNames, by_name: ByName, extra: Sequence[str] = ()
) -> Listing:
    """Return the pairs of one split, with the files in the columns `extra`.

    Rows without a `split` fall into one by their id: their own, or the path of their (first) source
    without its suffix. Where every row has one and none is for val, some of train are kept for it
    by their id.
    """
    columns = sides.names if sides.named else ("source", "target")
    wanted = (*columns, *extra)
    rows = list(_json_lines(path) if path.suffix.lower() == ".jsonl" else _csv(path, wanted))
    words = {named_split(str(row.get("split") or "")) for _, row in rows}
    shared_out = by_name.shares[1] > 0 and "train" in words and not words & {"val", None}
    rule = by_name.without_test() if shared_out else by_name
    kept = 0
    pairs: dict[str, tuple[int, PairFiles]] = {}
    problems: list[Problem] = []
    counts: dict[Split, int] = {"train": 0, "val": 0, "test": 0}
    for line, row in rows:
        names = [str(row.get(column) or "").strip() for column in wanted]
        identity = composed(str(row.get("id") or "").strip() or stem(names[0]))
        word = str(row.get("split") or "").strip()
        chosen = named_split(word) if word else by_name.split(identity)
        if shared_out and chosen == "train":
            chosen = rule.split(identity)
            kept += chosen == "val"
        if chosen is not None:
            counts[chosen] += 1
        if chosen not in (split, None):
            continue
        files = [path.parent / name for name in names]
        problem = _problem(row, wanted, names, files, word if chosen is None else "")
        if identity in pairs and not problem:
            problem = f"the id '{identity}' is that of line {pairs[identity][0]} too."
        if problem:
            problems.append(Problem(problem, file=str(path), line=line))
        else:
            own, more = files[: len(columns)], files[len(columns) :]
            pairs[identity] = line, PairFiles(identity, tuple(own), tuple(more))
    if not any(counts.values()) and not problems:
        raise DataError(Problem("the manifest has no rows.", file=str(path)))
    if not counts[split]:
        there = ", ".join(f"{count} for {name}" for name, count in counts.items() if count)
        message = f"the manifest has no pair for {split}; it has {there or 'none at all'}."
        hint = "a column `split` says which split a row is for; without it, data.splits are the shares"
        raise MissingSplitError(Problem(message, file=str(path), hint=hint))
    title = f"{path.name}, columns {', '.join(wanted)}"
    note = (
        f"no row is for val: {kept:,} of the {counts['train'] + kept:,} pairs of train are kept for it, "
        "chosen by their ids (data.splits = [1, 0, 0] keeps none)"
    )
    notes = (note,) if kept and split != "test" else ()
    return Listing(title, tuple(pair for _, pair in pairs.values()), tuple(problems), notes)


def _problem(
    row: Mapping[str, Any], columns: tuple[str, ...], names: list[str], files: list[Path], strange_split: str
) -> str:
    """Return what is wrong with a row, in a sentence, or nothing."""
    absent = [column for column, name in zip(columns, names, strict=True) if not name]
    if absent:
        return f"this row names no {' and no '.join(absent)}; its columns: {', '.join(map(str, row))}."
    if strange_split:
        return f"'{strange_split}' is no split: there are train, val and test."
    gone = [str(file) for file in files if not os.path.isfile(file)]
    return f"there is no file {' and no file '.join(gone)}." if gone else ""


def _csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            there = reader.fieldnames or []
            absent = [column for column in columns if column not in there]
            if there and absent:
                lacking, others = " and no column ".join(absent), ", ".join(there)
                message = f"the manifest has no column {lacking}; it has {others}."
                raise DataError(Problem(message, file=str(path), line=1, hint=_COLUMNS))
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if key is not None}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(Problem(f"the manifest cannot be read: {error}.", file=str(path))) from error


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, 1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise ValueError(f"line {line} is no object in braces")
                    yield line, row
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(Problem(f"the manifest cannot be read: {error}.", file=str(path))) from error
