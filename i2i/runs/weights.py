"""Weights files: safetensors that say what they are, checked when read, never unpickled.

The header's string table holds the format version, a checksum of the tensor bytes and, since format 2, one
of the header itself; callers add what a reader needs, such as `header.ModelHeader`.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from i2i.errors import DataError, Problem, RecipeError, ResourceError
from i2i.system.atomic import write_bytes

FORMAT = "2"
READ = ("1", FORMAT)
"""The formats that are read: in the first, no checksum covers the header."""

OWN = ("format_version", "sha256", "checksum")
"""Entries of the header that are this file's, and plain strings."""

LONGEST_HEADER = 10_000_000
"""The most bytes that a header may have."""

_BLANK = "0" * 64

_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""The kinds of numbers by the names that safetensors gives them, but for rare ones."""


@dataclass(frozen=True)
class WeightsFile:
    """What was read: tensors by name, which share memory, and the header's entries, JSON decoded."""

    path: Path
    tensors: dict[str, Tensor]
    header: dict[str, Any]


def encode(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> bytes:
    """Return a safetensors file as bytes; every header value is stored as JSON.

    `sha256` covers the tensor bytes alone, so that equal weights are known by it whatever their header;
    `checksum` covers the header with `sha256` in it, and so the whole file.

    Raises ResourceError for a header that no reader would take.
    """
    # safetensors refuses channels-last and shared memory, hence the plain copies.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    raw = safetensors.torch.save(plain)
    length = int.from_bytes(raw[:8], "little")
    index, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    entries = {key: json.dumps(value, sort_keys=True) for key, value in header.items()}
    entries |= {"format_version": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), "checksum": _BLANK}
    index["__metadata__"] = entries
    text = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants its data aligned to eight bytes
    if len(text) > LONGEST_HEADER:
        raise ResourceError(f"{_mb(len(text))} beside the tensors are too much for the header of a file.")
    checksum = hashlib.sha256(text).hexdigest()
    text = text.replace(_entry(_BLANK), _entry(checksum), 1)
    return len(text).to_bytes(8, "little") + text + data


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a weights file in one step."""
    write_bytes(path, encode(tensors, header), durable=True)


def read(path: Path) -> WeightsFile:
    """Read and verify a weights file.

    Raises DataError when the file is missing, is no safetensors file, was not written by i2i, is of a
    newer format, or does not match its checksums.
    """
    text, entries = _header(path)
    version = entries.get("format_version")
    if version is None:
        raise DataError(f"{path} was not written by i2i: its header does not say what the weights are.")
    if version not in READ:
        raise DataError(
            f"{path} has format {version}, and this i2i reads {' and '.join(READ)}: update i2i-toolkit."
        )
    if version != "1" and not _verified(text, entries.get("checksum", "")):
        raise DataError(f"{path} is damaged: its header does not match its checksum.")
    try:
        raw = _bytes_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if raw[8 : 8 + len(text)] != text or _digest_after(raw, len(text)) != entries.get("sha256"):
        raise DataError(f"{path} is damaged: its tensors do not match their checksum.")
    try:
        tensors = _tensors(raw, text)
    except (ValueError, safetensors.SafetensorError) as error:
        raise _no_weights(path, _first_line(error)) from error
    try:
        header = {key: value if key in OWN else json.loads(value) for key, value in entries.items()}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: its header does not parse.") from error
    return WeightsFile(path, tensors, header)


def _bytes_of(path: Path) -> bytearray:
    """Return a file in memory that tensors may share and change."""
    with path.open("rb", buffering=0) as file:
        raw = bytearray(path.stat().st_size)
        count = 0
        while count < len(raw) and (more := file.readinto(memoryview(raw)[count:])):
            count += more
    return raw


def _tensors(raw: bytearray, text: bytes) -> dict[str, Tensor]:
    """Return the tensors of a file with the header `text`; they share its memory, which saves a copy.

    Where a kind of number is rare, or stands where memory does not suit it, safetensors itself reads them.
    """
    index = json.loads(text)
    index.pop("__metadata__", None)
    found = {}
    for name, entry in index.items():
        dtype, shape = _DTYPES.get(entry["dtype"]), entry["shape"]
        offset = 8 + len(text) + entry["data_offsets"][0]
        if dtype is None or offset % dtype.itemsize:
            return safetensors.torch.load(bytes(raw))
        if 0 in shape:
            found[name] = torch.empty(shape, dtype=dtype)
        else:
            count = math.prod(shape)
            found[name] = torch.frombuffer(raw, dtype=dtype, count=count, offset=offset).view(shape)
    return found


def _header(path: Path) -> tuple[bytes, dict[str, str]]:
    """Return the header of a file, as it stands there and its string table, before anything else is read.

    A pipe has no end, and a file may be of any size: so first what it is, then whether its header explains
    its size, in safetensors' own reader, which is quick to refuse what Python's JSON reader is slow at.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
            raise DataError(f"{path} is {what}, and not a weights file.")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > found.st_size - 8:
                raise _no_weights(path, "it is cut short, or something else")
            if length > LONGEST_HEADER:
                raise _no_weights(path, f"its header has {_mb(length)}, of at most {_mb(LONGEST_HEADER)}")
            text = file.read(length)
        with safetensors.safe_open(path, "pt") as opened:
            return text, opened.metadata() or {}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or _first_line(error)}.") from error
    except (ValueError, safetensors.SafetensorError) as error:
        raise _no_weights(path, _first_line(error)) from error


def _no_weights(path: Path, reason: str) -> DataError:
    hint = "`i2i import` makes a weights file of one of torch's" if path.suffix in (".pth", ".pt") else ""
    return DataError(Problem(f"{path} is not a weights file: {reason}.", hint=hint))


def _verified(text: bytes, checksum: str) -> bool:
    """Whether the checksum in a header is that of the header, with noughts in its own place."""
    blank = text.replace(_entry(checksum), _entry(_BLANK), 1)
    return hashlib.sha256(blank).hexdigest() == checksum


def _entry(checksum: str) -> bytes:
    return f'"checksum":"{checksum}"'.encode()


def _digest_after(raw: bytes | bytearray, header: int) -> str:
    return hashlib.sha256(memoryview(raw)[8 + header :]).hexdigest()


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str, target: str) -> None:
    """Copy `tensors` into `module`; on the meta device only check that they would fit.

    Names, shapes and kinds of numbers must agree both ways: RecipeError names the first that do not.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - own.keys())
    common = sorted(own.keys() & tensors.keys())
    misfit = [name for name in common if own[name].shape != tensors[name].shape]
    others = [name for name in common if own[name].dtype != tensors[name].dtype]
    if missing or surplus or misfit or others:
        reasons = [
            f"{len(names)} {what} (such as '{names[0]}')"
            for names, what in (
                (missing, "missing"),
                (surplus, "that it does not have"),
                (misfit, "of another shape"),
                (others, "of another kind of number"),
            )
            if names
        ]
        raise RecipeError(f"{source} does not fit {target}: parameters {', '.join(reasons)}.")
    if not any(tensor.is_meta for tensor in own.values()):
        module.load_state_dict(dict(tensors))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
