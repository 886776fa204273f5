"""Image files as a trained model takes them: what its source was like in training decides.

More is taken than in training: grey for colour and the other way round, 8 bits for 16. What the values
of an image mean is never guessed: integers stand for no floating-point values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from i2i.errors import DataError, Problem
from i2i.images import (
    DEPTHS,
    LOSSY_SUFFIXES,
    image_spec,
    naming,
    normalise,
    one_hot,
    read_image,
    to_channels,
)
from i2i.images.listing import by_stem
from i2i.images.rows import opened_rows
from i2i.kinds import ImageSpec

Files = Path | tuple[Path, ...]
"""One image file, or one for each of the parts that a side has."""


AT_ONCE = 64
"""Rows of a large image that become a source's values at once."""


@dataclass(frozen=True)
class SourceRows:
    """A source of `height` x `width` pixels; `read(first, end)` returns rows of it, (1,C,n,W) in [-1,1]."""

    height: int
    width: int
    read: Callable[[int, int], Tensor]


ROUNDING = 1e-5
"""How far a share may lie beside its range, as pictures of other programs do after arithmetic."""


def read_source(files: Files, spec: ImageSpec) -> Tensor:
    """Return an image (C,H,W) in [-1,1] as a source of `spec`, of its own size.

    Raises DataError, naming the file, where it cannot be that.
    """
    if isinstance(files, Path):
        with naming(files):
            image = read_image(files, indices=takes_indices(spec))
            return source_of(image, spec, lossy=files.suffix.lower() in LOSSY_SUFFIXES)
    with naming(files[0]):
        return stacked_source([read_source(*each) for each in zip(files, spec.files, strict=True)])


@contextmanager
def opened_source(files: Files, spec: ImageSpec) -> Iterator[SourceRows]:
    """Open an image, or the parts of one, for reading its rows as a source of `spec`, of its own size.

    Raises DataError, naming the file, where it cannot be that; while it is read, too.
    """
    each = [(files, spec)] if isinstance(files, Path) else list(zip(files, spec.files, strict=True))
    with ExitStack() as stack:
        opened = [
            (path, file, stack.enter_context(opened_rows(path, indices=takes_indices(file))))
            for path, file in each
        ]
        sizes = {(rows.height, rows.width) for _, _, rows in opened}
        if len(sizes) > 1:
            told = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
            message = f"the images of one source have different sizes: {told}."
            raise DataError(Problem(message, file=str(opened[0][0])))

        height, width = sizes.pop()

        def read(first: int, end: int) -> Tensor:
            whole = torch.empty(1, spec.channels, end - first, width)
            for top in range(first, end, AT_ONCE):  # arithmetic on all rows would take them several times
                stop = min(top + AT_ONCE, end)
                made = []
                for path, file, rows in opened:
                    with naming(path):
                        lossy = path.suffix.lower() in LOSSY_SUFFIXES
                        made.append(source_of(rows.read(top, stop), file, lossy=lossy))
                torch.cat(made, out=whole[0, :, top - first : stop - first])
            return whole

        yield SourceRows(height, width, read)


def stacked_source(parts: Sequence[Tensor]) -> Tensor:
    """Return the parts of a source, each (C,H,W) in [-1,1], as one; DataError where their sizes differ."""
    sizes = [f"{image.shape[2]}x{image.shape[1]}" for image in parts]
    if len(set(sizes)) > 1:
        raise DataError(f"the images of one source have different sizes: {', '.join(sizes)}.")
    return torch.cat(list(parts))


def parts_in(folder: Path, spec: ImageSpec) -> list[tuple[Path, ...]]:
    """Return the files of each source in a folder that has one folder for each part, and else nothing.

    Raises DataError, naming the files, where a part is missing.
    """
    folders = [folder / part.name for part in spec.parts]
    if not all(place.is_dir() for place in folders):
        return []
    listings = [by_stem(place) for place in folders]
    problems = [problem for _, shared in listings for problem in shared.values()]
    found: list[tuple[Path, ...]] = []
    names = [images for images, _ in listings]
    for stem in dict.fromkeys(stem for images in names for stem in images):
        files = [place / images[stem] for place, images in zip(folders, names, strict=True) if stem in images]
        if len(files) == len(folders):
            found.append(tuple(files))
        else:
            message = f"there is no image '{stem}' in each of {', '.join(part.name for part in spec.parts)}."
            problems.append(Problem(message, file=str(files[0])))
    if problems:
        raise DataError(*problems)
    return found


def takes_indices(spec: ImageSpec) -> bool:
    """Whether sources of `spec` are classes by index, so that a picture's palette says nothing."""
    return spec.one_hot and not spec.palette


def source_of(image: Tensor, spec: ImageSpec, *, lossy: bool = False) -> Tensor:
    """Return a decoded image (C,H,W), `lossy` or not, as a source of `spec`; DataError where it cannot be."""
    if spec.one_hot:
        return normalise(one_hot(image, spec, lossy=lossy), spec)
    if spec.parts and image.shape[0] != spec.channels:
        names = ", ".join(part.name for part in spec.parts)
        message = f"one image of {image.shape[0]} channel(s) cannot stand for a source stacked from {names}."
        raise DataError(Problem(message, hint="give the folder that holds a folder for each"))
    return _values(image, spec)


def source_of_shares(image: Tensor, spec: ImageSpec) -> Tensor:
    """Return an image of floats (C,H,W), shares of the range from 0 to 1, as a source of `spec`.

    `spec` is one of integers. Raises DataError for other values and for other channels; what resizing left
    beside the range by rounding is cut off.
    """
    least, most = (float(bound) for bound in torch.aminmax(image))
    if least < -ROUNDING or most > 1 + ROUNDING:
        message = f"floats stand for values from 0 to 1 here, and these go from {least:.4g} to {most:.4g}."
        raise DataError(Problem(message, hint="divide them, or give uint8 or uint16"))
    if image.shape[0] == 1 and spec.channels == 3:
        image = image.expand(3, -1, -1)  # grey, as integers may be too
    return to_channels(image.clamp(0, 1), spec.channels) * 2 - 1


def _values(image: Tensor, wanted: ImageSpec) -> Tensor:
    stored = to_channels(image, wanted.channels)
    depth = DEPTHS[stored.dtype]
    if depth == wanted.depth:
        return normalise(stored, wanted)
    if "float32" in (depth, wanted.depth):
        trained = f"{wanted.depth} from {wanted.low:g} to {wanted.high:g}"
        raise DataError(f"the image holds {depth}, and the model was trained on {trained}.")
    return normalise(stored, image_spec(stored))
