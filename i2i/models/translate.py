"""Using a trained model: load a self-describing weights file, translate images of any size.

Needs nothing but the file and the plug-in that its header names.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i.building.written_model import module_of
from i2i.data.changes import Changes, changes_of
from i2i.data.scale import scale_of
from i2i.errors import I2IError, Problem, RecipeError
from i2i.images.resizing import padded, resize_side
from i2i.kinds import PairSpec, Scale
from i2i.models.averaging import TOLD, Averaged
from i2i.models.sizing import Asked, Sizing
from i2i.models.tiling import Tiling
from i2i.models.trained import reading_of
from i2i.plugins.catalog import Catalog, split_ref
from i2i.plugins.versions import RESOLVED, version_skew
from i2i.recipe.recipe import load_sections
from i2i.records import GeneratorSlot, Pictures, Side
from i2i.registry import Entry
from i2i.runs import weights
from i2i.runs.folder import RunFolder
from i2i.runs.header import Made, ModelHeader
from i2i.runs.model_choice import model_in
from i2i.system.device import find_device


@dataclass(frozen=True)
class Model:
    """A trained generator in test mode, and the images that it reads and writes.

    Where transforms are part of reading, `changes` make its source of the `sides` of a pair as files hold it.
    With a `tiling`, pictures that are too large are translated in tiles.
    """

    module: nn.Module
    spec: PairSpec
    notes: tuple[str, ...]
    device: str = "cpu"
    scale: Scale | None = None
    pictures: Pictures | None = None
    changes: Changes | None = None
    sides: tuple[Side, ...] = ("source",)
    tiling: Tiling | None = None

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

    def answering(self, *, tile: int | None = None, overlap: int | None = None, tta: bool = False) -> Model:
        """Return the model as it answers to pictures of any size.

        Large ones go in tiles, by default where memory asks for it (see `Tiling`). With `tta` it answers with
        the mean of several passes (see `Averaged`), and says so.
        """
        module = Averaged(self.module) if tta else self.module
        tiling = Tiling(module, self.spec, self.device, tile, overlap, network=self.module)
        return replace(self, module=module, tiling=tiling, notes=(*self.notes, *([TOLD] if tta else [])))

    def sizing(self, asked: Asked | None = None) -> Sizing:
        """Return how pictures are brought to the scale of the training, or to what was `asked` for."""
        return Sizing(self.spec.source, self.scale, self.pictures, asked)


def load_generator(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
    generator: str | None = None,
    test: Mapping[str, Any] = {},
) -> nn.Module:
    """Return the generator in a model file or a run's folder as an ordinary module on `device`, in test mode.

    It maps (B,Cin,H,W) to (B,Cout,H,W), both in [-1,1]; height and width must be multiples of its
    `size_multiple`, if it has one. Of a method that translates with more than one pass of its generator, the
    module does all of that. Where transforms of the training add or change channels, Cin are those that they
    make, and its sources have to have them (`Translator` sees to that by itself). What is None here is as the
    file says:

    norm: the statistics of its batch norms in eval mode, each image's own ("batch"), so that an image is
        translated alike in any batch, or the averages of training ("running").
    dropout: whether it is on. Then its dropout modules, and nothing else, are in train mode.
    generator: which of the generators that a run exports; by default the first.
    test: values for the model's test keys, such as ``{"steps": 8}``; of a key that two of its components
        have, ``{"method.steps": 8}``. `norm` and `dropout` are short for `test_norm` and `test_dropout`.

    Norm and dropout are states of its modules, and it can be copied, pickled, compiled and exported with
    them. `.train()` makes it train like a new one: batch norms take the statistics of the batch and average
    them, and dropout is on. `.eval()` turns all dropout off, also if it was on at first; batch norms do
    what `norm` says. A method's translation puts its networks into test mode by itself, whatever they are in.

    Raises DataError for a file that is no model, PluginError when its component is not installed or a
    batch norm of it cannot take each image's own statistics, RecipeError for another `norm`, a generator or a
    test key that is not there, ResourceError for a device that is not there.
    """
    place = find_device(str(device))
    return load_model(path, device=place, norm=norm, dropout=dropout, generator=generator, test=test).module


def load_model(
    path: str | Path,
    *,
    device: str = "cpu",
    catalog: Catalog | None = None,
    norm: Literal["batch", "running"] | None = None,
    dropout: bool | None = None,
    generator: str | None = None,
    test: Mapping[str, Any] = {},
) -> Model:
    """Load a model file, or a run's, on `device`; the options are those of `load_generator`."""
    if norm not in (None, "batch", "running"):
        raise RecipeError(f"norm = {norm!r} is not known; use 'batch' or 'running'.")
    file = weights.read(model_in(Path(path), generator))
    catalog = catalog or Catalog.installed()
    asked = {"norm": norm, "dropout": dropout}
    found = module_of(
        file,
        find=partial(_component, file.path, catalog),
        device=device,
        test=test,
        short={name: value for name, value in asked.items() if value is not None},
    )
    header = found.header
    spec, _ = header.generator(path=file.path)
    scale = header.scale or _scale_beside(file.path, catalog)
    changes = _changes(header, spec, file.path, catalog)
    return Model(found.module, spec, found.notes, device, scale, header.pictures, changes, header.reads)


def _changes(header: ModelHeader, spec: PairSpec, path: Path, catalog: Catalog) -> Changes | None:
    """Return the transforms that are part of reading for a model of `spec`, if there are any."""
    if header.reading is None:
        return None
    recipe = reading_of(header, path, catalog)
    changes = changes_of(recipe, header.reading.spec)
    made = changes and changes.spec.seen_by(header.role).source.channels
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
    if path not in run.models() or not run.holds_run():
        return None
    with suppress(I2IError):  # a plug-in that is gone by now, which translating doesn't need
        return scale_of(load_sections(run.root / RESOLVED, ("data", "transforms"), catalog=catalog))
    return None


def _component(path: Path, catalog: Catalog, kind: str, made: Made) -> Entry:
    """Return a component that a model file names; raise in the file's name when it is not to be had."""
    try:
        return catalog.get((kind,), made.component)
    except I2IError as error:
        namespace, _ = split_ref(made.component)
        skew = version_skew({namespace: made.written_with}, namespace, catalog.record(namespace))
        problem = Problem(error.problems[0].message, file=str(path), hint=skew)
        raise type(error)(problem) from error


@torch.no_grad()
def translate(model: Model, source: Tensor) -> Tensor:
    """Translate one image (C,H,W) in [-1,1] of any size: padded to what the generator needs, then cut.

    A batch (B,C,H,W) will do too. It goes in tiles where the model's tiling says so.
    """
    height, width = source.shape[-2:]
    images = source if source.dim() == 4 else source[None]
    if model.tiling is not None and (layout := model.tiling.layout((height, width))) is not None:
        bands = model.tiling.bands(lambda first, end: images[..., first:end, :], layout)
        tiled = torch.cat(list(bands), dim=-2)
        return tiled if source.dim() == 4 else tiled[0]
    fitting = padded(images.to(model.device), getattr(model.module, "size_multiple", 1))
    output: Tensor = model.module(fitting)[..., :height, :width].float().cpu()
    return output if source.dim() == 4 else output[0]


def translate_at(model: Model, source: Tensor, size: tuple[int, int]) -> Tensor:
    """Translate an image (C,H,W) brought to `size`, and bring the answer back to the image's own size.

    A batch (B,C,H,W) will do too.
    """
    height, width = source.shape[-2:]
    answer = translate(model, resize_side(source, size, model.spec.source))
    return resize_side(answer, (height, width), model.spec.target)
