"""Writing a pack: pairs of any data set into Arrow files, whole or not at all, a few in memory at a time."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, get_args

import pyarrow as pa

from i2i.errors import (
    DataError,
    MissingSplitError,
    NoUsablePairError,
    Problem,
    RecipeError,
    ResourceError,
    shortened,
)
from i2i.images import DEPTHS
from i2i.kinds import Data, ImageSpec, Scale, Side, Split
from i2i_datasets import manifest
from i2i_datasets.folders import ARROW
from i2i_datasets.manifest import FORMAT, LeftOut, Manifest, SplitRecord, Storage
from i2i_datasets.rows import Rows
from i2i_datasets.saved import write_around
from i2i_datasets.storage import encode, storage_for

OnBad = Literal["refuse", "skip"]
Opened = Callable[[Split], Data]
"""Opens a split; raises MissingSplitError for one that is not there."""

BATCH_PAIRS, BATCH_BYTES = 1000, 2**23
"""Pairs, and bytes of pairs, after which a batch of them is written."""

MOST_TOLD = 20
"""Problems that are spelled out before the others are only counted."""

UNFINISHED = ".i2i-"
"""How the name of an unfinished pack's folder begins."""


class Watch(Protocol):
    """Passes on what goes by: (things, how many, what for)."""

    def __call__(self, things: Iterable[int], count: int, what: str, /) -> Iterable[int]: ...


def unwatched(things: Iterable[int], _count: int, _what: str, /) -> Iterable[int]:
    """Pass on what goes by, and show nothing."""
    return things


def quiet(text: str) -> None:
    """Take a sentence for the person, and say nothing."""


@dataclass
class Summed:
    """A file that keeps count of what is written to it, and its sha256."""

    file: BinaryIO
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    closed: bool = False

    def write(self, data: Any) -> int:
        """Write bytes, and count them."""
        self.digest.update(data)
        self.size += memoryview(data).nbytes
        return self.file.write(data)

    def flush(self) -> None:
        """Hand on what is written."""
        self.file.flush()

    def close(self) -> None:
        """Take no more; the file itself is closed by whoever opened it."""
        self.closed = True


def pack(
    opened: Opened,
    out: Path,
    *,
    source: str,
    on_bad: OnBad = "refuse",
    watch: Watch = unwatched,
    note: Callable[[str], None] = quiet,
) -> Manifest:
    """Write all splits of a data set as a pack to the folder `out`, in the order that they have.

    `source` says in words where the pairs come from. What cannot be used is refused, or, with "skip", left
    out and listed in the manifest. `note` takes sentences for the person.

    Raises RecipeError where `out` is there, DataError for pairs that cannot be used, ResourceError where it
    cannot be written; then nothing is left of it.
    """
    with unfinished(out) as folder:
        splits: dict[Split, SplitRecord] = {}
        missing: MissingSplitError | None = None
        told: list[str] = []
        noted: list[str] = []
        for split in get_args(Split):
            try:
                data = opened(split)
            except MissingSplitError as error:
                missing = missing or error
                note(f"no {split}: {error.problems[0].message}")
                continue
            for text in getattr(data, "notes", ()):
                if text not in noted:  # of several splits the same
                    noted.append(text)
                    note(text)
            if credit := getattr(data, "credit", ""):
                told.append(credit)
            splits[split] = _packed(data, split, folder / split, on_bad=on_bad, watch=watch)
        if not splits:
            raise missing or DataError("there are no pairs to pack.")
        credit = " ".join(dict.fromkeys(told))
        said = Manifest(format=FORMAT, written_by=_written_by(), source=source, credit=credit, splits=splits)
        write_around(folder, splits, credit=said.credit)
        manifest.write(folder, said)
    return said


def check_new(out: Path) -> None:
    """Raise RecipeError where the folder to write is there already."""
    if out.exists() or out.is_symlink():
        raise RecipeError(f"{out} is there already: name another folder, or remove it first.")


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Make a folder beside `out`, which becomes `out` at the end, and is removed if there is no such end.

    Raises RecipeError where `out` is there already, ResourceError where nothing can be written.
    """
    check_new(out)
    above = [parent for parent in out.absolute().parents if not parent.exists()]
    folder = out.absolute().parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.exists():
            raise RecipeError(f"{out} has come to be meanwhile: nothing was written.")
        folder.rename(out)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResourceError(f"{out} cannot be written: {reason}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not out.exists():
            with suppress(OSError):  # somebody else may have put something there
                for parent in above:
                    parent.rmdir()


def _packed(data: Any, split: Split, folder: Path, *, on_bad: OnBad, watch: Watch) -> SplitRecord:
    """Write one split, and return what the manifest says of it."""
    if not data.spec.aligned:
        raise RecipeError("a pack holds pairs, and these data have none: their targets belong to no source.")
    known = tuple(getattr(data, "problems", ()))
    if known and on_bad == "refuse":
        raise DataError(*shortened(known, rest="--on-bad skip leaves them out"))
    left_out = [LeftOut(file=problem.file or problem.where, message=problem.message) for problem in known]
    fields = dict(getattr(data, "extra", {}))
    stored: dict[str, Storage] = {
        **{side: storage_for(data.spec.side(side)) for side in get_args(Side)},
        **dict.fromkeys(fields, "array"),
    }
    as_it_is = isinstance(data, Rows)  # files of images stay the files that they are
    folder.mkdir()
    scale: Scale | None = getattr(data, "scale", None)

    def rows() -> Iterator[Mapping[str, Any]]:
        for index in watch(range(len(data)), len(data), split):
            try:
                item = data[index]
                yield data.stored_at(index) if as_it_is else _row(item, data.spec, stored)
            except DataError as error:
                if on_bad == "refuse":
                    raise
                left_out.extend(LeftOut(file=p.file or p.where, message=p.message) for p in error.problems)

    pairs, size, digest = write_rows(folder / ARROW, rows(), stored)
    if not pairs:
        told = [Problem(each.message, file=each.file) for each in left_out[:MOST_TOLD]]
        raise NoUsablePairError(*told, f"nothing in the split '{split}' can be packed.", pairs=len(data))
    return SplitRecord(
        pairs=pairs,
        bytes=size,
        sha256=digest,
        spec=data.spec,
        storage=stored,
        fields=fields,
        scale=scale if scale in get_args(Scale) else None,
        left_out=tuple(left_out),
    )


def _row(item: Mapping[str, Any], spec: Any, stored: Mapping[str, Storage]) -> Mapping[str, Any]:
    """Return an item as a row of bytes; DataError where it is not what its data set says."""
    for side in get_args(Side):
        said: ImageSpec = spec.side(side)
        image = item[side]
        if (image.shape[0], DEPTHS.get(image.dtype)) != (said.channels, said.depth):
            message = f"the {side} has {image.shape[0]} channel(s) of {DEPTHS.get(image.dtype)}, "
            message += f"and the data say {said.channels} of {said.depth}."
            raise DataError(Problem(message, file=item["id"]))
    return {"id": item["id"], **{name: encode(item[name], kind) for name, kind in stored.items()}}


def schema_for(stored: Mapping[str, Storage]) -> Any:
    """Return Arrow's schema of a pack's split: the id, and a column for each image.

    Pictures are columns of the library's feature `Image`, so that it shows them; arrays are bytes.
    """
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = [(name, pa.binary() if kind == "array" else picture) for name, kind in stored.items()]
    return pa.schema([("id", pa.string()), *kinds])


def write_rows(
    path: Path, rows: Iterable[Mapping[str, Any]], stored: Mapping[str, Storage]
) -> tuple[int, int, str]:
    """Write rows to an Arrow file, a batch at a time; return their count, the file's size and its sha256."""
    schema, count = schema_for(stored), 0
    with path.open("xb") as file:
        summed = Summed(file)
        with pa.ipc.new_stream(pa.PythonFile(summed, mode="w"), schema) as stream:
            batch: list[Mapping[str, Any]] = []
            size = 0
            for row in rows:
                batch.append(row)
                count += 1
                size += sum(len(row[name]) for name in stored)
                if len(batch) == BATCH_PAIRS or size >= BATCH_BYTES:
                    stream.write_batch(_batch(batch, schema, stored))
                    batch, size = [], 0
            if batch:
                stream.write_batch(_batch(batch, schema, stored))
        file.flush()
        os.fsync(file.fileno())
    return count, summed.size, summed.digest.hexdigest()


def _batch(rows: Sequence[Mapping[str, Any]], schema: Any, stored: Mapping[str, Storage]) -> Any:
    columns = [pa.array([row["id"] for row in rows], pa.string())]
    for name, kind in stored.items():
        data = pa.array([row[name] for row in rows], pa.binary())
        if kind != "array":
            paths = pa.nulls(len(rows), pa.string())
            data = pa.StructArray.from_arrays([data, paths], ["bytes", "path"])
        columns.append(data)
    return pa.record_batch(columns, schema=schema)


def _written_by() -> str:
    try:
        return f"i2i-datasets {version('i2i-datasets')}"
    except PackageNotFoundError:
        return "i2i-datasets"
