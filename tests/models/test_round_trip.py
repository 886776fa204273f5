"""What goes in comes out: an identity generator and `i2i translate`, bit by bit, in every format."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from i2i.images import read_image, write_image
from i2i.images.metadata import Beside
from i2i.kinds import Colour, ImageSpec, PairSpec, Part

PALETTE: tuple[Colour, ...] = ((0, 0, 0), (200, 10, 10), (10, 200, 10), (10, 10, 200))
RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 203, 301


@pytest.fixture
def translate(identity, i2i):
    """Return a function that writes an identity model for images of a spec and translates with it."""

    def run(source: Path, target: Path, spec: ImageSpec):
        return i2i("translate", str(identity(spec)), str(source), str(target), "--device", "cpu")

    return run


def noise(*shape: int, dtype: str) -> np.ndarray:
    if dtype == "float32":
        return RNG.uniform(-1, 1, shape).astype(np.float32)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def same_pixels(one: Path, other: Path) -> bool:
    before, after = read_image(one), read_image(other)
    return before.dtype == after.dtype and torch.equal(before, after)


@pytest.mark.parametrize(
    ("name", "array", "spec"),
    [
        ("grey.png", noise(HEIGHT, WIDTH, dtype="uint8"), ImageSpec(1, 8, 8)),
        ("colour.png", noise(HEIGHT, WIDTH, 3, dtype="uint8"), ImageSpec(3, 8, 8)),
        ("alpha.png", noise(HEIGHT, WIDTH, 4, dtype="uint8"), ImageSpec(4, 8, 8)),
        ("deep.png", noise(HEIGHT, WIDTH, dtype="uint16"), ImageSpec(1, 8, 8, depth="uint16", high=65535)),
        ("deep.tif", noise(40, 50, 3, dtype="uint16"), ImageSpec(3, 8, 8, depth="uint16", high=65535)),
        ("part.tif", noise(40, 50, dtype="uint16") % 4096, ImageSpec(1, 8, 8, depth="uint16", high=4095)),
        ("float.tif", noise(40, 50, dtype="float32"), ImageSpec(1, 8, 8, depth="float32", low=-1, high=1)),
        ("float.npy", noise(40, 50, 7, dtype="float32"), ImageSpec(7, 8, 8, depth="float32", low=-1, high=1)),
        ("many.tif", noise(40, 50, 5, dtype="uint8"), ImageSpec(5, 8, 8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_bit_survives(translate, tmp_path, name, array, spec):
    source = tmp_path / "in" / name
    source.parent.mkdir()
    if name.endswith(".tif"):
        tifffile.imwrite(source, array, photometric="minisblack" if spec.channels != 3 else "rgb")
    elif name.endswith(".npy"):
        np.save(source, array)
    else:
        Image.fromarray(array).save(source)
    done = translate(source.parent, tmp_path / "out", spec)
    assert done.code == 0, done.err
    assert same_pixels(source, tmp_path / "out" / name)


def test_16_bit_colour_png_survives(translate, tmp_path):
    spec = ImageSpec(3, 8, 8, depth="uint16", high=65535)
    write_image(tmp_path / "a.png", torch.from_numpy(noise(3, 20, 30, dtype="uint16")), spec=spec)
    assert translate(tmp_path / "a.png", tmp_path / "b.png", spec).code == 0
    assert same_pixels(tmp_path / "a.png", tmp_path / "b.png")


def test_floats_of_any_range_survive_to_within_a_rounding(translate, tmp_path):
    array = RNG.uniform(0, 80, (20, 30)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", array)
    spec = ImageSpec(1, 8, 8, depth="float32", low=0, high=80)
    assert translate(tmp_path / "a.tif", tmp_path / "b.tif", spec).code == 0
    assert read_image(tmp_path / "b.tif")[0].numpy() == pytest.approx(array, abs=1e-5)


def palette_image() -> Image.Image:
    image = Image.fromarray(noise(HEIGHT, WIDTH, dtype="uint8") % 4)
    image.putpalette([value for colour in PALETTE for value in colour])
    return image


def test_a_palette_survives_as_its_colours(translate, tmp_path):
    palette_image().save(tmp_path / "a.png")
    assert translate(tmp_path / "a.png", tmp_path / "b.png", ImageSpec(3, 8, 8)).code == 0
    assert same_pixels(tmp_path / "a.png", tmp_path / "b.png")


def test_a_palette_survives_as_classes_with_its_palette(translate, tmp_path):
    before = palette_image()
    before.save(tmp_path / "a.png")
    spec = ImageSpec(4, 8, 8, high=1, labels=True, palette=PALETTE)
    assert translate(tmp_path / "a.png", tmp_path / "b.png", spec).code == 0
    with Image.open(tmp_path / "b.png") as after:
        assert after.mode == "P"
        assert np.array_equal(np.array(after), np.array(before))
        assert np.array_equal(np.array(after.convert("RGB")), np.array(before.convert("RGB")))


def test_classes_by_index_survive(translate, tmp_path):
    array = noise(HEIGHT, WIDTH, dtype="uint8") % 4
    Image.fromarray(array).save(tmp_path / "a.png")
    spec = ImageSpec(4, 8, 8, high=1, labels=True)
    assert translate(tmp_path / "a.png", tmp_path / "b.png", spec).code == 0
    assert np.array_equal(np.array(Image.open(tmp_path / "b.png")), array)


def test_a_rotated_photo_comes_out_upright(translate, tmp_path):
    array = noise(HEIGHT, WIDTH, 3, dtype="uint8")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    assert translate(tmp_path / "a.png", tmp_path / "b.png", ImageSpec(3, 8, 8)).code == 0
    with Image.open(tmp_path / "b.png") as after:
        assert not after.getexif()
        assert np.array_equal(np.array(after), np.rot90(array, -1))


# --- names, and what does not fit


def test_a_name_gets_a_suffix_that_can_hold_the_result(translate, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(20, 30, dtype="uint8")).save(tmp_path / "in" / "a.jpg")
    spec = ImageSpec(1, 8, 8, depth="uint16", high=65535)
    assert translate(tmp_path / "in", tmp_path / "out", spec).code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert read_image(tmp_path / "out/a.png").dtype == torch.uint16
    chosen = translate(tmp_path / "in/a.jpg", tmp_path / "b.jpg", spec)
    assert chosen.code == 3
    assert "cannot hold 1 channel(s) of uint16" in chosen.err
    Image.fromarray(noise(20, 30, dtype="uint8")).save(tmp_path / "in" / "a.png")
    both = translate(tmp_path / "in", tmp_path / "out2", spec)
    assert both.code == 2
    assert "a.png: rename one" in both.err


def test_integers_are_not_taken_for_floating_point_values(translate, tmp_path):
    Image.fromarray(noise(20, 30, dtype="uint8")).save(tmp_path / "a.png")
    done = translate(tmp_path / "a.png", tmp_path / "b.tif", ImageSpec(1, 8, 8, depth="float32", high=10))
    assert done.code == 3
    assert "a.png\n  the image holds uint8, and the model was trained on float32 from 0 to 10." in done.err


STACK = ImageSpec(
    4,
    8,
    8,
    depth="float32",
    low=-1,
    high=1,
    parts=(Part("rgb", 3, "uint8", 0, 255), Part("depth", 1, "float32", 0, 10)),
)


def test_sides_of_several_files_come_from_a_folder_for_each_and_go_to_such(translate, tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "in" / name).mkdir(parents=True)
    rgb = noise(20, 30, 3, dtype="uint8")
    Image.fromarray(rgb).save(tmp_path / "in/rgb/1.png")
    np.save(tmp_path / "in/depth/1.npy", np.full((20, 30), 2.5, np.float32))
    done = translate(tmp_path / "in", tmp_path / "out", STACK)
    assert done.code == 0, done.err
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/*/*")) == [
        "depth/1.tif",
        "rgb/1.png",
    ]
    assert same_pixels(tmp_path / "in/rgb/1.png", tmp_path / "out/rgb/1.png")
    assert same_pixels(tmp_path / "in/depth/1.npy", tmp_path / "out/depth/1.tif")
    again = translate(tmp_path / "in", tmp_path / "out", STACK)
    assert again.code == 2
    assert "1.png and 1 more are there already" in again.err

    Image.fromarray(rgb).save(tmp_path / "in/rgb/2.png")
    done = translate(tmp_path / "in", tmp_path / "out", STACK)
    assert done.code == 3
    assert "2.png\n  there is no image '2' in each of rgb, depth." in done.err


def test_parts_keep_their_classes_and_their_depth(translate, tmp_path):
    parts = (
        Part("seg", 4, "uint8", 0, 1, labels=True, palette=PALETTE),
        Part("mask", 3, "uint8", 0, 1, labels=True),
        Part("depth", 1, "uint16", 0, 4095),
    )
    for name in ("seg", "mask", "depth"):
        (tmp_path / "in" / name).mkdir(parents=True)
    classes = Image.fromarray(noise(20, 30, dtype="uint8") % 4)
    classes.putpalette([value for colour in PALETTE for value in colour])
    classes.save(tmp_path / "in/seg/1.png")
    Image.fromarray(noise(20, 30, dtype="uint8") % 3).save(tmp_path / "in/mask/1.png")
    Image.fromarray(noise(20, 30, dtype="uint16") % 4096).save(tmp_path / "in/depth/1.png")
    stack = ImageSpec(8, 8, 8, "float32", -1, 1, parts=parts)
    done = translate(tmp_path / "in", tmp_path / "out", stack)
    assert done.code == 0, done.err
    for name in ("seg", "mask", "depth"):
        assert same_pixels(tmp_path / f"in/{name}/1.png", tmp_path / f"out/{name}/1.png")


TWO = PairSpec(
    ImageSpec(3, 8, 8),
    ImageSpec(
        3,
        8,
        8,
        "float32",
        -1,
        1,
        parts=(Part("grey", 1, "uint8", 0, 255), Part("../../depth", 2, "uint16", 0, 65535)),
    ),
)


def test_files_of_one_answer_lie_below_folders_or_beside_each_other(identity, i2i, tmp_path):
    model = identity(TWO.source, TWO.target)
    Image.new("RGB", (6, 5), (7, 255, 0)).save(tmp_path / "a.png")
    for out, expected in {
        "out": ["out/depth/a.tif", "out/grey/a.png"],
        "b.jpg": ["b.depth.tif", "b.grey.jpg"],
    }.items():
        before = {*tmp_path.rglob("*")}
        done = i2i("translate", str(model), str(tmp_path / "a.png"), str(tmp_path / out), "--device", "cpu")
        assert done.code == 0, done.err
        made = sorted(path for path in {*tmp_path.rglob("*")} - before if path.is_file())
        assert [path.relative_to(tmp_path).as_posix() for path in made] == expected
        assert read_image(made[0]).flatten(1)[:, 0].tolist() == [65535, 0]


def test_one_picture_does_not_stand_for_a_stack_of_them(translate, tmp_path):
    Image.new("RGB", (6, 5)).save(tmp_path / "1.png")
    stack = ImageSpec(4, 8, 8, parts=(Part("rgb", 3, "uint8", 0, 255), Part("mask", 1, "uint8", 0, 255)))
    done = translate(tmp_path / "1.png", tmp_path / "out", stack)
    assert done.code == 3
    assert "one image of 3 channel(s) cannot stand for a source stacked from rgb, mask." in done.err


def test_stacked_sources_of_different_sizes_are_named(translate, tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "in" / name).mkdir(parents=True)
    Image.fromarray(noise(20, 30, 3, dtype="uint8")).save(tmp_path / "in/rgb/1.png")
    np.save(tmp_path / "in/depth/1.npy", np.zeros((10, 15), np.float32))
    done = translate(tmp_path / "in", tmp_path / "out", STACK)
    assert done.code == 3
    assert "different sizes: 30x20, 15x10" in done.err


def test_a_spec_survives_a_model_file():
    spec = PairSpec(STACK, ImageSpec(4, 8, 8, high=1, labels=True, palette=PALETTE))
    assert PairSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec
    old = {"channels": 3, "height": 8, "width": 8}
    assert PairSpec.from_json({"source": old, "target": old}).source == ImageSpec(3, 8, 8)
    mixed = Part("seg", 4, "uint8", 0, 1, labels=True, palette=PALETTE)
    spec = PairSpec(ImageSpec(4, 8, 8, high=1, parts=(mixed,)), ImageSpec(3, 8, 8))
    assert PairSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec
    plain = {"name": "a", "channels": 3, "depth": "uint8", "low": 0.0, "high": 255.0}
    before = PairSpec.from_json({"source": {**old, "parts": [plain]}, "target": old})
    assert before.source.parts == (Part("a", 3, "uint8", 0, 255),)


# --- what stands beside the pixels ------------------------------------------------------------------

GEO = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0), True),
    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
    (34737, "s", 0, "WGS 84 / UTM zone 33N|", True),
]
DEEP = ImageSpec(3, 16, 16, depth="uint16", high=65535)


def profile(space: bytes) -> bytes:
    """Return bytes that say they are an ICC profile of a colour space."""
    return bytes(16) + space + bytes(108)


def georeferenced(path: Path, dtype: str = "uint16", **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = noise(9, 13, 3, dtype="uint16").astype(dtype)
    tifffile.imwrite(path, array, photometric="rgb", extratags=GEO, resolution=(300, 200), **options)
    return path


def tags(path: Path) -> dict[int, object]:
    with tifffile.TiffFile(path) as file:
        codes = (282, 283, 296, 34675, *(code for code, *_ in GEO), 42113)
        found = file.pages.first.tags
        return {code: found[code].value for code in codes if code in found}


def test_a_georeference_and_a_resolution_are_carried_from_tiff_to_tiff(translate, tmp_path):
    source = georeferenced(tmp_path / "in" / "map.tif", resolutionunit=3, iccprofile=profile(b"RGB "))
    done = translate(source.parent, tmp_path / "out", DEEP)
    assert (done.code, done.err) == (0, "")
    assert tags(tmp_path / "out" / "map.tif") == tags(source)
    assert len(tags(source)) == 8
    assert same_pixels(source, tmp_path / "out" / "map.tif")


def undated(told: str) -> str:
    """What was said on standard error, without the time at which."""
    return re.sub(r"^\S+  ", "", told.strip(), flags=re.M)


def test_what_a_format_cannot_carry_is_said_once(translate, tmp_path):
    for name in ("a.tif", "b.tif"):
        georeferenced(tmp_path / "in" / name)
    grey = ImageSpec(3, 16, 16)
    done = translate(tmp_path / "in" / "a.tif", tmp_path / "a.png", grey)
    assert done.code == 0
    assert undated(done.err) == (
        "not carried over to the answers: georeference of 1, depth (uint16, and answers are uint8) of 1."
    )
    done = translate(tmp_path / "in", tmp_path / "out", grey)
    assert undated(done.err) == (
        "not carried over to the answers: depth (uint16, and answers are uint8) of 2."
    )


def test_signed_numbers_and_a_nodata_value_are_told_as_not_carried(translate, tmp_path):
    path = tmp_path / "in" / "height.tif"
    path.parent.mkdir()
    heights = RNG.integers(-400, 4000, (9, 13), dtype="int16")
    tifffile.imwrite(path, heights, extratags=[(42113, "s", 0, "-9999", True)])
    done = translate(path, tmp_path / "out.tif", ImageSpec(1, 16, 16, depth="float32", low=-500, high=5000))
    assert done.code == 0, done.err
    assert "nodata value of 1" in done.err
    assert "depth (int16, and answers are float32) of 1" in done.err


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "deep.png"])
def test_resolution_and_colour_profile_are_carried(translate, tmp_path, name):
    source, spec = tmp_path / "in" / name, ImageSpec(3, 16, 16)
    source.parent.mkdir()
    if name == "deep.png":
        spec = DEEP
        told = Beside(resolution=(300.0, 150.0, 2), profile=profile(b"RGB "))
        pixels = torch.from_numpy(noise(3, 20, 30, dtype="uint16"))
        write_image(source, pixels, spec=spec, beside=told)
    else:
        picture = Image.fromarray(noise(20, 30, 3, dtype="uint8"))
        picture.save(source, dpi=(300, 150), icc_profile=profile(b"RGB "))
    done = translate(source.parent, tmp_path / "out", spec)
    assert (done.code, done.err) == (0, "")
    with Image.open(tmp_path / "out" / name) as answer:
        assert answer.info["icc_profile"] == profile(b"RGB ")
        assert answer.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_profile_for_colours_is_no_profile_for_grey(translate, tmp_path):
    picture = Image.fromarray(noise(20, 30, 3, dtype="uint8"))
    picture.save(tmp_path / "a.png", icc_profile=profile(b"RGB "))
    done = translate(tmp_path / "a.png", tmp_path / "b.png", ImageSpec(1, 16, 16))
    assert "colour profile of 1" in done.err
    with Image.open(tmp_path / "b.png") as answer:
        assert "icc_profile" not in answer.info


def test_transparency_and_camera_data_are_told_as_not_carried(translate, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(20, 30, 4, dtype="uint8")).save(tmp_path / "in" / "a.png")
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = 6  # turned, which the answer is not
    picture = Image.fromarray(noise(20, 30, 3, dtype="uint8"))
    picture.save(tmp_path / "in" / "b.jpg", exif=exif, dpi=(300, 150))
    done = translate(tmp_path / "in", tmp_path / "out", ImageSpec(3, 16, 16))
    assert undated(done.err) == "not carried over to the answers: transparency of 1, EXIF of 1."
    with Image.open(tmp_path / "out" / "b.jpg") as answer:
        assert answer.size == (20, 30)
        assert answer.info["dpi"] == pytest.approx((150, 300), abs=0.1)


def test_a_georeference_of_rows_that_were_turned_is_not_carried(translate, tmp_path):
    turned = (274, "H", 1, 6, True)
    array = noise(9, 13, 3, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extratags=[*GEO, turned])
    done = translate(tmp_path / "a.tif", tmp_path / "b.tif", DEEP)
    assert "georeference of 1" in done.err
    assert not set(tags(tmp_path / "b.tif")) & {33550, 33922, 34735}


@pytest.mark.parametrize("name", ["a.gif", "a.tga", "a.jfif"])
def test_of_a_kind_that_is_only_read_nothing_is_said_where_nothing_is_lost(translate, tmp_path, name):
    (tmp_path / "in").mkdir()
    picture = Image.fromarray(noise(20, 30, 3, dtype="uint8"))
    picture.save(tmp_path / "in" / name, format="JPEG" if name.endswith("jfif") else None)
    done = translate(tmp_path / "in", tmp_path / "out", ImageSpec(3, 16, 16))
    assert (done.code, done.err) == (0, "")


def test_an_array_that_loses_depth_is_told_too(translate, tmp_path):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", noise(16, 16, 3, dtype="uint16"))
    done = translate(tmp_path / "in", tmp_path / "out", ImageSpec(3, 16, 16))
    assert done.code == 0
    told = "not carried over to the answers: depth (uint16, and answers are uint8) of 1."
    assert undated(done.err) == told
