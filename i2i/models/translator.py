"""A trained generator for programs: pictures in memory in, pictures of the same kind out.

What is done to a picture in between is what `i2i translate` does to a file, by the same code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from i2i.errors import DataError, RecipeError
from i2i.images.formats import LOSSY_FORMATS
from i2i.images.reading import from_array, from_pillow, naming
from i2i.images.values import by_file
from i2i.images.writing import as_stored, to_pillow
from i2i.models.drawing import Drawer, Precision, Sources
from i2i.models.sizing import asked_size
from i2i.models.sources import source_of, source_of_shares, stacked_source, takes_indices
from i2i.models.translate import Model, load_model
from i2i.records import Depth, ImageSpec
from i2i.system.device import find_device

Picture = TypeVar("Picture", Image.Image, NDArray[Any])
"""A picture of Pillow's, or an array (H,W) or (H,W,C)."""


class Translator:
    """Translates pictures with a trained model, as `i2i translate` does files.

    Called with a picture of Pillow's it returns one of Pillow's, with an array (H,W) or (H,W,C) an array of
    the same dtype, with a list of pictures a list of answers. Values:

    * uint8 and uint16 hold the whole range of their integers, or that of the training where a model was
      trained on a part of it;
    * floats go from 0 to 1; of a model whose data are floats they are the stored values, in their own range;
    * classes of a label map are indices, in and out.

    An answer has the height and width of its picture, and the channels of the model's targets; with one of
    them it is (H,W) where the picture was. A colour profile and what else a picture says beside its pixels
    is not carried on.

    A model whose sources are stacked from several files takes a mapping from the names of these parts to
    pictures of one size and kind, like ``{"seg": ..., "edges": ...}``. One whose targets have several files
    answers with a dict from the names of the parts to pictures: an array then has the dtype of its part
    (uint8, uint16 or float32) and the values that its file would hold, one channel as (H,W).

    Pictures are read as files are: turned upright as their EXIF says; grey, RGB and RGBA become what the
    model takes, with transparency laid over white; palettes become RGB, and 16 bits 8 or 8 bits 16.

    Args:
        model: a model file, or the folder of a run.
        device: "auto", "cpu", "cuda" or "mps".
        size: the size to translate at: None for the scale of the training, "native" for pictures as they are,
            the pixels of the shorter side, or (height, width).
        seed: another one draws other answers from dropout.
        norm: the statistics of batch norms, "batch" or "running"; None as the model file says.
        dropout: whether it is on; None as the model file says.
        generator: which of the generators that a run exports; None for the first.
        test: values for the model's test keys, such as ``{"steps": 8}``.
        batch_size: pictures of a list that go through the network at once, where they have one size. With 1,
            each answer has the bits of the file that `i2i translate` writes of a single picture; with more,
            a few values can be another by rounding. Dropout is drawn for each picture by itself.
        precision: "fp32" computes as in training, "bf16" in half the bits wherever torch's autocast does so.
            "auto" tries both once, on pictures of a long list with answers of 8 bits, and takes bf16 where it
            is faster on this machine and differs by at most 2 levels of 255; `notes` say so.
        tile: the side of the tiles that pictures are cut into, in pixels; None cuts those that would take
            more memory than 1 GiB, 0 none. `notes` say so, and how far that is from the whole.
        overlap: the pixels that tiles share; None for what the network looks at.
        tta: whether an answer is the mean of 8 passes: the picture and its mirror image, turned by quarters.

    Raises DataError for a file that is no model, PluginError where its component is not installed,
    RecipeError for another `norm` or `size`, tiles that the network cannot take, a generator or a test key
    that is not there, ResourceError for a device that is not there.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        size: Literal["native"] | int | tuple[int, int] | None = None,
        seed: int = 0,
        norm: Literal["batch", "running"] | None = None,
        dropout: bool | None = None,
        batch_size: int = 1,
        precision: Precision = "fp32",
        generator: str | None = None,
        test: Mapping[str, Any] = {},
        tile: int | None = None,
        overlap: int | None = None,
        tta: bool = False,
    ) -> None:
        text = "x".join(map(str, size)) if isinstance(size, (tuple, list)) else str(size)
        self._asked = None if size is None else asked_size(text)
        if batch_size < 1:
            raise RecipeError(f"batch_size = {batch_size} is no number of pictures: give 1 or more.")
        if precision not in get_args(Precision):
            raise RecipeError(
                f"precision = {precision!r} is not known: give {', '.join(get_args(Precision))}."
            )
        self._batch_size = batch_size
        self._model = load_model(
            Path(model),
            device=find_device(device),
            norm=norm,
            dropout=dropout,
            generator=generator,
            test=test,
        ).answering(tile=tile, overlap=overlap, tta=tta)
        self._drawer = Drawer(self._model, seed=seed, precision=precision)
        self._sizing = self._model.sizing(self._asked)

    @property
    def notes(self) -> list[str]:
        """What a person should know of the last call, such as that pictures were resized for it."""
        tiles = self._model.tiling.notes() if self._model.tiling else []
        return [*self._model.notes, *self._sizing.notes(), *tiles, *self._drawer.notes]

    @overload
    def __call__(self, picture: Picture, *, name: str | None = None) -> Picture: ...

    @overload
    def __call__(self, picture: Mapping[str, Picture], *, name: str | None = None) -> Any: ...

    @overload
    def __call__(self, picture: Sequence[Picture], *, name: Sequence[str] | None = None) -> list[Picture]: ...

    def __call__(self, picture: Any, *, name: Any = None) -> Any:
        """Return the answer to a picture, or the answers to a list of pictures.

        Dropout is drawn from the seed and `name`: the name of the file that a picture comes from, which one
        that Pillow has opened knows itself; without any, it is the same for all.

        Raises DataError for what is no picture, or none that the model takes.
        """
        if not isinstance(picture, Sequence) or isinstance(picture, str):
            return self._answers([picture], [name], 1)[0][0]
        names = [None] * len(picture) if name is None else name
        if len(names) != len(picture):
            raise DataError(f"{len(picture)} pictures have {len(names)} names: give one for each.")
        return [answers[0] for answers in self._answers(picture, names, 1)]

    def samples(self, picture: Picture, count: int, *, name: str | None = None) -> list[Picture]:
        """Return `count` answers to one picture, drawn from dropout; the first is that of a call.

        Raises RecipeError where they would all be equal.
        """
        if count < 1:
            raise RecipeError(f"{count} is no number of samples: give 1 or more.")
        return cast("list[Picture]", self._answers([picture], [name], count)[0])

    def _answers(self, pictures: Sequence[Any], names: Sequence[str | None], count: int) -> list[list[Any]]:
        """Return the answers to each picture: those of one size that follow each other go together."""
        self._sizing = self._model.sizing(self._asked)
        if self._model.tiling is not None:
            self._model.tiling.begin()
        found: list[list[Any]] = []
        batch: list[_Given] = []
        for number, (picture, name) in enumerate(zip(pictures, names, strict=True), start=1):
            left = len(pictures) - number + 1 + len(batch)
            place = f"picture {number}" if len(pictures) > 1 else "the picture"
            one = _read(picture, name, place, self._model)
            if batch and (len(batch) == self._batch_size or one.source.shape != batch[0].source.shape):
                found += self._translated(batch, count, left=left)
                batch = []
            batch.append(one)
        return found + (self._translated(batch, count, left=len(batch)) if batch else [])

    def _translated(self, batch: Sequence[_Given], count: int, *, left: int) -> list[list[Any]]:
        height, width = batch[0].source.shape[-2:]
        sizes = [self._sizing.size((height, width), one.name) for one in batch]  # counts each of them
        images = torch.stack([one.source for one in batch])
        sources = Sources(images, sizes[0], [one.file for one in batch])
        drawn = self._drawer(sources, samples=count, left=left)
        spec = self._model.spec.target
        return [
            [_like(one.picture, answers[place], spec, one.name) for answers in drawn]
            for place, one in enumerate(batch)
        ]


@dataclass(frozen=True)
class _Given:
    """A picture, its source (C,H,W) in [-1,1], what errors call it, and the name of its file or nothing.

    Of several parts of a source the first is the picture.
    """

    picture: Image.Image | NDArray[Any]
    source: Tensor
    name: str
    file: str


def _read(picture: Any, name: str | None, place: str, model: Model) -> _Given:
    """Return what was given as a source of the model, with what its transforms add."""
    spec = model.files.source
    given = _read_plain(picture, name, place, spec)
    return replace(given, source=model.source(given.source, Path(given.name).stem))


def _read_plain(picture: Any, name: str | None, place: str, spec: ImageSpec) -> _Given:
    if isinstance(picture, Mapping):
        return _read_parts(picture, name, place, spec)
    if name is None:
        name = os.fsdecode(getattr(picture, "filename", ""))
    told = name or place
    with naming(Path(told)):
        if isinstance(picture, Image.Image):
            image = from_pillow(picture, name=told, indices=takes_indices(spec))
            source = source_of(image, spec, lossy=picture.format in LOSSY_FORMATS)
        elif isinstance(picture, np.ndarray):
            image = from_array(picture, name=told)
            shares = image.is_floating_point() and spec.depth != "float32" and not spec.one_hot
            source = source_of_shares(image, spec) if shares else source_of(image, spec)
        else:
            message = (
                f"a {type(picture).__name__} is no picture: give one of Pillow's, or an array of NumPy's."
            )
            raise DataError(message)
    return _Given(picture, source, told, Path(name).name)


def _read_parts(pictures: Mapping[str, Any], name: str | None, place: str, spec: ImageSpec) -> _Given:
    """Return the source that is stacked from pictures by the names of its parts."""
    names = [part.name for part in spec.parts]
    if pictures.keys() != set(names):
        wanted = f"takes {', '.join(names)}" if names else "takes one picture"
        raise DataError(
            f"{place} is given as {', '.join(map(str, pictures)) or 'nothing'}; the model {wanted}."
        )
    parts = [
        _read_plain(pictures[each], name, f"'{each}' of {place}", file)
        for each, file in zip(names, spec.files, strict=True)
    ]
    with naming(Path(place)):
        return replace(parts[0], source=stacked_source([part.source for part in parts]))


def _like(picture: Image.Image | NDArray[Any], answer: Tensor, spec: ImageSpec, name: str) -> Any:
    """Return an answer (C,H,W) in [-1,1] as a picture of the kind that was given; its parts by name."""
    with naming(Path(name)):
        if not answer.isfinite().all():
            raise DataError("the answer has values that are not finite.")
        pieces = by_file(answer, spec)
        made: list[Any]
        if isinstance(picture, Image.Image):
            made = [to_pillow(piece, file) for file, piece in pieces]
        elif spec.parts:
            made = [_array(as_stored(piece, file).numpy(), flat=True) for file, piece in pieces]
        else:
            made = [_array(_stored_like(picture.dtype, answer, spec), flat=picture.ndim == 2)]
    return dict(zip((part.name for part in spec.parts), made, strict=True)) if spec.parts else made[0]


def _array(planes: NDArray[Any], *, flat: bool) -> NDArray[Any]:
    """Return (C,H,W) as (H,W,C), and one channel as (H,W) where that is wanted."""
    return planes[0] if flat and len(planes) == 1 else planes.transpose(1, 2, 0)


def _stored_like(dtype: np.dtype[Any], answer: Tensor, spec: ImageSpec) -> NDArray[Any]:
    """Return an answer as the values of `dtype` that stand for it, (C,H,W)."""
    if not spec.one_hot and (dtype.kind == "f" or spec.depth == "float32"):
        shares = replace(spec, depth="float32", low=0.0, high=1.0)
        values: NDArray[Any] = as_stored(answer, spec if spec.depth == "float32" else shares).numpy()
        return values.astype(dtype) if dtype.kind == "f" else values
    if not spec.one_hot and dtype.name != spec.depth:
        spec = replace(spec, depth=cast("Depth", dtype.name), low=0.0, high=float(np.iinfo(dtype).max))
    return np.asarray(as_stored(answer, spec))
