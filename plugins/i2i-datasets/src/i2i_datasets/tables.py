"""Arrow files, mapped from disk: columns of bytes that are had by their row without reading the others.

The system pages in what is looked at and takes it back when memory is short, so a table of any size costs
next to no memory of the process's own. Only pyarrow is used, which knows of no network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from i2i.errors import DataError, Problem

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What a stream of Arrow ends with; one that is cut between two of its batches lacks this alone."""

DAMAGED = "the file may be damaged or cut short: write it anew"


class Table:
    """The rows of an Arrow table, whose columns hold images as bytes."""

    def __init__(self, table: Any) -> None:
        self._held = table
        self.rows: int = table.num_rows
        self.columns: tuple[str, ...] = tuple(table.column_names)

    @property
    def _table(self) -> Any:
        return self._held

    def holds_bytes(self, column: str) -> bool:
        """Whether a column holds bytes, or structures with bytes, as an `Image` of the library does."""
        kind = self._table.schema.field(column).type
        if pa.types.is_struct(kind):
            inner = kind.get_field_index("bytes")
            kind = kind.field(inner).type if inner >= 0 else pa.null()
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def kind(self, column: str) -> str:
        """Return what a column holds, in Arrow's words."""
        return str(self._table.schema.field(column).type)

    def bytes_at(self, column: str, row: int) -> bytes | None:
        """Return the bytes in a column at a row; None where there are none."""
        value = self._table.column(column)[row]
        if value.is_valid and pa.types.is_struct(value.type):
            value = value["bytes"]
        found: bytes | None = value.as_py()
        return found

    def text_at(self, column: str, row: int) -> str:
        """Return what a column has at a row, as text."""
        return str(self._table.column(column)[row].as_py())

    def texts(self, column: str) -> list[str]:
        """Return all of a column as texts."""
        return [str(value) for value in self._table.column(column).to_pylist()]

    def lengths(self, column: str) -> list[int]:
        """Return the length of the bytes at each row; -1 where there are none."""
        values = self._table.column(column)
        if pa.types.is_struct(values.type):
            values = pc.struct_field(values, "bytes")
        lengths: list[int] = pc.fill_null(pc.binary_length(values), -1).to_pylist()
        return lengths


class MappedTable(Table):
    """The rows of some Arrow files, one file after the other, opened in each process that reads them.

    It can be sent to another process, and be there after a fork: the files are opened again where a row is
    first asked for, so no file descriptor is shared. None stays open: a mapping needs none.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._opened_in: int | None = None
        table = self._table
        try:
            table.validate(full=True)  # once: a wrong offset would lead out of the file
        except pa.ArrowInvalid as error:
            raise _unreadable(self._files[0] if len(self._files) == 1 else self._files[0].parent) from error
        super().__init__(table)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None, "_opened_in": None}

    @property
    def _table(self) -> Any:
        if self._opened_in != os.getpid():
            self._held = pa.concat_tables([_mapped(file) for file in self._files])
            self._opened_in = os.getpid()
        return self._held


def _mapped(path: Path) -> Any:
    """Return the table in a file, whose values stay where they are until they are looked at."""
    options = pa.ipc.IpcReadOptions(use_threads=False)  # a thread of this process is none of a forked one
    try:
        with pa.memory_map(str(path)) as source:
            if source.size() < len(END) or source.read_at(len(END), source.size() - len(END)) != END:
                raise _unreadable(path)
            with pa.ipc.open_stream(source, options=options) as reader:
                return reader.read_all()
    except FileNotFoundError as error:
        raise DataError(Problem("this file of the data is missing.", file=str(path))) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> DataError:
    message = "this is no Arrow file that can be read to its end."
    return DataError(Problem(message, file=str(path), hint=DAMAGED))
