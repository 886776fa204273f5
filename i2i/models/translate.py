"""Using a trained model: load a self-describing weights file, translate images of any size.

Needs nothing but the file and the plug-in that its header names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from i2i import testtime
from i2i.errors import DataError, I2IError, PluginError, Problem, RecipeError
from i2i.images import IMAGE_SUFFIXES, fitting, write_image
from i2i.kinds import PairSpec, TestSettings
from i2i.models.sources import Files, parts_in, read_source
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.schema import Bound, bind
from i2i.plugins.versions import both_versions, version_skew
from i2i.registry import Entry
from i2i.runs import weights
from i2i.seeds import seeded
from i2i.system.device import find_device

Record = TypeVar("Record", PairSpec, TestSettings)


@dataclass(frozen=True)
class Model:
    """A trained generator in test mode, and the images that it reads and writes."""

    module: nn.Module
    spec: PairSpec
    notes: tuple[str, ...]
    device: str = "cpu"


def load_generator(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
) -> nn.Module:
    """Return the generator in a model file as an ordinary module on `device`, in test mode.

    It maps (B,Cin,H,W) to (B,Cout,H,W), both in [-1,1]; height and width must be multiples of its
    `size_multiple`, if it has one. What is None here is as the file says:

    norm: the statistics of its batch norms in eval mode, each image's own ("batch"), so that an image is
        translated alike in any batch, or the averages of training ("running").
    dropout: whether it is on. Then its dropout modules, and nothing else, are in train mode.

    Both are states of its modules, and it can be copied, pickled, compiled and exported with them.
    `.train()` makes it train like a new one: batch norms take the statistics of the batch and average
    them, and dropout is on. `.eval()` turns all dropout off, also if it was on at first; batch norms do
    what `norm` says.

    Raises DataError for a file that is no model, PluginError when its component is not installed or a
    batch norm of it cannot take each image's own statistics, RecipeError for another `norm`,
    ResourceError for a device that is not there.
    """
    return load_model(path, device=find_device(str(device)), norm=norm, dropout=dropout).module


def load_model(
    path: str | Path,
    *,
    device: str = "cpu",
    catalog: Catalog | None = None,
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
) -> Model:
    """Load a model file on `device`; `norm` and `dropout` override what the file says."""
    if norm not in (None, "batch", "running"):
        raise RecipeError(f"norm = {norm!r} is not known; use 'batch' or 'running'.")
    file = weights.read(Path(path))
    catalog = catalog or Catalog.installed()
    try:
        spec = _as(PairSpec, file.header["pair_spec"])
        test = _as(TestSettings, file.header["test"])
        entry = _component(file, catalog)
        notes = weights.check_component(file, entry)
        table = dict(file.header["slot"])
        bound = _bound(file, entry, table)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path} is not a model: its header describes no generator.") from None
    channels = {"in_channels": spec.source.channels, "out_channels": spec.target.channels}
    try:
        # Without memory first: a header may ask for more than its own tensors ever filled.
        with torch.device("meta"):
            shapes = bound.call(**channels, fetch=False)
            weights.load_into(shapes, file.tensors, source=str(path), target=entry.ref)
        with seeded(0, "load"):
            module: nn.Module = bound.call(**channels, fetch=False)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path} is not a model that {entry.ref} can make: {error}") from error
    weights.load_into(module, file.tensors, source=str(path), target=entry.ref)
    instead: dict[str, Any] = {"norm": norm, "dropout": dropout}
    test = replace(test, **{name: value for name, value in instead.items() if value is not None})
    try:
        testtime.apply(module, test)
    except PluginError as error:
        problems = (replace(problem, where=entry.ref, file=str(path)) for problem in error.problems)
        raise PluginError(*problems) from error
    return Model(module.to(device), spec, tuple(notes), device)


def _component(file: weights.WeightsFile, catalog: Catalog) -> Entry:
    """Return the generator that `file` names; raise in its name when it is not to be had."""
    ref, then = file.header["component"], f"{file.header['distribution']} {file.header['version']}"
    try:
        return catalog.get(("generator",), ref)
    except I2IError as error:
        namespace, _ = split_ref(ref)
        skew = version_skew({namespace: then}, namespace, catalog.record(namespace))
        problem = Problem(error.problems[0].message, file=str(file.path), hint=skew)
        raise type(error)(problem) from error


def _bound(file: weights.WeightsFile, entry: Entry, table: Mapping[str, Any]) -> Bound:
    """Read a model's table; RecipeError where the installed component has other parameters."""
    bound = bind(entry, table)
    faults = [f"the installed {entry.ref} has no parameter '{name}'" for name in sorted(bound.unknown)]
    faults += bound.errors.values()
    if not faults:
        return bound
    then, now = weights.versions(file, entry)
    skew = both_versions(then, now) if then != now else ""
    raise RecipeError(*(Problem(fault, file=str(file.path), hint=skew) for fault in faults))


def _as(kind: type[Record], value: Any) -> Record:
    """Return the record that a header's JSON describes; ValueError when it describes none."""
    return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)


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
