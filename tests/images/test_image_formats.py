"""TIFF, .npy, 16-bit colour and EXIF: every bit there and back, in the layouts that programs write."""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from i2i.errors import DataError
from i2i.images import decode, fitting, image_spec, naming, read_image, write_image
from i2i.kinds import ImageSpec


def values(depth: str, channels: int, height: int = 7, width: int = 9) -> torch.Tensor:
    rng = torch.Generator().manual_seed(channels)
    shape = (channels, height, width)
    if depth == "float32":
        return torch.rand(shape, generator=rng) * 2 - 1
    most = 256 if depth == "uint8" else 65536
    return torch.randint(0, most, shape, generator=rng).to(getattr(torch, depth))


def spec_of(image: torch.Tensor) -> ImageSpec:
    return image_spec(image, span=(-1.0, 1.0) if image.is_floating_point() else None)


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".npy", ".TIF"])
@pytest.mark.parametrize("depth", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_every_depth_and_number_of_channels_survives(
    tmp_path: Path, suffix: str, depth: str, channels: int
) -> None:
    image = values(depth, channels, height=20, width=30)
    write_image(tmp_path / f"x{suffix}", image, spec=spec_of(image))
    back = read_image(tmp_path / f"x{suffix}")
    assert back.dtype == image.dtype
    assert torch.equal(back, image)


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_survives_in_a_png_that_others_read(tmp_path: Path, channels: int) -> None:
    image = values("uint16", channels)
    write_image(tmp_path / "x.png", image, spec=spec_of(image))
    assert torch.equal(read_image(tmp_path / "x.png"), image)
    with Image.open(tmp_path / "x.png") as seen:
        rough = np.array(seen).transpose(2, 0, 1).astype(int)
    assert np.abs(rough - image.numpy().astype(int) / 256).max() <= 1


def test_a_tiff_is_read_by_others_as_what_it_is(tmp_path: Path) -> None:
    for channels, mode in ((1, "L"), (3, "RGB"), (4, "RGBA")):
        image = values("uint8", channels)
        write_image(tmp_path / "x.tif", image, spec=spec_of(image))
        with Image.open(tmp_path / "x.tif") as seen:
            assert seen.mode == mode
            assert np.array_equal(np.atleast_3d(seen).transpose(2, 0, 1), image.numpy())


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},  # a page for each channel
        {"photometric": "minisblack", "imagej": True},
        {"photometric": "minisblack", "planarconfig": "separate"},
        {"photometric": "minisblack", "byteorder": ">"},
        {"photometric": "minisblack", "bigtiff": True},
        {"photometric": "minisblack", "compression": "zlib", "predictor": False},
    ],
)
def test_channels_in_planes_and_pages_are_found(options: dict[str, Any]) -> None:
    array = values("uint16", 5).numpy()
    assert np.array_equal(decode(tiff(array, **options), name="x.tif").numpy(), array)


def test_an_array_saved_without_a_word_on_its_axes_is_understood() -> None:
    array = values("uint8", 5).numpy()
    assert np.array_equal(decode(tiff(array.transpose(1, 2, 0)), name="x.tif").numpy(), array)


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        ("L", "tiff_lzw"),
        ("RGB", "tiff_lzw"),
        ("RGBA", "tiff_lzw"),
        ("I;16", "tiff_lzw"),
        ("F", "tiff_lzw"),
        ("RGB", "tiff_deflate"),
        ("RGB", "packbits"),
        ("1", None),
        ("P", "tiff_lzw"),
    ],
)
def test_tiffs_of_other_programs_are_read(mode: str, compression: str | None) -> None:
    colours = Image.fromarray(values("uint8", 3).permute(1, 2, 0).numpy())
    image = Image.fromarray(values("uint16", 1)[0].numpy()) if mode == "I;16" else colours.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression)
    shown = image.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    wanted = np.atleast_3d(np.array(shown)).transpose(2, 0, 1)
    assert np.array_equal(decode(buffer.getvalue(), name="x.tif").numpy(), wanted)


def test_a_stack_of_images_is_no_image() -> None:
    array = np.zeros((4, 5, 6, 3), np.uint8)
    with pytest.raises(DataError, match=r"stack of images \(4 x 3\)"):
        decode(tiff(array, photometric="rgb"), name="x.tif")


def test_several_images_in_one_file_are_refused_but_a_small_copy_beside_one_is_none() -> None:
    photo, other = values("uint8", 3).permute(1, 2, 0).numpy(), np.zeros((4, 5), np.uint8)
    for kind, refused in ((0, True), (1, False)):  # TIFF's subfile type: 1 marks a reduced copy
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            file.write(photo, photometric="rgb")
            file.write(other, photometric="minisblack", subfiletype=kind)
        if refused:
            with pytest.raises(DataError, match=r"holds 2 images of different kinds; one image a file"):
                decode(buffer.getvalue(), name="x.tif")
        else:
            found = decode(buffer.getvalue(), name="x.tif")
            assert np.array_equal(found.permute(1, 2, 0).numpy(), photo)


def test_an_animation_is_no_image_but_what_a_camera_adds_to_a_photo_does_no_harm() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    for form in ("PNG", "WEBP", "MPO"):
        buffer = io.BytesIO()
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
        if form == "MPO":
            assert decode(buffer.getvalue(), name="x.jpg").shape == (3, 6, 8)
        else:
            with pytest.raises(DataError, match="an animation of 3 images; one image a file is wanted"):
                decode(buffer.getvalue(), name="x")


def test_a_tiff_that_claims_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiff(np.zeros((20, 20, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    assert decode(whole, name="x.tif").shape == (7, 20, 20)
    monkeypatch.setattr("i2i.images.limits.MOST_BYTES", 20 * 20 * 6)
    with pytest.raises(DataError, match=r"x\.tif\n  20 x 20 pixels of 7 channel\(s\) would take"):
        decode(whole, name="x.tif")


def test_a_header_of_65535_channels_takes_no_memory() -> None:
    whole = bytearray(tiff(np.zeros((2, 2, 7), np.uint8), photometric="minisblack", planarconfig="contig"))
    with tifffile.TiffFile(io.BytesIO(bytes(whole))) as file:
        tags = file.pages.first.tags
        places = [tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "SamplesPerPixel")]
    for place, value in zip(places, (13000, 13000, 65535), strict=True):
        struct.pack_into("<H", whole, place, value)
    with pytest.raises(DataError, match=r"x\.tif\n  13000 x 13000 pixels of 65535 channel\(s\) would take"):
        decode(bytes(whole), name="x.tif")


@pytest.mark.parametrize(("kind", "number"), [("zlib", 8), ("lzma", 34925)])
def test_a_small_tiff_with_a_bomb_behind_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    monkeypatch.setattr("i2i.images.limits.UNSEEN_BYTES", 2**20)
    pack = {"zlib": zlib.compress, "lzma": lzma.compress}[kind]
    bomb = pack(bytes(2**23))
    whole = bytearray(tiff(np.zeros((8, 8), np.uint8)))
    with tifffile.TiffFile(io.BytesIO(bytes(whole))) as file:
        tags = file.pages.first.tags
        places = {name: tags[name].valueoffset for name in ("Compression", "StripOffsets", "StripByteCounts")}
        kinds = {name: tags[name].dtype for name in places}
    values = {"Compression": number, "StripOffsets": len(whole), "StripByteCounts": len(bomb)}
    for name, place in places.items():
        struct.pack_into("<H" if kinds[name] == 3 else "<I", whole, place, values[name])
    with pytest.raises(DataError, match=r"x\.tif\n  its compressed data become more than the 64 bytes"):
        decode(bytes(whole) + bomb, name="x.tif")


def npy(array: np.ndarray[Any, Any], *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (3, 6, 8), (1, 6, 8), (6, 8, 1)])
def test_an_array_has_its_channels_first_or_last(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = decode(npy(np.asfortranarray(array)), name="x.npy").numpy()
    assert image.shape[1:] == (6, 8)
    wanted = array if shape[:2] != (6, 8) else array.reshape(6, 8, -1).transpose(2, 0, 1)
    assert np.array_equal(image, wanted)


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("float16", torch.float32),
        ("float64", torch.float32),
        ("int16", torch.float32),
        (">u2", torch.uint16),
        ("int64", torch.uint16),
    ],
)
def test_other_numbers_become_one_of_the_three_depths(dtype: str, becomes: torch.dtype) -> None:
    image = decode(npy(np.array([[0, 1, 300]], dtype=dtype)), name="x.npy")
    assert image.dtype == becomes
    assert image.tolist() == [[[0, 1, 300]]]


def test_a_mask_is_black_and_white_or_its_indices() -> None:
    mask = npy(np.array([[True, False]]))
    assert decode(mask, name="x.npy").tolist() == [[[255, 0]]]
    assert decode(mask, name="x.npy", indices=True).tolist() == [[[1, 0]]]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[70000]]), "int64 cannot be kept"),
        (np.array([[-1]]), "int64 cannot be kept"),
        (np.array([[np.nan]]), "not finite"),
        (np.array([[1j]]), "complex128 cannot be kept"),
        (np.zeros(5), "is no image"),
        (np.zeros((0, 5)), "is no image"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array: np.ndarray[Any, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode(npy(array), name="x.npy")


def test_nothing_is_unpickled() -> None:
    with pytest.raises(DataError, match=r"x\.npy"):
        decode(npy(np.array([[print]], dtype=object), pickled=True), name="x.npy")


def test_a_header_that_claims_more_than_there_is_is_refused() -> None:
    whole = npy(np.zeros((10, 10), np.uint8))
    lying = whole.replace(b"(10, 10)", b"(9999999999, 9)", 1)
    with pytest.raises(DataError, match=r"x\.npy"):
        decode(lying, name="x.npy")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    image = values("uint8", 3)
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as lying:
        wanted = torch.from_numpy(np.array(ImageOps.exif_transpose(lying))).permute(2, 0, 1)
    assert torch.equal(read_image(tmp_path / "x.png"), wanted)

    tag = (274, "H", 1, orientation, True)
    data = tiff(image.permute(1, 2, 0).numpy(), photometric="rgb", extratags=[tag])
    assert torch.equal(decode(data, name="x.tif"), wanted)

    deep = image.to(torch.int32).mul(257).to(torch.uint16)
    write_image(tmp_path / "deep.png", deep, spec=spec_of(deep))
    plain = (tmp_path / "deep.png").read_bytes()
    turned = _with_exif(plain, exif.tobytes())
    assert torch.equal(decode(turned, name="x.png"), wanted.to(torch.int32).mul(257).to(torch.uint16))


def _with_exif(png: bytes, exif: bytes) -> bytes:
    content = exif.removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + content))
    return png[:33] + chunk + png[33:]


def test_the_range_of_floating_point_values_must_be_said() -> None:
    image = torch.tensor([[[0.5, 7.25]]])
    with pytest.raises(DataError, match=r"from 0\.5 to 7\.25"):
        image_spec(image)
    assert image_spec(image, span=(0, 10)) == ImageSpec(1, 1, 2, depth="float32", low=0, high=10)


@pytest.mark.parametrize(
    ("name", "spec", "result"),
    [
        ("a.jpg", ImageSpec(3, 1, 1), "a.jpg"),
        ("a.jpg", ImageSpec(1, 1, 1, depth="uint16", high=65535), "a.png"),
        ("a.JPG", ImageSpec(4, 1, 1), "a.png"),
        ("a.png", ImageSpec(1, 1, 1, depth="float32"), "a.tif"),
        ("a.npy", ImageSpec(7, 1, 1, depth="float32"), "a.npy"),
        ("a.jpg", ImageSpec(5, 1, 1, high=1, labels=True), "a.png"),
    ],
)
def test_a_suffix_gives_way_to_one_that_can_hold_the_image(name: str, spec: ImageSpec, result: str) -> None:
    assert fitting(Path("in") / name, spec) == Path("in") / result


def test_an_error_without_a_file_is_given_one() -> None:
    with pytest.raises(DataError, match=r"^a\.png\n  it is bad"), naming(Path("a.png")):
        raise DataError("it is bad")


# --- formats that are read alone


@pytest.mark.parametrize(
    ("suffix", "form"), [(".jfif", "JPEG"), (".jpe", "JPEG"), (".gif", "GIF"), (".tga", "TGA")]
)
def test_other_suffixes_are_read_by_content(tmp_path: Path, suffix: str, form: str) -> None:
    image = Image.new("RGB", (5, 3), (200, 100, 50))
    image.save(tmp_path / f"x{suffix}", format=form)
    read = read_image(tmp_path / f"x{suffix}")
    assert read.shape == (3, 3, 5)
    assert (read.int() - torch.tensor([200, 100, 50]).view(3, 1, 1)).abs().max() <= (
        2 if form == "JPEG" else 0
    )


def test_a_gif_keeps_its_colours_its_indices_and_its_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "x.gif")
    assert read_image(tmp_path / "x.gif")[:, 0].T.tolist() == [[10, 20, 30], [200, 100, 50]]
    assert read_image(tmp_path / "x.gif", indices=True).tolist() == [[[0, 1]]]
    image.save(tmp_path / "clear.gif", transparency=1)
    assert read_image(tmp_path / "clear.gif")[3].tolist() == [[255, 0]]


def test_a_gif_of_several_frames_is_refused_by_name(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), value) for value in (0, 255)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"x\.gif\n.*an animation of 2 images"):
        read_image(tmp_path / "x.gif")
