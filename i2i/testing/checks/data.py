"""What a data set promises: items that are what its spec says, the same each time, in any process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.data.extra import check_fields, extra_of
from i2i.data.opening import check_alike
from i2i.data.stream import TrainingPairs, check_item
from i2i.data.values import parts_fault
from i2i.errors import DataError, MissingSplitError, PluginError
from i2i.images import DTYPES, by_file
from i2i.kinds import ImageSpec, PairSpec, Side
from i2i.system.beside import helper
from i2i.testing import samples
from i2i.testing.checks.manners import MANNERS
from i2i.testing.outcomes import check, fail, require, told
from i2i.testing.spawned import digest
from i2i.testing.subjects import Subject

SIDES: tuple[Side, Side] = ("source", "target")
COARSE = 16
"""From here on, a `high` is none for values from 0 to 1."""

FEW, MANY = 4, 200
"""Items that are read one by one, and items whose ids are compared."""

WHOLE = 0.02
"""How far rounding to float32 may leave a value from the whole number that it stands for."""


@check("spec", "data", needs=["works", *MANNERS, "random-state-untouched"])
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
    require(
        data.spec.aligned or callable(getattr(data, "draw", None)),
        "its spec says that a target does not belong to its source (aligned=False), and it has no "
        "draw(index, rng), so that each source would always stand beside the same target: define it",
    )
    require(len(data) > 0, "it is empty: give `params` with which there is something in the training split")


@check("items", "data", needs=["spec"])
def items(subject: Subject) -> None:
    """Its items, also drawn ones, have a source, a target and an id, and the values that its spec says."""
    data = subject.shared
    reached = dict.fromkeys(SIDES, 0.0)
    for index in _spread(len(data), FEW):
        for item, what in _taken(data, index):
            _check(item, what, data.spec)
            for side in SIDES:
                reached[side] = max(reached[side], item[side].float().max().item())
    for side, most in reached.items():
        said = data.spec.side(side)
        require(
            not (said.low >= 0 and 0 < most <= 1 and said.high >= COARSE),
            f"the {side} goes up to {most:g}, and its spec says {said.high:g}: say high=1.0 in its "
            "ImageSpec, or store larger values",
        )


@check("fields", "data", needs=["items"])
def fields(subject: Subject) -> None:
    """Its items, also drawn ones, have the further fields that its `extra` says, and no others."""
    data = subject.shared
    try:
        extra = extra_of(data)
    except PluginError as error:
        fail(error.problems[0].message.rstrip("."))
    shapes: dict[str, tuple[int, ...]] = {}
    for index in _spread(len(data), FEW):
        for item, what in _taken(data, index):
            try:
                check_fields(item, extra)
            except (DataError, PluginError) as error:
                fail(f"{error.problems[0].message.rstrip('.')}: let `extra` say what items have")
            more = sorted(item.keys() - {*SIDES, "id"} - extra.keys())
            require(
                not more,
                f"{what} has {', '.join(more)} beside its pair, which nobody is given: say in `extra` what "
                "it is (ExtraSpec), or leave it out",
            )
            for name, said in extra.items():
                shape = tuple(item[name].shape)
                require(
                    said.image or shapes.setdefault(name, shape) == shape,
                    f"its field '{name}' is {shapes.get(name)} in one item and {shape} in another: values "
                    "are of one shape, so that they make a batch",
                )


@check("ends", "data", needs=["items"])
def ends(subject: Subject) -> None:
    """Past its end is an IndexError, so that going through it comes to an end."""
    data = subject.shared
    try:
        item = data[len(data)]
    except IndexError:
        return
    except Exception as error:
        fail(f"past its end item {len(data)} raises {told(error)}: raise IndexError there")
    fail(
        f"it has {len(data)} items, and there is one more, '{item['id']}': raise IndexError where an index "
        "is too large"
    )


def _taken(data: Any, index: int) -> Iterator[tuple[Any, str]]:
    """Yield the item at `index` and, of unpaired data, one that is drawn for it; each with what it is."""
    try:
        yield data[index], f"item {index}"
    except IndexError as error:
        fail(f"its length is {len(data)}, and item {index} raises {told(error)}: let len() count its items")
    if hasattr(data, "draw"):
        yield data.draw(index, samples.generator(7)), f"draw({index}, rng)"


def _check(item: Any, what: str, spec: PairSpec) -> None:
    """End the check where an item is not what the `spec` says."""
    require(
        isinstance(item, Mapping) and {"source", "target", "id"} <= item.keys(),
        f"{what} is {_told(item)}: return a mapping with source, target and id",
    )
    require(
        isinstance(item["id"], str) and item["id"],
        f"the id of {what} is {item['id']!r}: make it a text that is not empty",
    )
    for side in SIDES:
        image, said = item[side], spec.side(side)
        require(
            isinstance(image, Tensor) and image.dim() == 3,
            f"the {side} of {what} is {_told(image)}: return a tensor (C,H,W)",
        )
        try:
            check_item(item, spec)
        except DataError as error:
            fail(f"{error.problems[0].message.rstrip('.')}: change the one or the other")
        require(
            not image.requires_grad,
            f"the {side} of {what} carries a gradient: detach it",
        )
        require(
            image.isfinite().all(),
            f"the {side} of {what} has values that are not finite: say which these are to become, or leave "
            "the item out",
        )
        least, most = image.float().min().item(), image.float().max().item()
        require(
            said.low <= least and most <= said.high,
            f"the {side} of {what} goes from {least:g} to {most:g}, and its spec says "
            f"{said.low:g} to {said.high:g}: change the one or the other",
        )
        if said.one_hot:
            _check_classes(image, said, f"the {side} of {what}")


def _check_classes(image: Tensor, said: ImageSpec, what: str) -> None:
    """End the check where a map of classes, with the values of `said`, is none."""
    whole = image.float() == said.high
    require(
        whole.sum(dim=0).eq(1).all() and (image.float()[~whole] == said.low).all(),
        f"{what} is a map of classes, and has pixels of none or of several: let one "
        f"channel be {said.high:g} at each pixel, and the others {said.low:g}",
    )


@check("parts", "data", needs=["items"])
def parts(subject: Subject) -> None:
    """Of a side of several files the parts add up to its channels, and each has values of its own kind."""
    data = subject.shared
    for name in SIDES:
        fault = parts_fault(data.spec.side(name))
        require(not fault, f"its spec has a {name} with {fault}")
    for index in _spread(len(data), FEW):
        for item, what in _taken(data, index):
            for side in SIDES:
                _check_parts(item[side], data.spec.side(side), f"the {side} of {what}")


def _check_parts(image: Tensor, side: ImageSpec, what: str) -> None:
    """End the check where a part of a stored side has values that its file could not hold."""
    for part, (file, piece) in zip(side.parts, by_file(image, side), strict=bool(side.parts)):
        if file.one_hot:
            _check_classes(piece, replace(file, low=side.low, high=side.high), f"'{part.name}' of {what}")
        elif file.depth != "float32" and side.depth == "float32":
            values = (piece.double() - side.low) / (side.high - side.low) * (file.high - file.low) + file.low
            require(
                (values - values.round()).abs().max() < WHOLE,
                f"'{part.name}' of {what} has values between those that {file.depth} from {file.low:g} to "
                f"{file.high:g} holds: map `low` to -1 and `high` to 1, as i2i.images.normalise does",
            )


@check("repeatable", "data", needs=["items"])
def repeatable(subject: Subject) -> None:
    """An index and an epoch give the same item each time: in another thread, and once it is opened again."""
    data, again = subject.shared, subject.build(seed=1)
    require(
        len(data) == len(again),
        f"opened twice it has {len(data)} and {len(again)} items: choose them by name or by a fixed seed",
    )
    said, kept = data.spec, data[0]
    before = digest(kept)
    for index in _spread(len(data), FEW):
        first = digest(data[index])
        require(
            before == digest(kept),
            f"item 0 changes when item {index} is read: give each item tensors of its own, a clone of a "
            "buffer",
        )
        require(data.spec == said, f"its spec changes when item {index} is read: say in __init__ what it is")
        require(
            first == digest(data[index]),
            f"item {index} differs from one time to the next: leave augmentation to transforms, or define "
            "draw(index, rng)",
        )
        require(
            first == _digest_in_a_thread(data, index),
            f"item {index} differs when another thread asks for it: keep nothing for a thread alone",
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


def _digest_in_a_thread(data: Any, index: int) -> str:
    """Return the digest of an item that is read as held-out ones are, beside the network's own thread."""
    with helper() as thread:
        try:
            return thread.submit(lambda: digest(data[index])).result()
        except Exception as error:
            fail(
                f"item {index} cannot be had in another thread ({told(error)}): open databases and files "
                "where an item is read"
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


@check("splits", "data", needs=["repeatable"])
def splits(subject: Subject) -> None:
    """A split that it does not have is a MissingSplitError; others are alike, and of other images."""
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
        places = _spread(min(len(other), len(subject.shared)), FEW)
        require(
            any(_pixels(other[place]) != _pixels(subject.shared[place]) for place in places),
            f"the splits 'train' and '{split}' have the same images, so nothing that is held out tells "
            "anything: give each split its own, and raise i2i.errors.MissingSplitError for one that is not "
            "there",
        )


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


def _pixels(item: Any) -> str:
    """Return a digest of an item's images alone."""
    return digest({**item, "id": ""})


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


CHECKS = (spec, items, fields, parts, ends, repeatable, unique_ids, splits, pickles, spawn_safe)
