"""Weights files: safetensors that say what they are, checked when read, never unpickled.

The header's string table holds the format version, the component and its revision, the slot's table
as JSON, and the sha256 of the tensor bytes; callers add what else a reader needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from i2i.errors import DataError, Problem, RecipeError
from i2i.system.atomic import write_bytes

FORMAT = "1"


@dataclass(frozen=True)
class WeightsFile:
    """What was read: tensors by name and the header's entries, JSON decoded."""

    path: Path
    tensors: dict[str, Tensor]
    header: dict[str, Any]


def encode(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> bytes:
    """Return a safetensors file as bytes; every header value is stored as JSON.

    The checksum covers the tensor bytes, so it does not depend on the header.
    """
    # safetensors refuses channels-last and shared memory, hence the plain copies.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    raw = safetensors.torch.save(plain)
    length = int.from_bytes(raw[:8], "little")
    index, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    entries = {"format_version": FORMAT, "sha256": hashlib.sha256(data).hexdigest()}
    entries |= {key: json.dumps(value, sort_keys=True) for key, value in header.items()}
    index["__metadata__"] = entries
    text = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants its data aligned to eight bytes
    return len(text).to_bytes(8, "little") + text + data


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a weights file in one step."""
    write_bytes(path, encode(tensors, header), durable=True)


def read(path: Path) -> WeightsFile:
    """Read and verify a weights file.

    Raises DataError when the file is missing, is no safetensors file, was not written by i2i, is of a
    newer format, or its tensors do not match their checksum.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        length = int.from_bytes(raw[:8], "little")
        entries = json.loads(raw[8 : 8 + length]).get("__metadata__", {})
        tensors = safetensors.torch.load(raw)
    except (ValueError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        hint = "`i2i import` makes a weights file of one of torch's" if path.suffix in (".pth", ".pt") else ""
        raise DataError(Problem(f"{path} is not a weights file: {_first_line(error)}.", hint=hint)) from error
    if "format_version" not in entries:
        raise DataError(f"{path} was not written by i2i: its header does not say what the weights are.")
    if entries["format_version"] != FORMAT:
        raise DataError(
            f"{path} has format {entries['format_version']}, and this i2i reads {FORMAT}: update i2i-toolkit."
        )
    if hashlib.sha256(raw[8 + length :]).hexdigest() != entries.get("sha256"):
        raise DataError(f"{path} is damaged: its tensors do not match their checksum.")
    try:
        plain = {"format_version", "sha256"}
        header = {key: value if key in plain else json.loads(value) for key, value in entries.items()}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: its header does not parse.") from error
    return WeightsFile(path, tensors, header)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str, target: str) -> None:
    """Copy `tensors` into `module`; on the meta device only check that they would fit.

    Names and shapes must agree both ways: RecipeError names the first that do not.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - own.keys())
    misfit = sorted(name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape)
    if missing or surplus or misfit:
        reasons = [
            f"{len(names)} {what} (such as '{names[0]}')"
            for names, what in (
                (missing, "missing"),
                (surplus, "that it does not have"),
                (misfit, "of another shape"),
            )
            if names
        ]
        raise RecipeError(f"{source} does not fit {target}: parameters {', '.join(reasons)}.")
    if not any(tensor.is_meta for tensor in own.values()):
        module.load_state_dict(dict(tensors))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
