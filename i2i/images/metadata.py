"""What a file says beside its pixels: resolution, colour profile and georeference, for answers to carry on.

Nothing here changes a pixel. What cannot be handed on is named, so that nobody misses it in silence.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from i2i.images import npy, tiff
from i2i.images.formats import FORMATS, READ_ONLY, Format
from i2i.records import ImageSpec

GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737)
"""GeoTIFF 1.1, section 7: pixel scale, tie points, transformation; the keys with their numbers and texts."""

INCH, CENTIMETRE = 2, 3
"""TIFF's numbers for the unit of a resolution; 1 is none."""

_RESOLUTION, _UNIT, _ORIENTATION, _ICC, _EXIF, _NODATA = (282, 283), 296, 274, 34675, 34665, 42113
_SPACES: Mapping[bytes, Sequence[int]] = {b"RGB ": (3, 4), b"GRAY": (1,)}
"""How many channels images have that a profile of each colour space is for (ICC.1:2022, section 7.2.6)."""
_DEPTHS = ("uint8", "uint16", "float32")
"""The kinds of number that answers have; each holds those before it."""


@dataclass(frozen=True)
class Beside:
    """What can be handed on from one file to another of the same size, and what else there was.

    `resolution` is that across and down with TIFF's number for its unit, `profile` an ICC profile, `tags` are
    those of a georeference as tifffile writes them. `lost` names in words what no answer carries; `depth` is
    the kind of number stored, where that is known from the header.
    """

    resolution: tuple[float, float, int] | None = None
    profile: bytes = b""
    tags: tuple[tuple[int, Any, int, Any, bool], ...] = ()
    lost: tuple[str, ...] = ()
    depth: str = ""
    transparent: bool = False

    def dots(self) -> tuple[float, float] | None:
        """Return the resolution in pixels per inch, where its unit is known."""
        if self.resolution is None or self.resolution[2] not in (INCH, CENTIMETRE):
            return None
        factor = 2.54 if self.resolution[2] == CENTIMETRE else 1.0
        return self.resolution[0] * factor, self.resolution[1] * factor

    def profile_for(self, spec: ImageSpec) -> bytes:
        """Return the colour profile where it is one for images of `spec`, and else nothing."""
        fits = spec.channels in _SPACES.get(self.profile[16:20], ()) and not spec.labels
        return self.profile if fits else b""

    def missing(self, form: Format, spec: ImageSpec) -> list[str]:
        """Return in words what a file of a format, holding an image of `spec`, does not carry of all this."""
        lost = list(self.lost)
        if self.tags and form.name != "TIFF":
            lost.append("georeference")
        resolutions = ("TIFF", "PNG", "JPEG", "BMP")
        if self.resolution and (form.name not in resolutions or not (form.name == "TIFF" or self.dots())):
            lost.append("resolution")
        if self.profile and not (self.profile_for(spec) and form.name in ("TIFF", "PNG", "JPEG", "WEBP")):
            lost.append("colour profile")
        if self.transparent and spec.channels != 4:
            lost.append("transparency")
        holds = _DEPTHS[: _DEPTHS.index(spec.depth) + 1]
        if self.depth and self.depth not in holds and not spec.labels:
            lost.append(f"depth ({self.depth}, and answers are {spec.depth})")
        return lost


NOTHING = Beside()


def read_beside(path: Path) -> Beside:
    """Return what the image file `path`, which can be decoded, says beside its pixels."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
        if start.startswith(npy.MAGIC):
            return Beside(depth=np.load(path, mmap_mode="r").dtype.name)
        if start.startswith(tiff.MAGIC):
            return _of_tiff(path)
        return _of_others(path, start)
    except Exception as error:  # damaged headers raise nearly anything, and the pixels are sound
        return Beside(lost=(f"what its header holds, which cannot be read ({type(error).__name__})",))


def _of_tiff(path: Path) -> Beside:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        tags = page.tags
        upright = _ORIENTATION not in tags or int(tags[_ORIENTATION].value) == 1
        found = [tags[code] for code in GEOREFERENCE if code in tags]
        numbers = [_ratio(tags[code].value) for code in _RESOLUTION if code in tags]
        unit = int(tags[_UNIT].value) if _UNIT in tags else INCH
        lost = [name for code, name in ((_EXIF, "EXIF"), (_NODATA, "nodata value")) if code in tags]
        if found and not upright:
            lost.append("georeference")  # it is about rows and columns before they were turned
        return Beside(
            resolution=(numbers[0], numbers[1], unit) if len(numbers) == 2 and min(numbers) > 0 else None,
            profile=bytes(tags[_ICC].value) if _ICC in tags else b"",
            tags=tuple(map(_tag, found)) if upright else (),
            lost=tuple(lost),
            depth=str(page.dtype),
            transparent=bool(set(page.extrasamples) & {1, 2}),
        )


def _tag(tag: tifffile.TiffTag) -> tuple[int, Any, int, Any, bool]:
    if isinstance(tag.value, str):
        return int(tag.code), "s", 0, tag.value, True
    return int(tag.code), int(tag.dtype), int(tag.count), tag.value, True


def _ratio(value: Any) -> float:
    return float(value[0]) / float(value[1]) if isinstance(value, tuple) else float(value)


def _of_others(path: Path, start: bytes) -> Beside:
    names = sorted({*(form.name for form in FORMATS.values()), *READ_ONLY.values()} - {"NPY", "TIFF"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path, formats=names)
    with image:
        dots = image.info.get("dpi")
        exif = image.getexif()
        turned = exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
        across, down = (dots[1], dots[0]) if dots and turned else dots or (0, 0)
        other = any(code != _ORIENTATION for code in exif)
        deep = image.format == "PNG" and start[24] == 16
        return Beside(
            resolution=(float(across), float(down), INCH) if across > 0 and down > 0 else None,
            profile=image.info.get("icc_profile") or b"",
            lost=("EXIF",) if other else (),
            depth="uint16" if deep else "uint8",
            transparent=image.has_transparency_data,
        )
