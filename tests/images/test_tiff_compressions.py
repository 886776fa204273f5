"""Compressed TIFFs as microscopes and scanners write them: read whole with imagecodecs, told without it."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from i2i.errors import DataError
from i2i.images import decode

pytest.importorskip("imagecodecs")  # which writes these files too

IMAGES = {"3 of uint16": ("uint16", 3), "5 of uint16": ("uint16", 5), "2 of float32": ("float32", 2)}
LAYOUTS: dict[str, dict[str, Any]] = {
    "interleaved": {"planarconfig": "contig"},
    "tiles": {"planarconfig": "contig", "tile": (16, 32)},
    "planes": {"planarconfig": "separate"},
    "pages": {},
}
COMPRESSIONS: dict[str, dict[str, Any]] = {
    "LZW": {"compression": "lzw"},
    "LZW, differences": {"compression": "lzw", "predictor": True},
    "deflate, differences": {"compression": "zlib", "predictor": True},
    "LZMA, differences": {"compression": "lzma", "predictor": True},
    "ZSTD": {"compression": "zstd"},
    "ZSTD, differences": {"compression": "zstd", "predictor": True},
    "JPEG 2000": {"compression": "jpeg2000"},
    "JPEG XL": {"compression": "jpegxl"},
    "LERC": {"compression": "lerc"},
}
OF_INTEGERS = {"JPEG 2000"}
"""Compressions that lose nothing of integers, and hold no other numbers."""

OF_PYTHON = {"deflate, differences", "LZMA, differences"}
"""Compressions that need imagecodecs for the differences of floating-point numbers only."""

CASES = [
    (image, layout, compression)
    for image in IMAGES
    for layout in LAYOUTS
    for compression in COMPRESSIONS
    if "uint16" in image or compression not in OF_INTEGERS
]


def planes(dtype: str, channels: int) -> np.ndarray[Any, Any]:
    """Random values of the whole range, as (C,H,W)."""
    rng, shape = np.random.default_rng(channels), (channels, 40, 50)
    if dtype == "float32":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    """Return the bytes of a TIFF file that holds (C,H,W)."""
    stored = array.transpose(1, 2, 0) if options.get("planarconfig") == "contig" else array
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stored, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def file_of(image: str, layout: str, compression: str) -> bytes:
    return tiff(planes(*IMAGES[image]), **LAYOUTS[layout], **COMPRESSIONS[compression])


def patched(data: bytes, tag: str, *values: int) -> bytes:
    """Return a TIFF file with other numbers in one of its tags."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = file.pages.first.tags[tag]
    letter = {tifffile.DATATYPE.SHORT: "H", tifffile.DATATYPE.LONG: "I"}[found.dtype]
    whole = bytearray(data)
    struct.pack_into(f"<{len(values)}{letter}", whole, found.valueoffset, *values)
    return bytes(whole)


def packed(array: np.ndarray[Any, Any], bits: int) -> bytes:
    """Return the bytes of a TIFF file that holds (C,H,W) at `bits` bits a value, without gaps."""
    channels, height, width = array.shape
    pixels = array.transpose(1, 2, 0).astype(">u2")[..., None].view(np.uint8)
    rows = np.packbits(np.unpackbits(pixels, axis=-1)[..., 16 - bits :].reshape(height, -1), axis=1)
    as_bytes = rows.reshape(height, -1, channels).transpose(2, 0, 1)
    colour = {"photometric": "rgb", "planarconfig": "contig"} if channels == 3 else {}
    data = tiff(as_bytes, **colour)
    return patched(patched(data, "ImageWidth", width), "BitsPerSample", *[bits] * channels)


def digest(array: np.ndarray[Any, Any]) -> str:
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()}"


WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None  # importing it raises ImportError from here on

import hashlib, json
from pathlib import Path
from i2i.errors import DataError
from i2i.images import read_image

found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        array = read_image(path).numpy()
        found[path.name] = f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()}"
    except DataError as error:
        found[path.name] = str(error)
print(json.dumps(found))
"""


def read_without_imagecodecs(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Return the digest of each file's image, or what is said of it, where imagecodecs is not installed."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    line = [sys.executable, "-c", WITHOUT_IMAGECODECS, str(folder)]
    ended = subprocess.run(line, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize(("image", "layout", "compression"), CASES)
def test_every_bit_is_read_with_imagecodecs(image: str, layout: str, compression: str) -> None:
    back = decode(file_of(image, layout, compression), name="x.tif").numpy()
    array = planes(*IMAGES[image])
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_without_imagecodecs_the_extra_that_would_read_a_file_is_named(tmp_path: Path) -> None:
    files = {"; ".join(case): file_of(*case) for case in CASES}
    found = read_without_imagecodecs(files, tmp_path)
    for case in CASES:
        told, (image, _, compression) = found["; ".join(case)], case
        if compression in OF_PYTHON and "uint16" in image:
            assert told == digest(planes(*IMAGES[image]))
        else:
            assert told.startswith(f"{tmp_path / '; '.join(case)}\n  this kind of TIFF cannot be read"), told
            assert "for which imagecodecs is missing.   (install i2i-toolkit[formats], or save it" in told
    assert "JPEG2000 of 16 bits, for" in found["5 of uint16; tiles; JPEG 2000"]
    assert (
        "LZW of 16 bits with the predictor HORIZONTAL, for" in found["3 of uint16; pages; LZW, differences"]
    )


def test_a_tiff_that_only_half_of_could_be_kept_is_refused(tmp_path: Path) -> None:
    data = tiff(planes("uint16", 3), photometric="rgb", planarconfig="contig")
    lying = patched(data, "Compression", 5)  # LZW, which Pillow keeps for 8 bits only
    told = read_without_imagecodecs({"x.tif": lying}, tmp_path)["x.tif"]
    assert "x.tif\n  this kind of TIFF cannot be read without loss: LZW of 16 bits" in told
    assert "deflate" in told
    with pytest.raises(DataError, match=r"x\.tif\n.*may be damaged"):
        decode(lying, name="x.tif")


def test_values_packed_tighter_than_bytes_are_read(tmp_path: Path) -> None:
    arrays = {bits: planes("uint16", 3)[:, :, :48] >> (16 - bits) for bits in (10, 12, 14)}
    files = {f"{bits}.tif": packed(array, bits) for bits, array in arrays.items()}
    without = read_without_imagecodecs(files, tmp_path)
    for bits, array in arrays.items():
        assert np.array_equal(decode(files[f"{bits}.tif"], name="x.tif").numpy(), array)
        told = without[f"{bits}.tif"]
        assert f"without loss: {bits} bits a value, for which imagecodecs is missing" in told
        assert "install i2i-toolkit[formats], or save it at 8, 16 or 32 bits" in told


def test_imagecodecs_changes_no_image_that_is_read_without_it(tmp_path: Path) -> None:
    files = {
        "8-bit JPEG": tiff(planes("uint8", 1), compression="jpeg"),
        "8-bit RGB JPEG": tiff(
            planes("uint8", 3),
            photometric="rgb",
            planarconfig="contig",
            compression="jpeg",
            compressionargs={"outcolorspace": "rgb"},
        ),
        "8-bit RGB LZW": tiff(
            planes("uint8", 3), photometric="rgb", planarconfig="contig", compression="lzw"
        ),
        "16-bit LZW": tiff(planes("uint16", 1), compression="lzw", predictor=True),
        "12-bit": packed(planes("uint16", 1)[:, :, :48] >> 4, 12),
        "float deflate": tiff(planes("float32", 1), compression="zlib", predictor=True),
    }
    found = read_without_imagecodecs(files, tmp_path)
    assert found == {name: digest(decode(data, name=name).numpy()) for name, data in files.items()}


def test_what_imagecodecs_does_not_decode_either_is_told() -> None:
    data = tiff(planes("uint16", 3), photometric="rgb", planarconfig="contig")
    with pytest.raises(
        DataError, match=r"JETRAW of 16 bits, which imagecodecs does not decode\. .*\(save it"
    ):
        decode(patched(data, "Compression", tifffile.COMPRESSION.JETRAW), name="x.tif")
