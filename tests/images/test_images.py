"""Image files: what is read is what was stored, and what cannot be kept is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.errors import DataError, ResourceError
from i2i.images import (
    IMAGE_SUFFIXES,
    decode,
    entries,
    image_spec,
    normalise,
    png_bytes,
    quantise,
    read_image,
    to_channels,
    write_image,
)
from i2i.kinds import ImageSpec

GREY = ImageSpec(1, 4, 6)
RGB = ImageSpec(3, 4, 6)
DEEP = ImageSpec(1, 4, 6, depth="uint16", high=65535)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def png_16_bits_a_channel(colour_type: int, channels: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(2 * channels * [1, 2]) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# --- reading


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 4), ("P", 3), ("RGB", 3), ("RGBA", 4)]
)
def test_each_mode_is_read_with_its_own_channels(tmp_path: Path, mode: str, channels: int) -> None:
    Image.new(mode, (5, 3)).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.dtype == torch.uint8
    assert image.shape == (channels, 3, 5)


def test_a_palette_with_a_transparent_colour_becomes_rgba(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([9, 9, 9, 10, 20, 30])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "x.png", transparency=0)
    image = read_image(tmp_path / "x.png")
    assert image[:, 0, 0].tolist() == [9, 9, 9, 0]
    assert image[:, 1, 1].tolist() == [10, 20, 30, 255]


def test_16_bit_grey_keeps_its_values(tmp_path: Path) -> None:
    values = np.array([[0, 1, 255], [256, 40000, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.dtype == torch.uint16
    assert image.tolist() == [values.tolist()]


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_16_bits_a_channel_keep_both_bytes(colour_type: int, channels: int) -> None:
    image = decode(png_16_bits_a_channel(colour_type, channels), name="x.png")
    assert image.shape == (channels, 2, 2)
    assert image.unique().item() == 0x0102


def test_16_bit_grey_with_transparency_is_refused_rather_than_halved() -> None:
    with pytest.raises(DataError, match="16 bits a channel"):
        decode(png_16_bits_a_channel(4, 2), name="x.png")


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    lying = Image.new("L", (4, 2), 255)
    lying.putpixel((0, 0), 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise
    lying.save(tmp_path / "x.png", exif=exif)
    image = read_image(tmp_path / "x.png")
    assert image.shape == (1, 4, 2)
    assert image[0, 0].tolist() == [255, 0]


def test_cmyk_is_read_as_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 2)).save(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg").tolist() == torch.full((3, 2, 2), 255).tolist()


def test_the_content_counts_not_the_suffix(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.jpg", "PNG")
    assert read_image(tmp_path / "x.jpg").shape == (3, 2, 2)


def test_a_read_image_can_be_written_to(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    image += 1
    assert image.unique().item() == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str) -> None:
    whole = io.BytesIO()
    Image.fromarray(noise(40, 40, 3).numpy()).save(whole, Image.registered_extensions()[suffix])
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(DataError, match=f"cut{suffix}"):
        read_image(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"\x93NUMPY\1\0"],
)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.png").write_bytes(content)
    with pytest.raises(DataError, match=r"no\.png"):
        read_image(tmp_path / "no.png")


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="cannot be opened"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png\n  this is no file, but a pipe"):
        read_image(tmp_path / "x.png")


def test_a_large_image_is_read_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    large = png_bytes(torch.zeros(1, 40, 40, dtype=torch.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(large, name="large.png").shape == (1, 40, 40)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(("channels", "fits"), [(1, True), (3, False)])
def test_an_image_that_takes_too_many_bytes_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, channels: int, fits: bool
) -> None:
    bomb = png_bytes(torch.zeros(channels, 40, 40, dtype=torch.uint8))
    monkeypatch.setattr("i2i.images.limits.MOST_BYTES", 40 * 40 * 2)
    if fits:
        assert decode(bomb, name="bomb.png").shape == (1, 40, 40)
    else:
        with pytest.raises(DataError, match=r"bomb\.png\n  40 x 40 pixels of it would take 0\.0 GiB"):
            decode(bomb, name="bomb.png")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(5 * 2**30)
    with pytest.raises(
        DataError, match=r"sparse\.png\n  the file would take 5\.0 GiB, and an image may take 2"
    ):
        read_image(tmp_path / "sparse.png")


def test_where_memory_runs_out_the_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "array", starve)
    with pytest.raises(DataError, match=r"x\.png\n  there is not enough memory") as caught:
        decode(png_bytes(torch.zeros(1, 4, 4, dtype=torch.uint8)), name="x.png")
    assert caught.value.exit_code == 3


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="this system has no links")
def test_a_link_to_itself_is_named_and_the_folder_goes_on(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "x.png").touch()
    assert entries(tmp_path) == ([], ["loop.png", "x.png"])
    with pytest.raises(DataError, match=r"loop\.png\n  the image cannot be opened: Too many levels"):
        read_image(tmp_path / "loop.png")


def test_the_spec_of_a_decoded_image_spans_its_integers() -> None:
    assert image_spec(noise(3, 4, 6)) == RGB
    assert image_spec(torch.zeros(1, 4, 6, dtype=torch.uint16)) == DEEP


# --- writing


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_writes_rgb_that_reads_back(tmp_path: Path, suffix: str) -> None:
    flat = torch.tensor([200, 100, 50], dtype=torch.uint8).view(3, 1, 1).expand(3, 16, 16)
    write_image(tmp_path / f"x{suffix}", flat, spec=RGB)
    difference = read_image(tmp_path / f"x{suffix}").int() - flat.int()
    assert difference.abs().max() <= (2 if suffix in (".jfif", ".jpe", ".jpeg", ".jpg") else 0)


@pytest.mark.parametrize(
    ("name", "channels"), [("x.png", 1), ("x.png", 4), ("x.webp", 3), ("X.PNG", 3), ("x.bmp", 1)]
)
def test_formats_without_loss_keep_every_value(tmp_path: Path, name: str, channels: int) -> None:
    image = noise(channels, 7, 5)
    write_image(tmp_path / name, image, spec=ImageSpec(channels, 7, 5))
    assert torch.equal(read_image(tmp_path / name), image)


def test_16_bit_grey_is_written_as_such(tmp_path: Path) -> None:
    image = torch.tensor([[[-1.0, 0.0, 1.0]]])
    write_image(tmp_path / "x.png", image, spec=DEEP)
    assert read_image(tmp_path / "x.png").tolist() == [[[0, 32768, 65535]]]


def test_jpeg_keeps_colour_at_full_resolution(tmp_path: Path) -> None:
    write_image(tmp_path / "x.jpg", noise(3, 16, 16), spec=RGB)
    with Image.open(tmp_path / "x.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize(
    ("name", "image", "spec"),
    [
        ("x.jpg", torch.zeros(1, 2, 2), DEEP),
        ("x.bmp", torch.zeros(1, 2, 2), DEEP),
        ("x.jpg", torch.zeros(4, 2, 2), RGB),
        ("x.webp", torch.zeros(1, 2, 2), GREY),
        ("x.webp", torch.zeros(4, 2, 2), RGB),
        ("x.png", torch.zeros(2, 2, 2), RGB),
        ("x.gif", torch.zeros(3, 2, 2), RGB),
        ("x", torch.zeros(3, 2, 2), RGB),
        ("x.png", torch.zeros(1, 2, 2), ImageSpec(1, 2, 2, depth="float32", low=-1, high=1)),
    ],
)
def test_a_suffix_that_cannot_hold_the_image_is_refused(
    tmp_path: Path, name: str, image: torch.Tensor, spec: ImageSpec
) -> None:
    with pytest.raises(DataError, match="cannot hold"):
        write_image(tmp_path / name, image, spec=spec)
    assert list(tmp_path.iterdir()) == []


def test_the_refusal_says_which_suffixes_would_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"suffixes that can: \.npy, \.png, \.tif, \.tiff\b"):
        write_image(tmp_path / "x.jpg", torch.zeros(1, 2, 2), spec=DEEP)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not finite"):
        write_image(tmp_path / "x.png", torch.full((1, 2, 2), float("nan")), spec=GREY)


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    write_image(path, noise(3, 4, 6, seed=1), spec=RGB)
    write_image(path, noise(3, 4, 6, seed=2), spec=RGB)
    assert torch.equal(read_image(path), noise(3, 4, 6, seed=2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.png"]


def test_a_path_that_cannot_be_written_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"x\.png"):
        write_image(tmp_path / "file" / "x.png", noise(3, 4, 6), spec=RGB)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    write_image(path, noise(3, 4, 6), spec=RGB)
    before = path.read_bytes()
    open_file = os.open

    def open_full_device(*given: Any) -> int:
        handle, full = open_file(*given), open_file("/dev/full", os.O_WRONLY)
        os.dup2(full, handle)
        os.close(full)
        return handle

    monkeypatch.setattr(os, "open", open_full_device)
    with pytest.raises(ResourceError, match="No space left"):
        write_image(path, noise(3, 4, 6, seed=1), spec=RGB)
    assert path.read_bytes() == before


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_bytes_read_back(channels: int) -> None:
    image = noise(channels, 3, 5)
    assert torch.equal(decode(png_bytes(image), name="memory"), image)
    deep = image.to(torch.int32).mul(257).sub(1).clamp(min=0).to(torch.uint16)
    assert torch.equal(decode(png_bytes(deep), name="memory"), deep)


def test_png_bytes_take_nothing_else() -> None:
    for image in (torch.zeros(3, 2, 2), noise(2, 2, 2), noise(2, 2)):
        with pytest.raises(ValueError, match="a PNG needs"):
            png_bytes(image)


# --- values and channels


@pytest.mark.parametrize("spec", [GREY, DEEP, ImageSpec(1, 1, 1, low=16, high=235)])
def test_low_is_minus_one_and_high_is_one(spec: ImageSpec) -> None:
    stored = torch.tensor([spec.low, spec.high]).to(
        {"uint8": torch.uint8, "uint16": torch.uint16}[spec.depth]
    )
    assert normalise(stored, spec).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("spec", [GREY, DEEP])
def test_every_stored_value_survives_there_and_back(spec: ImageSpec) -> None:
    values = torch.arange(int(spec.high) + 1)
    stored = values.to({"uint8": torch.uint8, "uint16": torch.uint16}[spec.depth])
    assert torch.equal(quantise(normalise(stored, spec), spec).int(), values.int())


def test_quantising_clamps_and_rounds_to_nearest() -> None:
    wanted = torch.tensor([99.4, 99.6, 300.0, -7.0])
    assert quantise(wanted / 127.5 - 1, GREY).tolist() == [99, 100, 255, 0]


def test_quantising_takes_half_precision_and_batches() -> None:
    image = torch.zeros(2, 1, 3, 3, dtype=torch.bfloat16)
    assert quantise(image, GREY).unique().item() == 128


def test_quantising_leaves_stored_values_and_refuses_other_integers() -> None:
    image = noise(1, 2, 2)
    assert quantise(image, GREY) is image
    with pytest.raises(TypeError, match="uint16"):
        quantise(image, DEEP)


def test_float_depth_maps_to_its_range_without_rounding() -> None:
    spec = ImageSpec(1, 1, 1, depth="float32", low=0, high=10)
    assert quantise(torch.tensor([-1.0, 0.02, 1.0]), spec).tolist() == pytest.approx([0.0, 5.1, 10.0])


def test_grey_becomes_rgb_and_rgba() -> None:
    grey = noise(1, 2, 2)
    assert torch.equal(to_channels(grey, 3), torch.cat([grey] * 3))
    assert to_channels(grey, 4)[3].unique().item() == 255


def test_equal_colours_become_that_grey_and_primaries_their_luma() -> None:
    grey = noise(1, 8, 8)
    assert torch.equal(to_channels(to_channels(grey, 3), 1), grey)
    primaries = torch.eye(3).mul(255).to(torch.uint8).view(3, 1, 3)
    assert to_channels(primaries, 1).flatten().tolist() == [76, 150, 29]


def test_transparency_is_laid_over_white() -> None:
    image = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 51]], dtype=torch.uint8).T.reshape(4, 1, 3)
    assert to_channels(image, 3)[0].tolist() == [[255, 0, 204]]
    assert to_channels(image, 1).tolist() == [[[255, 0, 204]]]


def test_16_bit_white_is_its_own() -> None:
    image = torch.zeros(4, 1, 1, dtype=torch.uint16)
    assert to_channels(image, 3).flatten().tolist() == [65535] * 3


def test_the_same_count_is_left_alone_and_others_are_refused() -> None:
    image = noise(5, 2, 2)
    assert to_channels(image, 5) is image
    for bad in (image, torch.zeros(4, 2, 2)):
        with pytest.raises(DataError, match="cannot be turned into 3"):
            to_channels(bad, 3)
