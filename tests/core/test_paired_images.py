"""Pairs on disk: order, halves, stacks, classes and ranges, and what is said when a file does not fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.core.data.paired_images import PairedImages
from i2i.core.data.usual import SAMPLE
from i2i.data.stream import as_pair
from i2i.errors import DataError, MissingSplitError
from i2i.images import read_image
from i2i.kinds import Data, ImageSpec, PairSpec, Part

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pair(
    path: Path, *, mode: str = "RGB", size: tuple[int, int] = (8, 6), left: Any = RED, right: Any = BLUE
) -> None:
    """Write one image of `size` (width, height) with `left` and `right` in its halves."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, size[0], size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def single(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (8, 6), colour: Any = RED) -> None:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def halves(split: Any, **parameters: Any) -> PairedImages:
    """Open pairs that are known to be side by side, of whatever proportions."""
    return PairedImages(split, layout="side-by-side", **parameters)


def test_left_is_the_source_of_a_to_b(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    item = halves("train", root=tmp_path)[0]
    assert item["source"].shape == item["target"].shape == (3, 6, 4)
    assert item["source"].flatten(1).unique(dim=1).tolist() == [[255], [0], [0]]
    assert item["target"].flatten(1).unique(dim=1).tolist() == [[0], [0], [255]]
    assert item["id"] == "1"


def test_b_to_a_swaps_the_halves(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    there = halves("train", root=tmp_path)[0]
    back = halves("train", root=tmp_path, direction="b-to-a")[0]
    assert torch.equal(there["source"], back["target"])
    assert torch.equal(there["target"], back["source"])


def test_the_spec_is_that_of_the_first_pair(tmp_path: Path) -> None:
    pair(tmp_path / "val/1.png")
    pair(tmp_path / "val/2.png", size=(20, 10))
    side = ImageSpec(3, 6, 4)
    assert halves("val", root=tmp_path).spec == PairSpec(side, side)


@pytest.mark.parametrize(("size", "height", "width"), [(32, 32, 32), ((16, 48), 16, 48)])
def test_size_changes_the_spec_and_not_the_items(tmp_path: Path, size: Any, height: int, width: int) -> None:
    pair(tmp_path / "train/1.png")
    data = halves("train", root=tmp_path, size=size)
    assert data.spec.source == data.spec.target == ImageSpec(3, height, width)
    assert data[0]["source"].shape == (3, 6, 4)


def test_items_keep_their_own_size(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", size=(20, 10))
    assert [item["target"].shape for item in map(halves("train", root=tmp_path).__getitem__, (0, 1))] == [
        (3, 6, 4),
        (3, 10, 10),
    ]


def test_16_bit_grey_pairs_keep_their_depth(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    Image.new("I;16", (4, 2), 40000).save(tmp_path / "train/1.png")
    data = PairedImages("train", root=tmp_path)
    assert data.spec.target == ImageSpec(1, 2, 2, depth="uint16", high=65535)
    assert data[0]["source"].dtype == torch.uint16


def test_it_is_a_data_set_that_can_be_walked_through(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        pair(tmp_path / f"train/{name}.png")
    data = halves("train", root=tmp_path)
    assert isinstance(data, Data)
    assert len(data) == 3
    assert [item["id"] for item in data] == ["a", "b", "c"]


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.jpg", "x1.png", "x01.png", "1.PNG", "a2b10.png", "a2b9.png"):
        pair(tmp_path / "train" / name)
    ids = [item["id"] for item in halves("train", root=tmp_path, splits=(1.0, 0.0, 0.0))]
    assert ids == ["1", "2", "10", "a2b9", "a2b10", "x01", "x1"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_an_id_can_be_written_down_whatever_bytes_the_name_has(tmp_path: Path) -> None:
    pair(tmp_path / "train" / os.fsdecode(b"caf\xe9.png"))
    item = halves("train", root=tmp_path)[0]
    assert item["id"].encode() == rb"caf\udce9"


def test_hidden_files_other_kinds_and_folders_are_passed_over(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/.2.png")
    for name in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (tmp_path / "train" / name).touch()
    (tmp_path / "train/3.png").mkdir()
    assert len(halves("train", root=tmp_path)) == 1


def test_only_a_few_files_are_opened_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        pair(tmp_path / f"train/{number}.png")
    (tmp_path / "train/2.png").write_bytes(b"broken")
    opened: list[Path] = []

    def noted(path: Path, **how: Any) -> torch.Tensor:
        opened.append(path)
        return read_image(path, **how)

    monkeypatch.setattr("i2i.core.data.paired_images.read_image", noted)
    data = halves("train", root=tmp_path)
    assert len(opened) == SAMPLE
    assert {"0.png", "99.png"} <= {path.name for path in opened}
    with pytest.raises(DataError, match=r"2\.png"):
        data[2]


def test_root_is_relative_to_the_working_directory_and_knows_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(tmp_path / "set/train/1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(halves("train", root=Path("set"))) == len(halves("train", root=Path("~/set"))) == 1


def test_named_folders_are_stacked_to_one_source(tmp_path: Path) -> None:
    for name, mode, value in (("rgb", "RGB", RED), ("edges", "L", 7), ("out", "RGB", BLUE)):
        single(tmp_path / name / "1.png", mode=mode, colour=value)
    shares = (1.0, 0.0, 0.0)
    data = PairedImages("train", root=tmp_path, source=("rgb", "edges"), target="out", splits=shares)
    parts = (Part("rgb", 3, "uint8", 0, 255), Part("edges", 1, "uint8", 0, 255))
    assert data.spec.source == ImageSpec(4, 6, 8, parts=parts)
    assert data[0]["source"][:, 0, 0].tolist() == [255, 0, 0, 7]
    assert data[0]["target"][:, 0, 0].tolist() == [0, 0, 255]


def test_sources_of_several_depths_are_stacked_by_what_they_mean(tmp_path: Path) -> None:
    single(tmp_path / "rgb/1.png", colour=RED)
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth/1.npy", np.full((6, 8), 2.5, np.float32))
    single(tmp_path / "out/1.png")
    data = PairedImages(
        "train",
        root=tmp_path,
        source=("rgb", "depth"),
        target="out",
        splits=(1.0, 0.0, 0.0),
        source_range={"depth": (0.0, 10.0)},
    )
    spec = data.spec.source
    assert (spec.channels, spec.depth, spec.low, spec.high) == (4, "float32", -1.0, 1.0)
    assert spec.parts[1] == Part("depth", 1, "float32", 0.0, 10.0)
    assert data[0]["source"][:, 0, 0].tolist() == [1.0, -1.0, -1.0, -0.5]


def test_a_side_can_be_classes_by_index_or_by_colour(tmp_path: Path) -> None:
    single(tmp_path / "A/1.png")
    labels = Image.new("P", (8, 6), 1)
    labels.putpalette([*BLUE, *RED])
    labels.paste(0, (0, 0, 2, 6))
    (tmp_path / "B").mkdir()
    labels.save(tmp_path / "B/1.png")
    everything = {"root": tmp_path, "direction": "b-to-a", "splits": (1.0, 0.0, 0.0)}
    by_index = PairedImages("train", **everything, source_labels=3)
    assert by_index.spec.source == ImageSpec(3, 6, 8, high=1, labels=True)
    assert by_index[0]["source"].flatten(1).sum(1).tolist() == [12, 36, 0]
    by_colour = PairedImages("train", **everything, source_labels=(RED, BLUE))
    assert by_colour.spec.source.palette == (RED, BLUE)
    assert by_colour[0]["source"].flatten(1).sum(1).tolist() == [36, 12]


def test_a_range_says_which_values_become_black_and_white(tmp_path: Path) -> None:
    single(tmp_path / "A/1.png")
    (tmp_path / "B").mkdir()
    np.save(tmp_path / "B/1.npy", np.full((6, 8), 2.5, np.float32))
    everything = {"root": tmp_path, "splits": (1.0, 0.0, 0.0)}
    words = r"data\.target_range\n.*floating-point.*from 2\.5 to 2\.5.*= \[0, 1\]"
    with pytest.raises(DataError, match=words):
        PairedImages("train", **everything)
    data = PairedImages("train", **everything, target_range=(0.0, 5.0))
    assert data.spec.target == ImageSpec(1, 6, 8, depth="float32", low=0.0, high=5.0)
    assert as_pair(data[0], data.spec).target.unique().tolist() == [0.0]


@pytest.mark.skipif("I2I_TEST_DATA" not in os.environ, reason="needs the facades")
def test_the_facades_are_found_as_they_are() -> None:
    root = Path(os.environ["I2I_TEST_DATA"]) / "facades"
    side = ImageSpec(3, 256, 256)
    for split, count in (("train", 400), ("val", 100)):
        data = PairedImages(split, root=root, direction="b-to-a")
        assert (len(data), data.problems, data.spec) == (count, (), PairSpec(side, side))
    colours = ((0, 0, 222), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 223), (112, 255, 143))
    colours += ((191, 255, 64), (255, 239, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (175, 0, 0))
    labels = PairedImages("val", root=root, direction="b-to-a", source_labels=colours)[0]["source"]
    assert labels.shape == (12, 256, 256)
    assert labels.sum(0).unique().tolist() == [1]
    assert int(labels.flatten(1).any(1).sum()) >= 6


def test_loose_pictures_are_cut_in_half_where_that_is_asked_for_or_fits(tmp_path: Path) -> None:
    pair(tmp_path / "fits/train/1.png", size=(12, 6))
    assert PairedImages("train", root=tmp_path / "fits").spec.source == ImageSpec(3, 6, 6)
    pair(tmp_path / "photos/train/1.png", size=(8, 6))
    with pytest.raises(DataError, match="side-by-side"):
        PairedImages("train", root=tmp_path / "photos")
    assert PairedImages("train", root=tmp_path / "photos", size=(6, 4)).spec.source == ImageSpec(3, 6, 4)


def test_groups_and_files_of_other_kinds_are_kept_track_of(tmp_path: Path) -> None:
    for name in ("p1_1", "p1_2", "p2_1", "p2_2"):
        pair(tmp_path / f"{name}.png", size=(12, 6))
    (tmp_path / "p1_1.avif").touch()
    found = {}
    for split in ("train", "val", "test"):
        try:
            data = PairedImages(split, root=tmp_path, splits=(0.4, 0.3, 0.3), group=r"^(p\d)_")
        except MissingSplitError:
            continue
        found[split] = {item["id"] for item in data}
        assert data.notes == ("1 file of another kind: .avif 1; these are left out",)
    assert sorted(len(ids) for ids in found.values()) in ([2, 2], [4])


# --- what does not fit


def test_files_without_a_partner_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in ("A/1.png", "A/2.png", "B/2.jpg", "B/3.png"):
        single(tmp_path / "train" / name)
    data = PairedImages("train", root=tmp_path)
    assert [item["id"] for item in data] == ["2"]
    assert [(Path(p.file).name, p.message) for p in data.problems] == [
        ("1.png", f"there is no image '1' in {tmp_path / 'train/B'}."),
        ("3.png", f"there is no image '3' in {tmp_path / 'train/A'}."),
    ]


def test_two_files_of_one_stem_are_both_named_and_left_out(tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "2.png"):
        pair(tmp_path / "train" / name)
    data = halves("train", root=tmp_path)
    assert [item["id"] for item in data] == ["2"]
    assert [problem.message for problem in data.problems] == [
        "1.jpg and 1.png have one name, and names tell pairs apart."
    ]


def test_the_first_pair_that_can_be_read_decides(tmp_path: Path) -> None:
    pair(tmp_path / "train/2.png")
    (tmp_path / "train/1.png").write_bytes(b"broken")
    data = halves("train", root=tmp_path)
    assert data.spec.source == ImageSpec(3, 6, 4)
    with pytest.raises(DataError, match=r"1\.png\n  this is not an image"):
        data[0]


def test_when_no_pair_can_be_read_each_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "train" / name).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"1\.png\n(.|\n)*2\.png\n"):
        PairedImages("train", root=tmp_path)


@pytest.mark.parametrize(
    ("source", "target", "fit"),
    [
        ((8, 6), (16, 12), True),
        ((301, 203), (150, 101), True),
        ((301, 203), (151, 102), True),
        ((8, 6), (8, 5), False),
        ((8, 6), (6, 8), False),
        ((256, 256), (255, 256), False),
    ],
)
def test_the_sides_of_a_pair_have_the_same_proportions(
    tmp_path: Path, source: tuple[int, int], target: tuple[int, int], fit: bool
) -> None:
    single(tmp_path / "trainA/1.png", size=source)
    single(tmp_path / "trainB/1.png", size=target)
    data = PairedImages("train", root=tmp_path)
    if fit:
        assert data[0]["target"].shape[1:] == target[::-1]
    else:
        with pytest.raises(DataError, match=r"trainB.1\.png\n  the source is \d+x\d+ pixels and the target"):
            data[0]


def test_stacked_sources_have_one_size(tmp_path: Path) -> None:
    single(tmp_path / "a/1.png")
    single(tmp_path / "b/1.png", size=(4, 3))
    single(tmp_path / "c/1.png")
    data = PairedImages("train", root=tmp_path, source=("a", "b"), target="c", splits=(1.0, 0.0, 0.0))
    with pytest.raises(DataError, match=r"b.1\.png\n  it is 4x3 pixels, and 1\.png.* 8x6"):
        data[0]


def test_an_odd_width_is_named(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", size=(7, 6))
    with pytest.raises(DataError, match=r"2\.png\n  an image 7 pixels wide"):
        halves("train", root=tmp_path)[1]


@pytest.mark.parametrize(("mode", "value"), [("L", 3), ("RGBA", (1, 2, 3, 4)), ("I;16", 900)])
def test_a_file_of_another_kind_is_named_with_one_of_the_usual(tmp_path: Path, mode: str, value: Any) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", mode=mode, left=value, right=value)
    with pytest.raises(DataError, match=r"2\.png\n  the source has .* most have 3 of uint8, like 1\.png"):
        halves("train", root=tmp_path)[1]


def elevation(path: Path, *odd: float, high: float = 90.0) -> None:
    """Write a float32 array (6,8) from 10 to `high`, with some odd values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.linspace(10.0, high, 48, dtype=np.float32)
    values[1 : 1 + len(odd)] = odd
    np.save(path, values.reshape(6, 8))


def elevations(tmp_path: Path, *odd: float, **parameters: Any) -> torch.Tensor:
    """Return the target of the second of two pairs, which has some odd values."""
    for number in (1, 2):
        single(tmp_path / f"trainA/{number}.png")
        elevation(tmp_path / f"trainB/{number}.npy", *(odd if number == 2 else ()))
    data = PairedImages("train", root=tmp_path, target_range=(0.0, 100.0), **parameters)
    target: torch.Tensor = data[1]["target"]
    return target


@pytest.mark.parametrize("value", [-9999.0, 120.0, -1e30, 1e38, 3e5])
def test_a_value_outside_of_the_range_is_told_with_its_file_and_the_ways_out(
    tmp_path: Path, value: float
) -> None:
    with pytest.raises(DataError, match=r"2\.npy  data\.target_range\n  it has values from ") as caught:
        elevations(tmp_path, value)
    assert f"data.nodata = {value:g}; widen data.target_range" in str(caught.value)
    assert ("data.clamp = true" in str(caught.value)) == (abs(value) < 1e5)


def test_a_value_for_no_data_becomes_the_lowest_of_the_range(tmp_path: Path) -> None:
    target = elevations(tmp_path, -9999.0, -9999.0, nodata=-9999.0)
    assert target.flatten()[:4].tolist() == pytest.approx([10.0, 0.0, 0.0, 10.0 + 3 * 80 / 47])


@pytest.mark.parametrize("nodata", [-1e30, -3.4028234663852886e38])
def test_a_value_for_no_data_is_compared_as_it_is_stored(tmp_path: Path, nodata: float) -> None:
    assert elevations(tmp_path, float(np.float32(nodata)), nodata=nodata).flatten()[1] == 0.0


def test_what_is_no_number_stands_for_no_data_where_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2\.npy\n  .*not finite \(NaN\): 2 of 48\..*nodata = \"nan\""):
        elevations(tmp_path, np.nan, np.nan)
    assert elevations(tmp_path, np.nan, nodata="nan").flatten()[1] == 0.0
    with pytest.raises(DataError, match=r"2\.npy\n  .*not finite \(NaN or infinity\): 1 of 48"):
        elevations(tmp_path, np.inf, nodata="nan")


def test_values_are_cut_off_where_that_is_said_but_not_what_is_no_measurement(tmp_path: Path) -> None:
    assert elevations(tmp_path, 120.0, -9999.0, clamp=True).flatten()[1:3].tolist() == [100.0, 0.0]
    with pytest.raises(DataError, match="from -1e\\+30 to"):
        elevations(tmp_path, -1e30, clamp=True)


def test_integers_are_cut_off_at_the_range_too(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png", mode="L", left=200, right=3)
    data = halves("train", root=tmp_path, source_range=(4.0, 99.5), target_range=(4.0, 99.5), clamp=True)
    assert data[0]["source"].unique().tolist() == [99]
    assert data[0]["target"].unique().tolist() == [4]
    assert data[0]["target"].dtype == torch.uint8


def test_what_rounding_does_is_not_outside(tmp_path: Path) -> None:
    assert elevations(tmp_path, 100.01, -0.01).flatten()[1:3].tolist() == pytest.approx([100.01, -0.01])


# --- what most are like


def test_the_majority_decides_what_is_right_and_the_odd_ones_are_named(tmp_path: Path) -> None:
    for number in range(6):
        mode, value = ("L", 3) if number in (0, 4) else ("RGB", RED)
        pair(tmp_path / f"train/{number}.png", mode=mode, left=value, right=value)
    data = halves("train", root=tmp_path)
    assert data.spec.source == ImageSpec(3, 6, 4)
    assert data[1]["source"].shape == (3, 6, 4)
    for odd in (0, 4):
        with pytest.raises(DataError, match=rf"{odd}\.png\n.*1 channel.*like 1\.png.*source_channels = 3"):
            data[odd]


def test_the_size_is_that_of_most_pairs(tmp_path: Path) -> None:
    for number, size in enumerate([(20, 10), (8, 6), (8, 6)]):
        pair(tmp_path / f"train/{number}.png", size=size)
    assert halves("train", root=tmp_path).spec.source.size == (6, 4)


def test_floats_without_a_range_are_asked_about_where_most_are_such(tmp_path: Path) -> None:
    for number in range(3):
        single(tmp_path / f"trainA/{number}.png")
        elevation(tmp_path / f"trainB/{number}.npy")
    (tmp_path / "trainB/0.npy").unlink()
    single(tmp_path / "trainB/0.png", mode="L", colour=3)
    with pytest.raises(DataError, match=r"data\.target_range") as caught:
        PairedImages("train", root=tmp_path)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("mode", "value", "channels", "expected"),
    [
        ("L", 7, 3, [7, 7, 7]),
        ("L", 7, 4, [7, 7, 7, 255]),
        ("RGB", RED, 4, [255, 0, 0, 255]),
        ("RGBA", (1, 2, 3, 255), 3, [1, 2, 3]),
        ("RGB", (9, 9, 9), 1, [9]),
    ],
)
def test_channels_are_as_asked_for_where_nothing_is_lost(
    tmp_path: Path, mode: str, value: Any, channels: int, expected: list[int]
) -> None:
    pair(tmp_path / "train/1.png", mode=mode, left=value, right=value)
    data = halves("train", root=tmp_path, source_channels=channels, target_channels=channels)
    assert data.spec.source.channels == data.spec.target.channels == channels
    assert data[0]["source"][:, 0, 0].tolist() == data[0]["target"][:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("mode", "value", "channels", "words"),
    [("RGBA", (1, 2, 3, 4), 3, "its transparency"), ("RGB", RED, 1, "its colours")],
)
def test_channels_that_lose_something_are_refused(
    tmp_path: Path, mode: str, value: Any, channels: int, words: str
) -> None:
    pair(tmp_path / "train/1.png", mode=mode, left=value, right=value)
    with pytest.raises(DataError, match=rf"1\.png\n.*would lose {words}"):
        halves("train", root=tmp_path, source_channels=channels)


def test_reading_goes_on_to_the_first_pair_that_is_sound(tmp_path: Path) -> None:
    for number in range(40):
        pair(tmp_path / f"train/{number}.png")
        if number != 33:
            (tmp_path / f"train/{number}.png").write_bytes(b"")
    data = halves("train", root=tmp_path, splits=(1.0, 0.0, 0.0))
    assert data[33]["source"].shape == (3, 6, 4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("set.zip", "this is an archive.*unpack it"),
        ("one.png", "this is one image.*the folder of the image pairs"),
        ("list.json", "JSON Lines, not JSON.*a .jsonl file"),
    ],
)
def test_a_root_that_is_another_kind_of_file_is_told_what_it_is(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=words):
        PairedImages("train", root=tmp_path / name)


# --- label maps


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        ((0, 255), 2, r"data.target_labels = \[\[0, 0, 0\], \[255, 255, 255\]\]"),
        ((1, 2), 2, "counted from 0: where yours are from 1 on, data.target_labels = 3"),
        ((1, 255), 2, "data.void = 255, data.target_labels = 3"),
    ],
)
def test_the_usual_ways_of_writing_classes_are_told_the_key(
    tmp_path: Path, values: tuple[int, int], labels: int, words: str
) -> None:
    pair(tmp_path / "train/1.png", mode="L", left=0, right=values[0])
    image = Image.open(tmp_path / "train/1.png")
    image.putpixel((7, 0), values[1])
    image.save(tmp_path / "train/1.png")
    with pytest.raises(DataError, match=words):
        halves("train", root=tmp_path, target_labels=labels)[0]


def test_an_index_for_no_class_becomes_the_last_class(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png", mode="L", left=0, right=255)
    data = halves("train", root=tmp_path, target_labels=3, void=255)
    assert data[0]["target"].flatten(1).sum(1).tolist() == [0, 0, 24]


def test_a_mask_of_0_and_255_is_known_by_its_colours(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png", mode="L", left=0, right=255)
    data = halves("train", root=tmp_path, target_labels=((0, 0, 0), (255, 255, 255)))
    assert data[0]["target"].flatten(1).sum(1).tolist() == [0, 24]


def test_a_label_map_that_does_not_fit_is_named(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png", mode="L", left=9, right=1)
    data = halves("train", root=tmp_path, target_labels=2)
    assert data[0]["target"].shape == (2, 6, 4)
    pair(tmp_path / "train/2.png", mode="L", left=9, right=2)
    with pytest.raises(
        DataError, match=r"2\.png\n  this label map has values from 2 to 2; the classes are 0 to 1"
    ):
        halves("train", root=tmp_path, target_labels=2)[1]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"splits": (0.8, 0.1, 0.2)}, "add up to 1"),
        ({"source": "rgb"}, "given together"),
        ({"source": "x", "target": "x"}, "each once"),
        ({"source": "x", "target": "y", "direction": "b-to-a"}, "change places"),
        ({"source": ("x", "y"), "target": "z", "source_labels": 3}, "one label map"),
        ({"source": "{split}x", "target": "y"}, "in each of their names, or in none"),
        ({"source": "x", "target": "y", "layout": "side-by-side"}, "name no halves"),
        ({"group": "(a+)+"}, "repeats what repeats already"),
        ({"target_labels": 1}, "two or more"),
        ({"target_labels": (RED, BLUE, RED)}, "two or more"),
        ({"source_labels": 3, "source_range": (0.0, 1.0)}, "nothing for a label map"),
        ({"target_labels": 3, "target_channels": 3}, "nothing for a label map"),
        ({"source": ("x", "y"), "target": "z", "source_channels": 3}, "is for one file"),
        ({"void": 255}, "an index of label maps"),
        ({"target_range": (1.0, 0.0)}, "from a lower value to a higher"),
        ({"source_range": {"depth": (0.0, 1.0)}}, "names depth; there are A"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        PairedImages("train", root=tmp_path, **parameters)
