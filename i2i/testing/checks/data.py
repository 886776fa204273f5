"""What a data set promises: items that are what its spec says, the same each time, in any process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.errors import DataError, MissingSplitError
from i2i.images import DTYPES
from i2i.kinds import ImageSpec, PairSpec, Side
from i2i.stream import TrainingPairs, check_item
from i2i.testing import samples
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.spawned import digest
from i2i.testing.subjects import Subject
from i2i.usable import check_alike

SIDES: tuple[Side, Side] = ("source", "target")
FEW, MANY = 4, 200
"""Items that are read one by one, and items whose ids are compared."""


@check("spec", "data", needs=["works"])
def spec(subject: Subject) -> None:
    """Its `spec` is a PairSpec of sound sides, and it has a length."""
    data = subject.shared
    require(
        isinstance(getattr(data, "spec", None), PairSpec),
        "its `spec` is no PairSpec: say in one how both sides are stored",
    )
    for name in SIDES:
        side: ImageSpec = data.spec.side(name)
        require(
            min(side.channels, side.height, side.width) >= 1,
            f"its spec has a {name} of {side.channels}x{side.height}x{side.width}: each is at least 1",
        )
        require(
            side.depth in DTYPES,
            f"its spec stores the {name} as {side.depth!r}: the depths are {', '.join(DTYPES)}",
        )
        require(
            side.low < side.high,
            f"its spec has a {name} from {side.low:g} to {side.high:g}: `low` becomes -1 and `high` 1",
        )
    require(len(data) > 0, "it is empty: give `params` with which there is something in the training split")


@check("items", "data", needs=["spec"])
def items(subject: Subject) -> None:
    """Its items have a source, a target and an id, of the channels, depth and values that its spec says."""
    data = subject.shared
    for index in _spread(len(data), FEW):
        item = data[index]
        require(
            isinstance(item, Mapping) and {"source", "target", "id"} <= item.keys(),
            f"item {index} is {_told(item)}: return a mapping with source, target and id",
        )
        require(
            isinstance(item["id"], str) and item["id"],
            f"the id of item {index} is {item['id']!r}: make it a text that is not empty",
        )
        for side in SIDES:
            image, said = item[side], data.spec.side(side)
            require(
                isinstance(image, Tensor) and image.dim() == 3,
                f"the {side} of item {index} is {_told(image)}: return a tensor (C,H,W)",
            )
            try:
                check_item(item, data.spec)
            except DataError as error:
                fail(f"{error.problems[0].message.rstrip('.')}: change the one or the other")
            least, most = image.float().min().item(), image.float().max().item()
            require(
                said.low <= least and most <= said.high,
                f"the {side} of item {index} goes from {least:g} to {most:g}, and its spec says "
                f"{said.low:g} to {said.high:g}: change the one or the other",
            )


@check("repeatable", "data", needs=["items"])
def repeatable(subject: Subject) -> None:
    """An index and an epoch give the same item each time, also once it is opened again."""
    data, again = subject.shared, subject.build(seed=1)
    require(
        len(data) == len(again),
        f"opened twice it has {len(data)} and {len(again)} items: choose them by name or by a fixed seed",
    )
    for index in _spread(len(data), FEW):
        first = digest(data[index])
        require(
            first == digest(data[index]),
            f"item {index} differs from one time to the next: leave augmentation to transforms, or define "
            "draw(index, rng)",
        )
        require(
            first == digest(again[index]),
            f"item {index} differs once the data is opened again: sort what is listed, and draw by a fixed "
            "seed",
        )
        if hasattr(data, "draw"):
            one, other = (digest(data.draw(index, samples.generator(7))) for _ in range(2))
            require(one == other, f"draw({index}, rng) differs for one state of rng: draw from rng alone")
    third = [TrainingPairs(held, {}, seed=0)[3, 0] for held in (data, again)]
    require(
        _same(*third),
        "item 0 of epoch 3 differs once the data is opened again: let it depend on index and rng alone",
    )


@check("unique-ids", "data", needs=["items"])
def unique_ids(subject: Subject) -> None:
    """No two items share an id."""
    data = subject.shared
    seen: dict[str, int] = {}
    for index in _spread(len(data), MANY):
        name = data[index]["id"]
        require(
            name not in seen,
            f"items {seen.get(name)} and {index} both have the id '{name}': reports and files go by id, make "
            "each its own",
        )
        seen[name] = index


@check("splits", "data", needs=["spec"])
def splits(subject: Subject) -> None:
    """A split that it does not have is a MissingSplitError; those that it has are alike."""
    if "split" not in subject.schema.injected:
        fail("it does not ask for the `split`: take it as a parameter, and return train, val or test")
    for split in ("val", "test"):
        try:
            other = subject.build(split=split)
        except MissingSplitError:
            continue
        except Exception as error:
            fail(
                f"asked for the split '{split}' it raises {told(error)}: raise i2i.errors.MissingSplitError "
                "for a split that is not there"
            )
        try:
            check_alike(subject.shared.spec, other.spec, split=split)
        except DataError as error:
            fail(error.problems[0].message)


@check("pickles", "data", "transform", needs=["works"])
def pickles(subject: Subject) -> None:
    """It can be pickled, as it must be to get into a worker process."""
    try:
        pickle.loads(pickle.dumps(subject.shared))  # noqa: S301 - a moment old
    except Exception as error:
        fail(
            f"it cannot be pickled ({told(error)}): keep lambdas, local classes, open files and locks out "
            "of its attributes"
        )


@check("spawn-safe", "data", needs=["pickles", "repeatable"])
def spawn_safe(subject: Subject) -> None:
    """A fresh process that is sent the data set reads the same items."""
    data = subject.shared
    last = len(data) - 1
    with tempfile.TemporaryDirectory(prefix="i2i-check-") as folder:
        path = Path(folder, "data")
        path.write_bytes(pickle.dumps(data))
        ended = subprocess.run(  # noqa: S603 - this interpreter and a module of this package
            [sys.executable, "-m", "i2i.testing.spawned", str(path), str(last)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            check=False,
        )
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["it ended the process"])[-1]
        fail(
            f"in a fresh process it cannot be read ({reason}): keep all that it needs in its attributes, "
            "not in variables of its module"
        )
    require(
        ended.stdout.split()[-1:] == [digest(data[last])],
        f"in a fresh process item {last} is another: keep all that it needs in its attributes, and use no "
        "hash()",
    )


def _spread(length: int, count: int) -> list[int]:
    """Return up to `count` indices, the first and the last among them."""
    if length <= count:
        return list(range(length))
    return sorted({place * (length - 1) // (count - 1) for place in range(count)})


def _same(one: Any, other: Any) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and one[2] == other[2]


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value)) or 'nothing'}"
    return f"a {type(value).__name__}"


CHECKS = (spec, items, repeatable, unique_ids, splits, pickles, spawn_safe)
