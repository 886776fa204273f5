"""Reading torch's own file format: tensors by name, and nothing that such a file holds is run.

These files are pickles. torch's weights-only reader builds tensors and plain containers from them and
refuses the rest; releases before `SAFE_SINCE` could be led astray by a crafted file, so they read none.
"""

from __future__ import annotations

import io
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import torch
from packaging.version import Version
from torch import Tensor

from i2i.errors import DataError, ResourceError

SAFE_SINCE = Version("2.10")

MOST_RECORDS = 20_000
"""The most files in the zip that torch writes: one for each tensor, and a few more."""

LONGEST_PICKLE = 2_000_000
"""The most bytes that may describe the tensors, which are some 100 bytes for each."""

INFLATED = 4
"""How many times its own size a zip may unpack to: torch compresses nothing, and weights hardly shrink."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a ``.pth`` file, on the CPU.

    Raises DataError when the file is missing, damaged, or holds anything but tensors by name;
    ResourceError when the installed torch is too old to open it safely.
    """
    if Version(torch.__version__) < SAFE_SINCE:
        raise ResourceError(
            f"{path} is a pickle, which only torch {SAFE_SINCE} or newer opens safely; "
            f"installed is {torch.__version__}: update torch."
        )
    try:
        mode = path.stat().st_mode
        if not S_ISREG(mode) and not S_ISDIR(mode):  # a pipe has no end to wait for
            raise DataError(f"{path} is no file, but a pipe, a socket or a device.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    _check_claims(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the file's age, which nobody here can change
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can end in any of them
        raise DataError(f"{path} is not a file of tensors that torch wrote, or it is damaged.") from error
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path} holds no tensors by name: save a network's state_dict().")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise DataError(f"{path} holds more than tensors by name: '{name}' is of type {kind}.")
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise DataError(f"{path} holds more than plain tensors: '{name}' is sparse, quantised or empty.")
    # A few stored numbers can be declared a tensor of any size by giving them a stride of nothing.
    if sum(value.nbytes for value in content.values()) > len(data):
        raise DataError(f"{path} claims more numbers than it holds.")
    return {name: value.detach() for name, value in content.items()}


def _check_claims(path: Path, data: bytes) -> None:
    """Raise DataError for a file that would take minutes or gigabytes to be found out as none of torch's."""
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                records = archive.infolist()
            unpacked = sum(record.file_size for record in records)
            described = sum(r.file_size for r in records if r.filename.endswith("data.pkl"))
        else:
            records, unpacked, described = [], 0, _length_of_pickles(data)
    except Exception as error:  # a damaged archive or pickle can end in any of them
        raise DataError(f"{path} is not a file of tensors that torch wrote, or it is damaged.") from error
    if len(records) > MOST_RECORDS:
        raise DataError(f"{path} holds {len(records):,} records, of at most {MOST_RECORDS:,}: no network.")
    if unpacked > INFLATED * len(data):
        raise DataError(
            f"{path} would unpack {len(data):,} bytes to {unpacked:,}: torch wrote no such file of weights."
        )
    most = min(LONGEST_PICKLE, 100_000 + 1_000 * len(records)) if records else LONGEST_PICKLE
    if described > most:
        raise DataError(
            f"{path} describes its tensors in more than {most:,} bytes: torch wrote no such file of weights."
        )


def _length_of_pickles(data: bytes) -> int:
    """Return where the pickles at the beginning of torch's older format end, or a place past what is allowed.

    Those are its magic number, its version, the system, the tensors, and the names of their storages.
    """
    buffer = io.BytesIO(data)
    for _ in range(5):
        for _ in pickletools.genops(buffer):
            if buffer.tell() > LONGEST_PICKLE:
                return buffer.tell()
    return buffer.tell()
