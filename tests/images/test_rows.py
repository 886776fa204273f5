"""Rows of image files, in and out: what whole images are, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from i2i.errors import DataError, ResourceError
from i2i.images import read_image, tiff, write_image
from i2i.images import rows as rows_module
from i2i.images.rows import opened_rows, pixels_of
from i2i.images.writing import write_bands
from i2i.records import ImageSpec


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == np.float32:
        return rng.random(shape, dtype=np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def read_in_bands(path: Path, *, step: int, overlap: int = 3) -> torch.Tensor:
    with opened_rows(path) as opened:
        bands = []
        for first in range(0, opened.height, step):
            above, end = max(0, first - overlap), min(first + step, opened.height)
            bands.append(opened.read(above, end)[:, first - above :])
        return torch.cat(bands, dim=1)


STORED = {
    "strips": {"compression": "zlib", "rowsperstrip": 7},
    "one strip": {"compression": None},
    "tiles": {"compression": "zlib", "tile": (16, 32)},
    "plain tiles": {"tile": (32, 16)},
    "planes": {"planarconfig": "separate", "compression": "zlib"},
    "big-endian": {"byteorder": ">", "rowsperstrip": 5},
    "turned": {"extratags": [(274, "H", 1, 6, True)]},
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_rows_of_a_tiff_are_those_of_the_whole(tmp_path, stored, dtype):
    path = tmp_path / "a.tif"
    image = noise(*((3, 50, 37) if stored == "planes" else (50, 37, 3)), dtype=dtype)
    about = {"photometric": "minisblack" if dtype == np.float32 else "rgb", "planarconfig": "contig"}
    tifffile.imwrite(path, image, metadata=None, **about | STORED[stored])
    whole = read_image(path)
    assert pixels_of(path) == tuple(whole.shape[1:])
    for step in (8, 50, 13):
        assert torch.equal(read_in_bands(path, step=step), whole)


def test_a_tiff_in_pieces_is_never_decoded_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(64, 16, 3), compression="zlib", rowsperstrip=8, photometric="rgb")
    whole = read_image(path)
    monkeypatch.setattr(rows_module, "read_image", None)
    assert torch.equal(read_in_bands(path, step=16), whole)


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.bmp", "a.jpg"])
def test_rows_of_other_files_are_those_of_the_whole(tmp_path, name):
    path = tmp_path / name
    write_image(path, torch.from_numpy(noise(3, 20, 31)), spec=ImageSpec(3, 20, 31))
    assert torch.equal(read_in_bands(path, step=6), read_image(path))
    assert pixels_of(path) in ((20, 31), None)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(64, 16, 3), rowsperstrip=8, photometric="rgb")
    path.write_bytes(path.read_bytes()[:-100])
    with opened_rows(path) as opened:
        assert opened.read(0, 8).shape == (3, 8, 16)
        with pytest.raises(DataError, match="cut short") as told:
            opened.read(56, 64)
    assert told.value.problems[0].file == str(path)
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    assert pixels_of(tmp_path / "b.tif") is None
    with pytest.raises(DataError), opened_rows(tmp_path / "b.tif"):
        pass


def test_what_is_raised_while_rows_are_used_is_left_as_it_is(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 8, 3), photometric="rgb")
    with pytest.raises(ZeroDivisionError), opened_rows(tmp_path / "a.tif"):
        raise ZeroDivisionError


# --- out -------------------------------------------------------------------------------------------

COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
SPECS = {
    "grey.tif": ImageSpec(1, 40, 30),
    "alpha.tif": ImageSpec(4, 40, 30),
    "deep.tif": ImageSpec(3, 40, 30, depth="uint16", high=65535.0),
    "floats.tif": ImageSpec(2, 40, 30, depth="float32", low=-3.0, high=5.0),
    "seven.npy": ImageSpec(7, 40, 30),
    "colour.png": ImageSpec(3, 40, 30),
    "deep.png": ImageSpec(3, 40, 30, depth="uint16", high=65535.0),
    "lossy.jpg": ImageSpec(3, 40, 30),
    "classes.png": ImageSpec(3, 40, 30, high=1.0, labels=True, palette=COLOURS),
    "classes.tif": ImageSpec(3, 40, 30, high=1.0, labels=True),
}


@pytest.mark.parametrize("name", SPECS)
def test_an_image_in_bands_is_the_file_that_it_is_as_a_whole(tmp_path, name, monkeypatch):
    monkeypatch.setattr(tiff, "_STRIP", 700)
    spec = SPECS[name]
    image = torch.rand(spec.channels, 40, 30) * 2 - 1
    write_image(tmp_path / f"whole-{name}", image, spec=spec)
    bands = (band for band in image.split([7, 1, 20, 12], dim=1))
    write_bands([(tmp_path / name, spec)], bands, size=(40, 30))
    assert torch.equal(
        read_image(tmp_path / name, indices=True), read_image(tmp_path / f"whole-{name}", indices=True)
    )
    if not name.endswith(".tif"):
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_several_files_take_the_channels_of_their_parts(tmp_path):
    files = [(tmp_path / "a.png", ImageSpec(3, 9, 8)), (tmp_path / "b.tif", ImageSpec(1, 9, 8))]
    image = torch.rand(4, 9, 8) * 2 - 1
    write_bands(files, iter(image.split(4, dim=1)), size=(9, 8))
    for (path, spec), piece in zip(files, image.split([3, 1]), strict=True):
        write_image(tmp_path / "whole.tif", piece, spec=spec)
        assert torch.equal(read_image(path), read_image(tmp_path / "whole.tif"))


def test_an_image_that_a_tiff_cannot_hold_is_a_bigtiff(tmp_path, monkeypatch):
    image, spec = torch.rand(3, 40, 30) * 2 - 1, ImageSpec(3, 40, 30)
    for most, magic in ((2**32, b"II*\0"), (1000, b"II+\0")):
        monkeypatch.setattr(tiff, "_MOST", most)
        write_bands([(tmp_path / "a.tif", spec)], iter(image.split(8, dim=1)), size=(40, 30))
        assert (tmp_path / "a.tif").read_bytes()[:4] == magic
        assert read_image(tmp_path / "a.tif").shape == (3, 40, 30)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("torn."), OSError(28, "No space left")])
def test_what_ends_midway_leaves_the_old_file_and_nothing_else(tmp_path, name, error, monkeypatch):
    monkeypatch.setattr(tiff, "_STRIP", 100)
    (tmp_path / name).write_bytes(b"of before")

    def bands():
        yield torch.zeros(3, 20, 30)
        raise error

    with pytest.raises((type(error), ResourceError)):
        write_bands([(tmp_path / name, ImageSpec(3, 40, 30))], bands(), size=(40, 30))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"of before"


def test_values_that_are_not_finite_are_refused_and_named(tmp_path):
    bands = iter([torch.zeros(3, 5, 5), torch.full((3, 5, 5), torch.nan)])
    with pytest.raises(DataError, match=r"not finite") as told:
        write_bands([(tmp_path / "a.tif", ImageSpec(3, 10, 5))], bands, size=(10, 5))
    assert told.value.problems[0].file == str(tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())
