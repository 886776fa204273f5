"""Using a trained model: load a self-describing weights file, translate images of any size.

Needs nothing but the file and the plug-in that its header names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i import testtime
from i2i.errors import DataError, I2IError, Problem, RecipeError
from i2i.images import IMAGE_SUFFIXES, fitting, write_image
from i2i.kinds import PairSpec, TestSettings
from i2i.models.sources import Files, parts_in, read_source
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.discovery import discover
from i2i.plugins.schema import component_schema, slot_schema
from i2i.plugins.versions import then_and_now, told
from i2i.registry import Entry
from i2i.runs import weights
from i2i.runs.folder import model_in
from i2i.runs.header import ModelHeader
from i2i.seeds import seeded


@dataclass(frozen=True)
class Model:
    """A trained generator in test mode, and the images that it reads and writes."""

    module: nn.Module
    spec: PairSpec
    notes: tuple[str, ...]
    device: str = "cpu"


def load_generator(path: str | Path) -> nn.Module:
    """Return the generator in a model file or a run's folder as an ordinary module, on the CPU, in test mode.

    It maps (B,Cin,H,W) to (B,Cout,H,W), both in [-1,1], with dropout and normalisation as the file
    says; height and width must be multiples of its `size_multiple`, if it has one. Raises DataError
    for a file that is no model, PluginError when its component is not installed.
    """
    return load_model(path).module


def load_model(
    path: str | Path, *, device: str = "cpu", catalog: Catalog | None = None, dropout: bool | None = None
) -> Model:
    """Load a model file, or that of a run's folder, on `device`; `dropout` overrides what the file says."""
    file = weights.read(model_in(Path(path)))
    header = ModelHeader.read(file.header, path=file.path)
    spec, test = header.generator(path=file.path)
    catalog = catalog or Catalog(discover())
    entry = _component(header, file.path, catalog)
    notes = header.check(entry, path=file.path)
    options = _options(header, file.path, entry)
    factory, schema = component_schema(entry)
    channels = {"in_channels": spec.source.channels, "out_channels": spec.target.channels}
    given = {name: value for name, value in {**channels, "fetch": False}.items() if name in schema.injected}
    try:
        # Without memory first: a header may ask for more than its own tensors ever filled.
        with torch.device("meta"):
            weights.load_into(
                factory(**options, **given), file.tensors, source=str(file.path), target=entry.ref
            )
        with seeded(0, "load"):
            module: nn.Module = factory(**options, **given)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{file.path} is not a model that {entry.ref} can make: {error}") from error
    weights.load_into(module, file.tensors, source=str(file.path), target=entry.ref)
    testtime.apply(module, test if dropout is None else TestSettings(dropout, test.norm))
    return Model(module.to(device), spec, tuple(notes), device)


def _component(header: ModelHeader, path: Path, catalog: Catalog) -> Entry:
    """Return the generator that a header names; raise in its file's name when it is not to be had."""
    try:
        return catalog.get(("generator",), header.component)
    except I2IError as error:
        namespace, _ = split_ref(header.component)
        skew = told({namespace: header.written_with}, namespace, catalog.plugins.get(namespace))
        problem = Problem(error.problems[0].message, file=str(path), hint=skew)
        raise type(error)(problem) from error


def _options(header: ModelHeader, path: Path, entry: Entry) -> dict[str, Any]:
    """Return the parameters in a model's table; RecipeError where the installed component has others."""
    _, schema = component_schema(entry)
    reading = schema.read(header.slot)
    unknown = sorted(header.slot.keys() - {"use", *schema.names, *slot_schema(entry.kind).names})
    faults = [f"the installed {entry.ref} has no parameter '{name}'" for name in unknown]
    faults += reading.errors.values()
    if not faults:
        return reading.values
    then, now = header.written_with, f"{entry.distribution} {entry.version}"
    skew = then_and_now(then, now) if then != now else ""
    raise RecipeError(*(Problem(fault, file=str(path), hint=skew) for fault in faults))


@torch.no_grad()
def translate(model: Model, source: Tensor) -> Tensor:
    """Translate one image (C,H,W) in [-1,1] of any size: padded to what the generator needs, then cut.

    A batch (B,C,H,W) will do too.
    """
    height, width = source.shape[-2:]
    multiple = getattr(model.module, "size_multiple", 1)
    images = source if source.dim() == 4 else source[None]
    padded = _pad(images.to(model.device), -height % multiple, -width % multiple)
    output: Tensor = model.module(padded)[..., :height, :width].float().cpu()
    return output if source.dim() == 4 else output[0]


def _pad(image: Tensor, below: int, right: int) -> Tensor:
    """Mirror the image at its lower and right edge; where it is too small for that, repeat the edge."""
    fits = below < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, below), mode="reflect" if fits else "replicate")


def translate_file(model: Model, source: Files, target: Path, *, seed: int, samples: int = 1) -> None:
    """Translate one image file; dropout is drawn from `seed` and the (first) file's name.

    Several `samples` are written as NAME-1, NAME-2 and so on, of which the first is what one alone is.
    Raises DataError when the image cannot be read or does not fit the model, RecipeError for samples
    that are all equal.
    """
    first = source if isinstance(source, Path) else source[0]
    image = read_source(source, model.spec.source)
    answers = []
    for number in range(samples):
        with seeded(seed, "translate", first.name, *([number] if number else [])):
            answers.append(translate(model, image))
    if samples == 1:
        write_image(target, answers[0], spec=model.spec.target)
        return
    if torch.equal(answers[0], answers[1]):
        raise RecipeError(
            f"this model draws nothing at random, so {samples} samples would be equal; "
            "leave --samples out, or, if it has dropout, turn that on with --dropout."
        )
    for number, answer in enumerate(answers, start=1):
        write_image(target.with_stem(f"{target.stem}-{number}"), answer, spec=model.spec.target)


def translate_all(
    model: Model, work: Iterable[tuple[Files, Path]], *, seed: int, samples: int = 1
) -> Iterator[Path]:
    """Translate what `plan` returned, yielding each image once its `samples` are written.

    An image that cannot be read stops none of the others: DataError names all of them at the end.
    """
    problems: list[Problem] = []
    for source, target in work:
        try:
            translate_file(model, source, target, seed=seed, samples=samples)
        except DataError as error:
            problems += error.problems
        else:
            yield target
    if problems:
        raise DataError(*problems)


def plan(source: Path, target: Path, spec: PairSpec | None = None) -> list[tuple[Files, Path]]:
    """Return which image is written where: a file, or every image below a folder under its own name.

    With the `spec` of a model, a folder may hold one folder for each of the files that its source is
    stacked from, and a name gets another suffix where its own cannot hold the model's images. Raises
    DataError when there is none, RecipeError when a translation would overwrite its source or another.
    """
    work: list[tuple[Files, Path]]
    if source.is_dir():
        if target.is_file():
            raise RecipeError(f"{target} is a file, and {source} is a folder; name a folder to write to.")
        work = [(files, target / name) for files, name in _images_below(source, spec)]
    elif source.is_file():
        inside = target.is_dir() or not target.suffix
        work = [(source, target / source.name)] if inside else [(source, target)]
        if not inside:
            spec = None  # the person chose the suffix
    else:
        raise DataError(f"{source} does not exist.")
    if spec is not None:
        work = [(files, fitting(result, spec.target)) for files, result in work]
    _check_results(work)
    return work


def _images_below(folder: Path, spec: PairSpec | None) -> list[tuple[Files, Path]]:
    """Return the images below a folder, each with its name inside that folder."""
    parts = parts_in(folder, spec.source) if spec else []
    if parts:
        return [(files, Path(files[0].name)) for files in parts]
    names = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    found = [name for name in names if name.suffix.lower() in IMAGE_SUFFIXES and not _hidden(name)]
    found = [name for name in found if not (folder / name).is_dir()]
    if not found:
        raise DataError(f"{folder} holds no image; looked for {', '.join(sorted(IMAGE_SUFFIXES))}.")
    return [(folder / name, name) for name in found]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_results(work: Iterable[tuple[Files, Path]]) -> None:
    taken: dict[Path, Path] = {}
    for source, result in work:
        files = (source,) if isinstance(source, Path) else source
        for path in files:
            if result.exists() and result.samefile(path):
                message = f"{path} would be overwritten by its own translation; choose another output."
                raise RecipeError(message)
        if result in taken:
            raise RecipeError(f"{taken[result]} and {files[0]} would both become {result}: rename one.")
        taken[result] = files[0]
