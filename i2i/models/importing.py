"""Weights from elsewhere, made into weights files that say what they are.

Which network a ``.pth`` file holds is told by the names and shapes of its tensors alone, which the installed
layouts (`i2i.layouts`) are asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import DataError, I2IError, PluginError, RecipeError, in_a_line, ran_out_of_memory
from i2i.kinds import ImageSpec, PairSpec
from i2i.layouts import Layout, Make, Shapes
from i2i.plugins.catalog import Catalog
from i2i.plugins.schema import bind
from i2i.registry import Entry, LayoutEntry
from i2i.runs import weights
from i2i.runs.header import ModelHeader
from i2i.torch_files import read_tensors

WRAPPERS = ("module.", "_orig_mod.")
"""What names begin with when a network was saved inside torch's own wrappers."""


@dataclass(frozen=True)
class Imported:
    """What was found in a file and written: the component, the keys of its slot, how many parameters.

    `layout` is the reference of the one that knew the file; `notes` say which others could not be asked.
    """

    entry: Entry
    table: Mapping[str, Any]
    parameters: int
    layout: str
    notes: tuple[str, ...] = ()


def import_weights(source: Path, target: Path, *, catalog: Catalog, layout: str | None = None) -> Imported:
    """Read the network in the ``.pth`` file `source` and write it to `target` as a weights file.

    `layout` is the reference of the one to go by, where several know the file. Raises DataError when none
    does, or the network nearly is one, naming the tensor that does not fit; RecipeError when several know it,
    and when `target` is the file itself; PluginError for a layout whose own code fails.
    """
    if source.exists() and target.exists() and target.samefile(source):
        raise RecipeError(f"{source} would be overwritten by its own import; choose another --out.")
    entries = catalog.layouts() if layout is None else [catalog.layout(layout)]
    tensors = {_unwrapped(name): tensor for name, tensor in read_tensors(source).items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    claim, notes = _recognise(source, shapes, entries, chosen=layout is not None)
    known = claim.layout
    try:
        with _at_fault(claim.entry):
            make = known.make(shapes)
    except LookupError as error:
        missing = f"'{error.args[0]}' is missing or of another shape"
        raise DataError(f"{source} looks like a {known.title}, but {missing}.") from None
    entry = catalog.get((known.kind,), known.component)
    module, toml = _module(source, known, make, entry)
    with _at_fault(claim.entry, LookupError):
        fitted = _fitted(source, tensors, module, make, ref=entry.ref)
    header = ModelHeader(
        component=entry.ref,
        rev=entry.rev,
        distribution=entry.distribution,
        version=entry.version,
        slot={"use": known.component, **toml},
        provenance={"imported": source.name, "sha256": _checksum(source), "torch": torch.__version__},
    )
    if known.kind == "generator":
        sides = (make.channels["in_channels"], make.channels["out_channels"])
        read, written = (ImageSpec(count, make.size, make.size) for count in sides)
        header = replace(header, pair_spec=PairSpec(read, written), test=make.test)
    weights.write(target, fitted, header.entries())
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Imported(entry, make.table, parameters, claim.entry.ref, notes)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


@dataclass(frozen=True)
class _Claim:
    entry: LayoutEntry
    layout: Layout


def _recognise(
    source: Path, shapes: Shapes, entries: list[LayoutEntry], *, chosen: bool
) -> tuple[_Claim, tuple[str, ...]]:
    """Return the one layout that claims a file, and a sentence for each that could not be asked."""
    claims: list[_Claim] = []
    notes: list[str] = []
    for entry in entries:
        try:
            layout = entry.load()
            with _at_fault(entry, LookupError):
                claimed = layout.claims(shapes)
        except PluginError as error:
            if chosen:
                raise
            notes.append(error.problems[0].message)
        else:
            claims += [_Claim(entry, layout)] if claimed else []
    if len(claims) > 1:
        rivals = " and ".join(f"{claim.entry.ref} (a {claim.layout.title})" for claim in claims)
        raise RecipeError(
            f"{source} is known to several layouts, {rivals}: say which one it is, with "
            f"--layout {claims[0].entry.ref}."
        )
    if claims:
        return claims[0], tuple(notes)
    known = ", ".join(entry.ref for entry in entries) or "there are none"
    which = f"the layout {known}" if chosen else f"the layouts that are installed ({known})"
    unasked = f" Not asked: {'; '.join(notes)}." if notes else ""
    raise DataError(
        f"{source} holds no network that can be imported by {which}: its first tensor is "
        f"'{next(iter(shapes))}'.{unasked}"
    )


@contextmanager
def _at_fault(entry: LayoutEntry, *also: type[Exception]) -> Iterator[None]:
    """Name the layout in whose code something is raised; a LookupError passes, unless it is in `also`."""
    try:
        yield
    except I2IError:
        raise
    except Exception as error:
        if ran_out_of_memory(error) or (isinstance(error, LookupError) and LookupError not in also):
            raise
        title = f"the layout {entry.ref} ({entry.distribution} {entry.version})"
        raise PluginError(f"{title} raised {in_a_line(error)}.") from error


def _module(source: Path, layout: Layout, make: Make, entry: Entry) -> tuple[nn.Module, dict[str, Any]]:
    """Return the component without weights, and its keys as TOML holds them."""
    bound = bind(entry, make.table)
    if bound.unknown:
        raise PluginError(f"a layout gives {entry.ref} the key '{bound.unknown[0]}', which it does not have.")
    refused = f"{source} looks like a {layout.title}, but {entry.ref} cannot be one"
    if bound.errors:
        raise DataError(f"{refused}: {next(iter(bound.errors.values()))}.")
    try:
        with torch.device("meta"):
            module: nn.Module = bound.call(**make.channels)
    except ValueError as error:
        raise DataError(f"{refused}: {in_a_line(error)}.") from error
    return module, bound.toml


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
        elif make.zero is not None and make.zero(theirs):
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
        if name not in used and not (make.unused is not None and make.unused(name)):
            raise DataError(f"{title}, which has no place for '{name}'.")
    return fitted


def _by(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"
