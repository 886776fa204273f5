"""The image formats by suffix: what each can hold, so that nothing is written with a silent loss."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.errors import DataError, Problem
from i2i.records import Depth, ImageSpec

ANY = range(1, 65536)
"""Any number of channels."""


@dataclass(frozen=True)
class Format:
    """How the files of one suffix are written, and the channel counts they hold at each depth."""

    name: str
    holds: Mapping[Depth, Collection[int]]
    lossy: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


_JPEG = Format("JPEG", {"uint8": (1, 3)}, lossy=True, options={"quality": 95, "subsampling": 0})
_TIFF = Format("TIFF", {"uint8": ANY, "uint16": ANY, "float32": ANY})
FORMATS: Mapping[str, Format] = {
    ".bmp": Format("BMP", {"uint8": (1, 3)}),
    ".jfif": _JPEG,
    ".jpe": _JPEG,
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".npy": Format("NPY", {"uint8": ANY, "uint16": ANY, "float32": ANY}),
    ".png": Format("PNG", {"uint8": (1, 3, 4), "uint16": (1, 3, 4)}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    # WebP drops an alpha that is all opaque, so it is not trusted with one.
    ".webp": Format("WEBP", {"uint8": (3,)}, options={"lossless": True}),
}
IMAGE_SUFFIXES = tuple(FORMATS)
"""Suffixes of the files that can be read and written, in lower case."""

READ_ONLY: Mapping[str, str] = {".gif": "GIF", ".tga": "TGA"}
"""Suffixes of the files that are read and never written, with Pillow's name of the format."""

READABLE_SUFFIXES = tuple(sorted((*IMAGE_SUFFIXES, *READ_ONLY)))
"""Suffixes of the files that can be read at their true depth, in lower case."""

LOSSY_SUFFIXES = (".jfif", ".jpe", ".jpeg", ".jpg", ".webp")
"""Suffixes of files whose colours may be a little off what was once stored."""

LOSSY_FORMATS = tuple(sorted({FORMATS[suffix].name for suffix in LOSSY_SUFFIXES}))
"""Pillow's names of the same formats."""

_CAPABLE = (".png", ".tif")
"""Suffixes to fall back on: between them they hold everything."""


def format_for(path: Path, spec: ImageSpec) -> Format:
    """Return the format of the suffix of `path`; raise DataError where it cannot hold images of `spec`."""
    form = FORMATS.get(path.suffix.lower())
    if form and _can_hold(form, spec):
        return form
    channels = f"{spec.channels} channel(s) of {spec.depth}"
    what = f"a map of {spec.channels} classes" if spec.one_hot else channels
    fit = [suffix for suffix, other in FORMATS.items() if _can_hold(other, spec)]
    message = f"a '{path.suffix}' file cannot hold {what}."
    hint = f"suffixes that can: {', '.join(fit)}" if fit else "no format that i2i writes can"
    raise DataError(Problem(message, file=str(path), hint=hint))


def fitting(path: Path, spec: ImageSpec) -> Path:
    """Return `path`, with another suffix where its own cannot hold images of `spec`."""
    form = FORMATS.get(path.suffix.lower())
    if form and _can_hold(form, spec):
        return path
    return next((path.with_suffix(s) for s in _CAPABLE if _can_hold(FORMATS[s], spec)), path)


def index_depth(classes: int) -> Depth:
    """Return the depth that class indices are stored at."""
    return "uint8" if classes <= 256 else "uint16"


def _can_hold(form: Format, spec: ImageSpec) -> bool:
    if spec.one_hot:
        return not form.lossy and 1 in form.holds.get(index_depth(spec.channels), ())
    return spec.channels in form.holds.get(spec.depth, ())
