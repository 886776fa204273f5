"""Weights files: safetensors that say what they are, checked when read, never unpickled.

The header's string table holds the format version, a checksum of the tensor bytes and, since format 2, one
of the header itself; since format 3 a file may hold several networks. Callers add what a reader needs, such
as `header.ModelHeader`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from i2i.errors import DataError, Problem, RecipeError, ResourceError
from i2i.runs import proof
from i2i.system.atomic import write_with

FORMAT = "3"
READ = ("1", "2", FORMAT)
"""The formats that are read: in the first, no checksum covers the header."""

OWN = ("format_version", "sha256", "checksum")
"""Entries of the header that are this file's, and plain strings."""

LONGEST_HEADER = 10_000_000
"""The most bytes that a header may have."""

_BLANK = "0" * 64

_CODES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The kinds of numbers by safetensors' names, in the order in which it lays out its tensors."""

_PLACES = {dtype: place for place, dtype in enumerate(_CODES)}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


@dataclass(frozen=True)
class WeightsFile:
    """What was read: tensors by name, which share memory, and the header's entries, JSON decoded."""

    path: Path
    tensors: dict[str, Tensor]
    header: dict[str, Any]


class Snapshot:
    """A weights file that is yet to be written: its header, and copies of its tensors on the CPU, in order.

    Taking one is cheap and the originals may change afterwards; every header value is stored as JSON. The
    file is safetensors': the length of the header in eight bytes, the header, the tensors one after another.
    """

    def __init__(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Copy `tensors`.

        Raises ResourceError for a header that no reader would take, TypeError for a tensor that the format
        has no place for.
        """
        for name, tensor in tensors.items():
            if tensor.dtype not in _CODES or tensor.layout != torch.strided:
                kind = f"{tensor.layout}, {tensor.dtype}".replace("torch.", "")
                raise TypeError(f"a weights file has no place for '{name}' ({kind})")
        order = sorted(tensors, key=lambda name: (_PLACES[tensors[name].dtype], name))
        entries = {key: json.dumps(value, sort_keys=True) for key, value in header.items()}
        entries |= {"format_version": FORMAT, "sha256": _BLANK, "checksum": _BLANK}
        self._text = _header_text(tensors, order, entries)
        self.tensors = {name: _copied(tensors[name]) for name in order}
        self._head: bytes | None = None
        self.header = header
        self.size = 8 + len(self._text) + sum(tensor.nbytes for tensor in self.tensors.values())

    def write(self, file: BinaryIO, going_on: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Write it all into an empty file, and return what proves that one to be whole, for a manifest.

        The data are hashed as they are written for the first time. `going_on` is called before each tensor,
        and may end it by an exception.
        """
        digest = hashlib.sha256()
        file.write(self._head or bytes(8 + len(self._text)))
        for tensor in self.tensors.values():
            going_on()
            data = tensor.reshape(-1).view(torch.uint8).numpy().data
            file.write(data)
            if self._head is None:
                digest.update(data)
        if self._head is None:
            self._head = _sealed(self._text, digest.hexdigest())
            file.seek(0)
            file.write(self._head)
            file.seek(0, os.SEEK_END)
        return proof.of_weights(self._head, self.size)

    def replace(self, path: Path, going_on: Callable[[], None] = lambda: None) -> None:
        """Write it as the file `path` in one step, and wait until it is on the disk.

        Raises ResourceError when the folder cannot be written or the disk is full.
        """
        write_with(path, lambda file: self.write(file, going_on), needed=self.size, durable=True)

    def encoded(self) -> bytes:
        """Return the file as bytes."""
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()

    def read(self, path: Path) -> WeightsFile:
        """Return what a reader would find in it, were it the file `path`; the tensors are the same ones."""
        entries = json.loads(self._text)["__metadata__"]
        return WeightsFile(path, dict(self.tensors), _decoded(entries))


def encode(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> bytes:
    """Return a weights file as bytes; see `Snapshot`."""
    return Snapshot(tensors, header).encoded()


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a weights file in one step."""
    Snapshot(tensors, header).replace(path)


def _copied(tensor: Tensor) -> Tensor:
    # safetensors has neither channels-last nor shared memory, hence a plain copy of each.
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu").copy_(tensor.detach())


def _header_text(tensors: Mapping[str, Tensor], order: Sequence[str], entries: Mapping[str, str]) -> bytes:
    """Return the header as it will stand in the file, but for the two checksums, which are blank."""
    index: dict[str, Any] = {"__metadata__": entries}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        code, shape = _CODES[tensors[name].dtype], list(tensors[name].shape)
        index[name] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants its data aligned to eight bytes
    if len(text) > LONGEST_HEADER:
        raise ResourceError(f"{_mb(len(text))} beside the tensors are too much for the header of a file.")
    return text


def _sealed(text: bytes, sha256: str) -> bytes:
    """Return the length of a header and the header, with the checksum of its data and its own.

    `sha256` covers the tensor bytes alone, so that equal weights are known by it whatever their header;
    `checksum` covers the header with `sha256` in it, and so the whole file.
    """
    text = text.replace(_entry(_BLANK, of="sha256"), _entry(sha256, of="sha256"), 1)
    text = text.replace(_entry(_BLANK), _entry(hashlib.sha256(text).hexdigest()), 1)
    return len(text).to_bytes(8, "little") + text


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
            f"{path} has format {version}, and this i2i reads {', '.join(READ)}: update i2i-toolkit."
        )
    # One that has the checksum is held to it, whatever its format is said to be by a byte that was damaged.
    if (version != "1" or "checksum" in entries) and not _verified(text, entries.get("checksum", "")):
        raise DataError(f"{path} is damaged: its header does not match its checksum.")
    try:
        raw = _bytes_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if raw[8 : 8 + len(text)] != text or _digest_after(raw, len(text)) != entries.get("sha256"):
        raise DataError(f"{path} is damaged: its tensors do not match their checksum.")
    try:
        tensors = _tensors(raw, text)
    except (ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise _no_weights(path, _first_line(error)) from error
    try:
        header = _decoded(entries)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: its header does not parse.") from error
    return WeightsFile(path, tensors, header)


def from_bytes(raw: bytearray, path: Path) -> WeightsFile:
    """Return what stands in the bytes of a sound weights file, as `encode` gives them; tensors share them."""
    text = bytes(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return WeightsFile(path, _tensors(raw, text), _decoded(json.loads(text)["__metadata__"]))


def _decoded(entries: Mapping[str, str]) -> dict[str, Any]:
    return {key: value if key in OWN else json.loads(value) for key, value in entries.items()}


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

    Where a kind of number is another, or stands where memory does not suit it, safetensors itself reads them.
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


def _entry(checksum: str, *, of: str = "checksum") -> bytes:
    return f'"{of}":"{checksum}"'.encode()


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
