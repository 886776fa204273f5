"""Using a trained model: load a self-describing weights file, translate images of any size.

Needs nothing but the file and the plug-in that its header names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i import testtime, weights
from i2i.catalog import Catalog
from i2i.errors import DataError, I2IError, Problem, RecipeError
from i2i.images import IMAGE_SUFFIXES, image_spec, normalise, read_image, to_channels, write_image
from i2i.kinds import KINDS, ImageSpec, PairSpec, TestSettings
from i2i.plugins import discover
from i2i.schema import schema_of
from i2i.seeds import seeded


@dataclass(frozen=True)
class Model:
    """A trained generator in test mode, and the images that it reads and writes."""

    module: nn.Module
    spec: PairSpec
    notes: tuple[str, ...]


def load_generator(path: str | Path) -> nn.Module:
    """Return the generator in a model file as an ordinary module, on the CPU, in test mode.

    It maps (B,Cin,H,W) to (B,Cout,H,W), both in [-1,1], with dropout and normalisation as the file
    says; height and width must be multiples of its `size_multiple`, if it has one. Raises DataError
    for a file that is no model, PluginError when its component is not installed.
    """
    return load_model(path).module


def load_model(
    path: str | Path, *, device: str = "cpu", catalog: Catalog | None = None, dropout: bool | None = None
) -> Model:
    """Load a model file on `device`; `dropout` overrides what the file says."""
    file = weights.read(Path(path))
    catalog = catalog or Catalog(discover())
    try:
        spec = _pair_spec(file.header["pair_spec"])
        test = TestSettings(**file.header["test"])
        entry = catalog.get(("generator",), file.header["component"])
        notes = weights.check_component(file, entry)
        table = dict(file.header["slot"])
    except (KeyError, TypeError):
        raise DataError(f"{path} is not a model: its header describes no generator.") from None
    except I2IError as error:
        raise type(error)(Problem(error.problems[0].message, file=str(path))) from error
    kind = KINDS["generator"]
    schema = schema_of(entry.load(), owner=entry.ref, injected=kind.injected)
    unknown = table.keys() - set(schema.names) - {"use", *(field.name for field in fields(kind.settings))}
    if unknown:
        raise RecipeError(
            f"{path} sets {', '.join(sorted(unknown))}, which the installed {entry.ref} does not have."
        )
    options = {name: schema[name].parse(value) for name, value in table.items() if name in schema.names}
    channels = {"in_channels": spec.source.channels, "out_channels": spec.target.channels}
    with seeded(0, "load"):
        module: nn.Module = entry.load()(
            **options, **{name: value for name, value in channels.items() if name in schema.injected}
        )
    weights.load_into(module, file.tensors, source=str(path), target=entry.ref)
    testtime.apply(module, test if dropout is None else TestSettings(dropout, test.norm))
    return Model(module.to(device), spec, tuple(notes))


def _pair_spec(table: Mapping[str, Any]) -> PairSpec:
    return PairSpec(ImageSpec(**table["source"]), ImageSpec(**table["target"]))


@torch.no_grad()
def translate(model: Model, source: Tensor) -> Tensor:
    """Translate one image (C,H,W) in [-1,1] of any size: padded to what the generator needs, then cut."""
    device = next(model.module.parameters()).device
    height, width = source.shape[-2:]
    multiple = getattr(model.module, "size_multiple", 1)
    padded = _pad(source[None].to(device), -height % multiple, -width % multiple)
    output: Tensor = model.module(padded)
    return output[0, :, :height, :width].float().cpu()


def _pad(image: Tensor, below: int, right: int) -> Tensor:
    """Mirror the image at its lower and right edge; where it is too small for that, repeat the edge."""
    fits = below < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, below), mode="reflect" if fits else "replicate")


def translate_file(model: Model, source: Path, target: Path, *, seed: int) -> None:
    """Translate one image file; dropout is drawn from `seed` and the file's name.

    Raises DataError when the image cannot be read or does not fit the model.
    """
    stored = to_channels(read_image(source), model.spec.source.channels)
    wanted = model.spec.source
    own = image_spec(stored)
    image = normalise(stored, wanted if own.depth == wanted.depth else own)
    with seeded(seed, "translate", source.name):
        output = translate(model, image)
    write_image(target, output, spec=model.spec.target)


def translate_all(model: Model, work: Iterable[tuple[Path, Path]], *, seed: int) -> Iterator[Path]:
    """Translate what `plan` returned, yielding each image that was written.

    An image that cannot be read stops none of the others: DataError names all of them at the end.
    """
    problems: list[Problem] = []
    for source, target in work:
        try:
            translate_file(model, source, target, seed=seed)
        except DataError as error:
            problems += error.problems
        else:
            yield target
    if problems:
        raise DataError(*problems)


def plan(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Return which image is written where: a file, or every image below a folder under its own name.

    Raises DataError when there is none, RecipeError when a translation would overwrite its source.
    """
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        found = [path for path in found if not path.name.startswith(".")]
        if not found:
            raise DataError(f"{source} holds no image; looked for {', '.join(sorted(IMAGE_SUFFIXES))}.")
        if target.is_file():
            raise RecipeError(f"{target} is a file, and {source} is a folder; name a folder to write to.")
        work = [(path, target / path.relative_to(source)) for path in found]
    elif source.is_file():
        inside = target.is_dir() or not target.suffix
        work = [(source, target / source.name if inside else target)]
    else:
        raise DataError(f"{source} does not exist.")
    for path, result in work:
        if result.exists() and result.samefile(path):
            raise RecipeError(f"{path} would be overwritten by its own translation; choose another output.")
    return work
