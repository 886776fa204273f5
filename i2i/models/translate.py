"""Using a trained model: load a self-describing weights file, translate images of any size.

Needs nothing but the file and the plug-in that its header names.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i import testtime
from i2i.building.unfilled import without_initial_weights
from i2i.data.changes import Changes, changes_of
from i2i.data.scale import scale_of
from i2i.errors import DataError, I2IError, PluginError, Problem, RecipeError
from i2i.images.resizing import padded, resize
from i2i.kinds import PairSpec, Scale
from i2i.models.sizing import Asked, Sizing
from i2i.models.trained import reading_of
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.schema import Bound, bind
from i2i.plugins.versions import RESOLVED, both_versions, version_skew
from i2i.recipe.recipe import load_sections
from i2i.records import GeneratorSlot, Pictures, Side
from i2i.registry import Entry
from i2i.runs import weights
from i2i.runs.folder import RunFolder, model_in
from i2i.runs.header import ModelHeader
from i2i.seeds import seeded
from i2i.system.device import find_device


@dataclass(frozen=True)
class Model:
    """A trained generator in test mode, and the images that it reads and writes.

    Where transforms are part of reading, `changes` make its source of the `sides` of a pair as files hold it.
    """

    module: nn.Module
    spec: PairSpec
    notes: tuple[str, ...]
    device: str = "cpu"
    scale: Scale | None = None
    pictures: Pictures | None = None
    changes: Changes | None = None
    sides: tuple[Side, ...] = ("source",)

    @property
    def files(self) -> PairSpec:
        """What the files hold that it is shown and that are written of its answers."""
        if self.changes is None:
            return self.spec
        return PairSpec(self.changes.plain.seen_by(GeneratorSlot(self.sides)).source, self.spec.target)

    def source(self, picture: Tensor, name: str) -> Tensor:
        """Return a picture (C,H,W) in [-1,1], which is called `name`, as the generator is to read it."""
        if self.changes is None:
            return picture
        plain = self.changes.plain
        pieces = torch.split(picture, [plain.side(side).channels for side in self.sides])
        made = [self.changes.side(side, piece, name) for side, piece in zip(self.sides, pieces, strict=True)]
        return torch.cat(made)

    def sizing(self, asked: Asked | None = None) -> Sizing:
        """Return how pictures are brought to the scale of the training, or to what was `asked` for."""
        return Sizing(self.spec.source, self.scale, self.pictures, asked)


def load_generator(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
) -> nn.Module:
    """Return the generator in a model file or a run's folder as an ordinary module on `device`, in test mode.

    It maps (B,Cin,H,W) to (B,Cout,H,W), both in [-1,1]; height and width must be multiples of its
    `size_multiple`, if it has one. Where transforms of the training add or change channels, Cin are those
    that they make, and its sources have to have them (`Translator` sees to that by itself). What is None here
    is as the file says:

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
    """Load a model file, or a run's, on `device`; `norm` and `dropout` override what it says."""
    if norm not in (None, "batch", "running"):
        raise RecipeError(f"norm = {norm!r} is not known; use 'batch' or 'running'.")
    file = weights.read(model_in(Path(path)))
    header = ModelHeader.read(file.header, path=file.path)
    spec, test = header.generator(path=file.path)
    catalog = catalog or Catalog.installed()
    entry = _component(header, file.path, catalog)
    notes = header.check(entry, path=file.path)
    bound = _bound(header, file.path, entry)
    given = {"in_channels": spec.source.channels, "out_channels": spec.target.channels, "spec": spec}
    try:
        # Without memory first: a header may ask for more than its own tensors ever filled.
        with torch.device("meta"):
            shapes = bound.call(**given, fetch=False)
            weights.load_into(shapes, file.tensors, source=str(file.path), target=entry.ref)
        with seeded(0, "load"), without_initial_weights():
            module: nn.Module = bound.call(**given, fetch=False)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{file.path} is not a model that {entry.ref} can make: {error}") from error
    weights.load_into(module, file.tensors, source=str(file.path), target=entry.ref)
    instead: dict[str, Any] = {"norm": norm, "dropout": dropout}
    test = replace(test, **{name: value for name, value in instead.items() if value is not None})
    try:
        testtime.apply(module, test)
    except PluginError as error:
        problems = (replace(problem, where=entry.ref, file=str(file.path)) for problem in error.problems)
        raise PluginError(*problems) from error
    scale = header.scale or _scale_beside(file.path, catalog)
    sides = header.reading.sides if header.reading else ("source",)
    changes = _changes(header, spec, file.path, catalog)
    return Model(module.to(device), spec, tuple(notes), device, scale, header.pictures, changes, sides)


def _changes(header: ModelHeader, spec: PairSpec, path: Path, catalog: Catalog) -> Changes | None:
    """Return the transforms that are part of reading for a model of `spec`, if there are any."""
    if header.reading is None:
        return None
    recipe = reading_of(header, path, catalog)
    changes = changes_of(recipe, header.reading.spec)
    made = changes and changes.spec.seen_by(GeneratorSlot(header.reading.sides)).source.channels
    if made != spec.source.channels:
        names = ", ".join(slot.entry.ref for slot in recipe.section("transforms"))
        raise RecipeError(
            f"{path} reads {spec.source.channels} channels, and the installed {names} makes others: use the "
            "version it was written with."
        )
    return changes


def _scale_beside(path: Path, catalog: Catalog) -> Scale | None:
    """Return the scale of training by the recipe in the run's folder, of a file that does not say."""
    run = RunFolder(path.parent)
    if path.name != run.model.name or not run.holds_run():
        return None
    with suppress(I2IError):  # a plug-in that is gone by now, which translating doesn't need
        return scale_of(load_sections(run.root / RESOLVED, ("data", "transforms"), catalog=catalog))
    return None


def _component(header: ModelHeader, path: Path, catalog: Catalog) -> Entry:
    """Return the generator that a header names; raise in its file's name when it is not to be had."""
    try:
        return catalog.get(("generator",), header.component)
    except I2IError as error:
        namespace, _ = split_ref(header.component)
        skew = version_skew({namespace: header.written_with}, namespace, catalog.record(namespace))
        problem = Problem(error.problems[0].message, file=str(path), hint=skew)
        raise type(error)(problem) from error


def _bound(header: ModelHeader, path: Path, entry: Entry) -> Bound:
    """Read a model's table; RecipeError where the installed component has other parameters."""
    bound = bind(entry, header.slot)
    faults = [f"the installed {entry.ref} has no parameter '{name}'" for name in sorted(bound.unknown)]
    faults += bound.errors.values()
    if not faults:
        return bound
    then, now = header.written_with, f"{entry.distribution} {entry.version}"
    skew = both_versions(then, now) if then != now else ""
    raise RecipeError(*(Problem(fault, file=str(path), hint=skew) for fault in faults))


@torch.no_grad()
def translate(model: Model, source: Tensor) -> Tensor:
    """Translate one image (C,H,W) in [-1,1] of any size: padded to what the generator needs, then cut.

    A batch (B,C,H,W) will do too.
    """
    height, width = source.shape[-2:]
    images = source if source.dim() == 4 else source[None]
    fitting = padded(images.to(model.device), getattr(model.module, "size_multiple", 1))
    output: Tensor = model.module(fitting)[..., :height, :width].float().cpu()
    return output if source.dim() == 4 else output[0]


def translate_at(model: Model, source: Tensor, size: tuple[int, int]) -> Tensor:
    """Translate an image (C,H,W) brought to `size`, and bring the answer back to the image's own size.

    A batch (B,C,H,W) will do too.
    """
    height, width = source.shape[-2:]
    answer = translate(model, resize(source, size, labels=model.spec.source.labels))
    return resize(answer, (height, width), labels=model.spec.target.labels)
