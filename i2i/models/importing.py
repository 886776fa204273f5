"""Weights of the pix2pix authors' PyTorch implementation, made into weights files that say what they are.

Which network a ``.pth`` file holds, and of which make, is told by the names and shapes of its tensors alone;
`LAYOUTS` lists the networks that are known. Dropout leaves no tensors in a U-Net, so it is put where that
implementation puts it by default; test settings are its defaults too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i.errors import DataError, RecipeError
from i2i.kinds import ImageSpec, PairSpec, TestSettings
from i2i.plugins.catalog import Catalog
from i2i.plugins.schema import bind
from i2i.registry import Entry
from i2i.runs import weights
from i2i.runs.header import ModelHeader
from i2i.torch_files import read_tensors

Shapes = Mapping[str, tuple[int, ...]]

WRAPPERS = ("module.", "_orig_mod.")
"""What names begin with when a network was saved inside torch's own wrappers."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Make:
    """What the tensors tell about one network: its slot's keys, its channels, the size it was made for.

    `rename` gives the file's name for one of our parameters; `biases` are those that stand in every file,
    whatever the norm.
    """

    table: Mapping[str, Any]
    channels: Mapping[str, int]
    size: int
    rename: Callable[[str], str]
    biases: frozenset[str]


@dataclass(frozen=True)
class Layout:
    """One network of that implementation, the component that it is here, and a pattern that gives it away."""

    title: str
    kind: Literal["generator", "discriminator"]
    component: str
    sign: re.Pattern[str]
    make: Callable[[Shapes], Make]


@dataclass(frozen=True)
class Imported:
    """What was found in a file and written: the component, the keys of its slot, how many parameters."""

    entry: Entry
    table: Mapping[str, Any]
    parameters: int


def import_weights(source: Path, target: Path, *, catalog: Catalog) -> Imported:
    """Read the network in the ``.pth`` file `source` and write it to `target` as a weights file.

    Raises DataError when the file holds none of the known networks, naming the tensor that does not fit
    where it nearly does; RecipeError when `target` is the file itself.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise RecipeError(f"{source} would be overwritten by its own import; choose another --out.")
    tensors = {_unwrapped(name): tensor for name, tensor in read_tensors(source).items()}
    layout = _recognise(source, tensors)
    try:
        make = layout.make({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    except LookupError as error:
        missing = f"'{error.args[0]}' is missing or of another shape"
        raise DataError(f"{source} looks like a {layout.title}, but {missing}.") from None
    entry = catalog.get((layout.kind,), layout.component)
    bound = bind(entry, make.table)
    if bound.errors:
        reason = next(iter(bound.errors.values()))
        raise DataError(f"{source} looks like a {layout.title}, but {entry.ref} cannot be one: {reason}.")
    with torch.device("meta"):
        module: nn.Module = bound.call(**make.channels)
    fitted = _fitted(source, tensors, module, make, ref=entry.ref)
    header = ModelHeader(
        component=entry.ref,
        rev=entry.rev,
        distribution=entry.distribution,
        version=entry.version,
        slot={"use": layout.component, **bound.toml},
        provenance={"imported": source.name, "sha256": _checksum(source), "torch": torch.__version__},
    )
    if layout.kind == "generator":
        sides = (make.channels["in_channels"], make.channels["out_channels"])
        read, written = (ImageSpec(count, make.size, make.size) for count in sides)
        spec = PairSpec(read, written)
        header = replace(header, pair_spec=spec, test=TestSettings(dropout=True, norm="batch"))
    weights.write(target, fitted, header.entries())
    return Imported(entry, make.table, sum(parameter.numel() for parameter in module.parameters()))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def _recognise(source: Path, tensors: Mapping[str, Tensor]) -> Layout:
    for layout in LAYOUTS:
        if any(layout.sign.match(name) for name in tensors):
            return layout
    known = ", ".join(layout.title for layout in LAYOUTS)
    raise DataError(
        f"{source} holds no network that can be imported, which are those of the pix2pix authors' PyTorch "
        f"implementation ({known}): its first tensor is '{next(iter(tensors))}'."
    )


def _fitted(
    source: Path, tensors: Mapping[str, Tensor], module: nn.Module, make: Make, *, ref: str
) -> dict[str, Tensor]:
    """Return the tensors under the names of `module`; raise DataError for the first that does not fit."""
    made_of = ", ".join(f"{key} {value}" for key, value in make.table.items())
    title = f"{source} looks like {ref} ({made_of})"
    fitted: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, own in module.state_dict().items():
        theirs = make.rename(name)
        used.add(theirs)
        if theirs in tensors:
            tensor = tensors[theirs]
        elif _implied(theirs, make):
            tensor = torch.zeros(own.shape, dtype=own.dtype)
        else:
            raise DataError(f"{title}, but '{theirs}' is missing.")
        if tensor.shape != own.shape:
            shapes = f"{_by(tensor.shape)} and not {_by(own.shape)}"
            raise DataError(f"{title}, but '{theirs}' is {shapes}.")
        if tensor.is_floating_point() != own.is_floating_point():
            raise DataError(f"{title}, but '{theirs}' holds {tensor.dtype} and not {own.dtype}.")
        fitted[name] = tensor.to(own.dtype)
    for name in tensors:
        # Early files carry the averages of instance norms, which were never used.
        idle = make.table["norm"] == "instance" and name.endswith(STATISTICS)
        if name not in used and not idle:
            raise DataError(f"{title}, which has no place for '{name}'.")
    return fitted


def _implied(name: str, make: Make) -> bool:
    """Whether a tensor that a file lacks is zero by the rules of that implementation.

    Without any norm it leaves out biases that ours have; early files have no counters in batch norms.
    """
    if make.table["norm"] == "none":
        return name.endswith(".bias") and name not in make.biases
    return name.endswith(".num_batches_tracked")


def _by(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"


# --- the known networks ---------------------------------------------------------------------------


def _size(shapes: Shapes, name: str, axis: int) -> int:
    """Return a tensor's length along an axis; LookupError when it is not there."""
    shape = shapes.get(name, ())
    if len(shape) != 4:
        raise LookupError(name)
    return shape[axis]


def _norm(shapes: Shapes, *, norm: str, conv: str) -> str:
    """Tell the norm from one place: a batch norm has weights, and before an instance norm there is a bias."""
    if f"{norm}.weight" in shapes or f"{norm}.bias" in shapes:
        return "batch"
    return "instance" if f"{conv}.bias" in shapes else "none"


def _numbers(shapes: Shapes, pattern: str) -> set[int]:
    """Return the numbers in the names that match."""
    return {int(match[1]) for match in (re.match(pattern, name) for name in shapes) if match}


def _unet(shapes: Shapes) -> Make:
    # Each block holds the next smaller one: model.model, then .1.model in it, then .3.model again and again.
    depth = max(2, *(name.split(".").count("model") - 1 for name in shapes))
    blocks = ["model.model", *("model.model.1.model" + ".3.model" * level for level in range(depth - 1))]

    def rename(ours: str) -> str:
        half, number, layer, parameter = ours.split(".")
        level = int(number) if half == "encoder" else depth - 1 - int(number)
        if half == "encoder":
            place = {"conv": 0 if level == 0 else 1, "norm": 2}[layer]
        else:
            # The outermost block has no norms, the innermost holds no other block and so has fewer parts.
            place = {"conv": 3 if level in (0, depth - 1) else 5, "norm": 4 if level == depth - 1 else 6}[
                layer
            ]
        return f"{blocks[level]}.{place}.{parameter}"

    table = {
        "depth": depth,
        "width": _size(shapes, "model.model.0.weight", 0),
        "norm": _norm(shapes, norm=f"{blocks[1]}.2", conv=f"{blocks[1]}.1"),
        "dropout": 0.5,
        "dropout_placement": "pytorch",
    }
    channels = {
        "in_channels": _size(shapes, "model.model.0.weight", 1),
        "out_channels": _size(shapes, "model.model.3.weight", 1),
    }
    return Make(table, channels, 2**depth, rename, frozenset({"model.model.3.bias"}))


def _resnet(shapes: Shapes) -> Make:
    blocks = len(_numbers(shapes, r"model\.(\d{1,3})\.conv_block\."))
    # Dropout has no tensors, but stands between a block's convolutions and moves the second one on.
    dropout = not any(re.match(r"model\.\d+\.conv_block\.5\.", name) for name in shapes)
    table = {
        "blocks": blocks,
        "width": _size(shapes, "model.1.weight", 0),
        "norm": _norm(shapes, norm="model.2", conv="model.1"),
        "dropout": 0.5 if dropout else 0.0,
    }
    channels = {
        "in_channels": _size(shapes, "model.1.weight", 1),
        "out_channels": _size(shapes, f"model.{17 + blocks}.weight", 0),
    }
    return Make(table, channels, 256, str, frozenset({f"model.{17 + blocks}.bias"}))


def _patch(shapes: Shapes) -> Make:
    last = max(_numbers(shapes, r"model\.(\d{1,3})\."))
    table = {
        "layers": (last - 2) // 3,
        "width": _size(shapes, "model.0.weight", 0),
        "norm": _norm(shapes, norm="model.3", conv="model.2"),
    }
    channels = {"in_channels": _size(shapes, "model.0.weight", 1)}
    return Make(table, channels, 256, str, frozenset({"model.0.bias", f"model.{last}.bias"}))


def _pixel(shapes: Shapes) -> Make:
    table = {
        "width": _size(shapes, "net.0.weight", 0),
        "norm": _norm(shapes, norm="net.3", conv="net.2"),
    }
    channels = {"in_channels": _size(shapes, "net.0.weight", 1)}

    def rename(ours: str) -> str:
        return ours.replace("model.", "net.", 1)

    return Make(table, channels, 256, rename, frozenset({"net.0.bias"}))


LAYOUTS = (
    Layout("U-Net", "generator", "unet", re.compile(r"model\.model\."), _unet),
    Layout("ResNet", "generator", "resnet", re.compile(r"model\.\d{1,3}\.conv_block\."), _resnet),
    Layout("pixel discriminator", "discriminator", "pixel", re.compile(r"net\.\d+\."), _pixel),
    Layout("patch discriminator", "discriminator", "patch", re.compile(r"model\.\d{1,3}\."), _patch),
)
"""Every network that can be imported, the most telling sign first."""
