"""The networks of the pix2pix and CycleGAN authors' PyTorch implementation, as its files hold them.

Both papers' networks come from the same code, so their files have the same names. Dropout leaves no tensors
in a U-Net, so it is put where that implementation puts it by default; test settings are its defaults too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from i2i.kinds import TestSettings
from i2i.layouts import Layout, Make, Shapes, size_along

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_TEST = TestSettings(dropout=True, norm="batch")


def _made(
    table: Mapping[str, Any],
    channels: Mapping[str, int],
    *,
    biases: set[str],
    rename: Callable[[str], str] = str,
    size: int = 256,
) -> Make:
    """Return a network whose `biases` stand in every file, whatever the norm.

    Without any norm that implementation leaves out biases that ours have; early files have no counters in
    batch norms, and carry the averages of instance norms, which were never used.
    """
    norm = table["norm"]

    def zero(name: str) -> bool:
        if norm == "none":
            return name.endswith(".bias") and name not in biases
        return name.endswith(".num_batches_tracked")

    def unused(name: str) -> bool:
        return norm == "instance" and name.endswith(_STATISTICS)

    return Make(table, channels, rename, zero, unused, size, _TEST)


def _norm(shapes: Shapes, *, norm: str, conv: str) -> str:
    """Tell the norm from one place: a batch norm has weights, and before an instance norm there is a bias."""
    if f"{norm}.weight" in shapes or f"{norm}.bias" in shapes:
        return "batch"
    return "instance" if f"{conv}.bias" in shapes else "none"


def _numbers(shapes: Shapes, pattern: str) -> set[int]:
    """Return the numbers in the names that match."""
    return {int(match[1]) for match in (re.match(pattern, name) for name in shapes) if match}


def _any(pattern: str, *, without: str = "(?!)") -> Callable[[Shapes], bool]:
    """Return whether any name begins like a pattern, and none like another."""

    def claims(shapes: Shapes) -> bool:
        return any(re.match(pattern, name) for name in shapes) and not any(
            re.match(without, name) for name in shapes
        )

    return claims


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
        "width": size_along(shapes, "model.model.0.weight", 0),
        "norm": _norm(shapes, norm=f"{blocks[1]}.2", conv=f"{blocks[1]}.1"),
        "dropout": 0.5,
        "dropout_placement": "pytorch",
    }
    channels = {
        "in_channels": size_along(shapes, "model.model.0.weight", 1),
        "out_channels": size_along(shapes, "model.model.3.weight", 1),
    }
    return _made(table, channels, biases={"model.model.3.bias"}, rename=rename, size=2**depth)


def _resnet(shapes: Shapes) -> Make:
    blocks = len(_numbers(shapes, r"model\.(\d{1,3})\.conv_block\."))
    # Dropout has no tensors, but stands between a block's convolutions and moves the second one on.
    dropout = not any(re.match(r"model\.\d+\.conv_block\.5\.", name) for name in shapes)
    table = {
        "blocks": blocks,
        "width": size_along(shapes, "model.1.weight", 0),
        "norm": _norm(shapes, norm="model.2", conv="model.1"),
        "dropout": 0.5 if dropout else 0.0,
    }
    channels = {
        "in_channels": size_along(shapes, "model.1.weight", 1),
        "out_channels": size_along(shapes, f"model.{17 + blocks}.weight", 0),
    }
    return _made(table, channels, biases={f"model.{17 + blocks}.bias"})


def _patch(shapes: Shapes) -> Make:
    last = max(_numbers(shapes, r"model\.(\d{1,3})\."))
    table = {
        "layers": (last - 2) // 3,
        "width": size_along(shapes, "model.0.weight", 0),
        "norm": _norm(shapes, norm="model.3", conv="model.2"),
    }
    channels = {"in_channels": size_along(shapes, "model.0.weight", 1)}
    return _made(table, channels, biases={"model.0.bias", f"model.{last}.bias"})


def _pixel(shapes: Shapes) -> Make:
    table = {
        "width": size_along(shapes, "net.0.weight", 0),
        "norm": _norm(shapes, norm="net.3", conv="net.2"),
    }
    channels = {"in_channels": size_along(shapes, "net.0.weight", 1)}

    def rename(ours: str) -> str:
        return ours.replace("model.", "net.", 1)

    return _made(table, channels, biases={"net.0.bias"}, rename=rename)


_BLOCK = r"model\.\d{1,3}\.conv_block\."

UNET = Layout("U-Net", "generator", "unet", _any(r"model\.model\."), _unet)
RESNET = Layout("ResNet", "generator", "resnet", _any(_BLOCK, without=r"model\.model\."), _resnet)
PATCH = Layout(
    "patch discriminator",
    "discriminator",
    "patch",
    _any(r"model\.\d{1,3}\.", without=rf"model\.model\.|net\.\d+\.|{_BLOCK}"),
    _patch,
)
PIXEL = Layout(
    "pixel discriminator",
    "discriminator",
    "pixel",
    _any(r"net\.\d+\.", without=rf"model\.model\.|{_BLOCK}"),
    _pixel,
)
