"""What several processes have in common when they start, and what each has of its own: saved, and taken back.

All of them go on from the first one's state. Methods, losses and callbacks may have states that differ, as
they see other images: a pool of earlier fakes is one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2i.engine import stored
from i2i.engine.session import Duties, Session
from i2i.engine.stored import TRAINER
from i2i.errors import PluginError
from i2i.runs import state, weights

SHARED = ("optimizers.", "schedules.", "average")
"""Parts whose state is the same in all processes, for the gradients and the figures that they see are."""


def file_of(rank: int) -> str:
    """Return the name of the file, in a checkpoint, that holds the state of a process's own."""
    return TRAINER.replace(".", f".{rank}.", 1)


def begin_alike(session: Session, duties: Duties, checkpoint: Path | None, notes: list[str]) -> Duties:
    """Give all processes the state of the first one, and each its own where the `checkpoint` holds that.

    Returns the duties of the first one; `notes` for the person are added to. One process by itself has that
    state already.
    """
    group = session.group
    saved_by = session.saved_by
    if checkpoint is not None and saved_by != group.size:
        notes.append(
            f"{checkpoint} was saved by {saved_by} process{'' if saved_by == 1 else 'es'}, and {group.size} "
            f"{'goes' if group.size == 1 else 'go'} on from it: the result is not that of a run left alone, "
            "as what methods, losses and callbacks keep for themselves is the first one's, or left out."
        )
    if group.size == 1:
        return duties
    if group.rank == 0:
        step = group.share(session.step)
        for file in stored.files(session, duties).values():
            group.share_bytes(file.encoded())
        duties_of_all = duties
    else:
        step = group.share(None)
        folder = Path(f"{step:06d}")
        read = lambda path: weights.from_bytes(group.share_bytes(b""), path)  # noqa: E731
        duties_of_all, _ = stored.load(session, folder, read=read)
    for rank in range(1, group.size):
        path = checkpoint / file_of(rank) if checkpoint is not None else None
        there = group.share(path is not None and path.is_file() if group.rank == 0 else None)
        if there:
            data = group.share_bytes(path.read_bytes() if path is not None else b"")
            if rank == group.rank:
                _take(session, data)
    return duties_of_all


def own_states(session: Session) -> dict[str, weights.Snapshot]:
    """Return in the first process the files of the others' own states, by name, if they are not its.

    Raises PluginError for a state that cannot be saved.
    """
    first, *others = session.group.collect(lambda: _encoded(session)) or (b"",)
    found = {}
    for rank, data in enumerate(others, start=1):
        if data != first:
            file = weights.from_bytes(data, Path(file_of(rank)))
            header = {key: value for key, value in file.header.items() if key not in weights.OWN}
            found[file_of(rank)] = weights.Snapshot(file.tensors, header)
    return found


def _own_parts(session: Session) -> dict[str, Any]:
    return {name: part for name, part in session.stateful().items() if not name.startswith(SHARED)}


def _encoded(session: Session) -> bytes:
    networks = [module for _, module in session.networks.modules()]
    parts = {name: state.of(part, but=networks) for name, part in _own_parts(session).items()}
    try:
        tensors, skeleton = state.pack({"parts": parts})
        return weights.encode(tensors, {"trainer": skeleton})
    except TypeError as error:
        raise PluginError(f"a checkpoint cannot be written: {error}.") from error


def _take(session: Session, data: bytearray) -> None:
    file = weights.from_bytes(data, Path(TRAINER))
    saved, parts = state.unpack(file.tensors, file.header["trainer"])["parts"], _own_parts(session)
    for name in parts.keys() & saved.keys():
        state.restore(parts[name], saved[name])
