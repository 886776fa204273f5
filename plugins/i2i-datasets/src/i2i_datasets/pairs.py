"""The data set: pairs in Arrow files on this machine, had by their row, however many there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from i2i.errors import DataError, Problem
from i2i.kinds import Split
from i2i.slot_keys import Count
from i2i_datasets import folders
from i2i_datasets.rows import Channels, PlainDepth, Rows
from i2i_datasets.tables import MappedTable


class Pairs(Rows):
    """Pairs in Arrow files on this machine, mapped from disk, so that a set of any size takes no memory.

    `root` is a folder that `python -m i2i_datasets pack` or `get` wrote, or one of `datasets.save_to_disk`
    with a column for each side: an `Image`, or the bytes of image files. Nothing is fetched, and nothing is
    unpickled. Pictures are decoded when their turn comes, at their true depth: 16 bits stay 16 bits.

    Args:
        root: the folder; relative to the working directory, `~` is home.
        source: the column of the sources.
        target: the column of the targets.
        id: the column of the ids; left out, "id" where there is one, and the number of the row where there
            is none.
        direction: "a-to-b" translates the source into the target; "b-to-a" the other way round.
        size: height and width to train at, one number for a square; left out, those of the pairs.
        depth: the depth that both sides have: one of another is refused, but 8 bits become 16, without loss.
        source_channels: turn sources of other kinds into grey, RGB or RGBA, where nothing is lost by that.
        target_channels: the same for the targets.
    """

    small: ClassVar[dict[str, Any]] = {"root": str(Path(__file__).with_name("sample"))}

    def __init__(
        self,
        split: Split,
        *,
        root: Path,
        source: str = "source",
        target: str = "target",
        id: str | None = None,  # noqa: A002 - the key of a recipe
        direction: Literal["a-to-b", "b-to-a"] = "a-to-b",
        size: Count | tuple[Count, Count] | None = None,
        depth: PlainDepth | None = None,
        source_channels: Channels | None = None,
        target_channels: Channels | None = None,
    ) -> None:
        found = folders.find(root.expanduser(), split)
        table, place, record = MappedTable(found.files), str(found.folder), found.record
        if record is not None and table.rows != record.pairs:
            message = f"this split has {table.rows:,} pairs, and was written with {record.pairs:,}."
            raise DataError(Problem(message, file=place, hint="write its folder anew"))
        ahead = direction == "a-to-b"
        super().__init__(
            table,
            place=place,
            keys=("source", "target") if ahead else ("target", "source"),
            columns=(source, target) if ahead else (target, source),
            ids=id,
            record=record,
            channels=(source_channels, target_channels),
            depth=depth,
            size=(size, size) if isinstance(size, int) else size,
        )
        self.layout, self.credit = found.layout, found.credit
        if record is not None and record.scale is not None:
            self.scale = record.scale
