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
from i2i.data.stream import as_pair
from i2i.errors import DataError, MissingSplitError
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


def test_only_the_first_file_is_opened_at_the_start(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    (tmp_path / "train/2.png").write_bytes(b"broken")
    data = halves("train", root=tmp_path)
    with pytest.raises(DataError, match=r"2\.png"):
        data[1]


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
def test_a_file_of_another_kind_is_named_with_the_first(tmp_path: Path, mode: str, value: Any) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", mode=mode, left=value, right=value)
    with pytest.raises(
        DataError, match=r"2\.png\n  the source has .* that of the first pair, 1\.png, has 3 of uint8"
    ):
        halves("train", root=tmp_path)[1]


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
        ({"target_range": (1.0, 0.0)}, "from a lower value to a higher"),
        ({"source_range": {"depth": (0.0, 1.0)}}, "names depth; there are A"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        PairedImages("train", root=tmp_path, **parameters)
