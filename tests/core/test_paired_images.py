"""Pairs side by side on disk: order, halves, and what is said when a folder does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from i2i.core.data.paired_images import PairedImages
from i2i.errors import DataError
from i2i.kinds import Data, ImageSpec, PairSpec

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pair(
    path: Path, *, mode: str = "RGB", size: tuple[int, int] = (8, 6), left: Any = RED, right: Any = BLUE
) -> None:
    """Write one image of `size` (width, height) with `left` and `right` in its halves."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, size[0], size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def test_left_is_the_source_of_a_to_b(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    item = PairedImages("train", root=tmp_path)[0]
    assert item["source"].shape == item["target"].shape == (3, 6, 4)
    assert item["source"].flatten(1).unique(dim=1).tolist() == [[255], [0], [0]]
    assert item["target"].flatten(1).unique(dim=1).tolist() == [[0], [0], [255]]
    assert item["id"] == "1"


def test_b_to_a_swaps_the_halves(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    there = PairedImages("train", root=tmp_path)[0]
    back = PairedImages("train", root=tmp_path, direction="b-to-a")[0]
    assert torch.equal(there["source"], back["target"])
    assert torch.equal(there["target"], back["source"])


def test_the_spec_is_that_of_the_first_pair(tmp_path: Path) -> None:
    pair(tmp_path / "val/1.png")
    pair(tmp_path / "val/2.png", size=(20, 10))
    side = ImageSpec(3, 6, 4)
    assert PairedImages("val", root=tmp_path).spec == PairSpec(side, side)


@pytest.mark.parametrize(("size", "height", "width"), [(32, 32, 32), ((16, 48), 16, 48)])
def test_size_changes_the_spec_and_not_the_items(tmp_path: Path, size: Any, height: int, width: int) -> None:
    pair(tmp_path / "train/1.png")
    data = PairedImages("train", root=tmp_path, size=size)
    assert data.spec.source == data.spec.target == ImageSpec(3, height, width)
    assert data[0]["source"].shape == (3, 6, 4)


def test_items_keep_their_own_size(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", size=(20, 10))
    assert [
        item["target"].shape for item in map(PairedImages("train", root=tmp_path).__getitem__, (0, 1))
    ] == [
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
    data = PairedImages("train", root=tmp_path)
    assert isinstance(data, Data)
    assert len(data) == 3
    assert [item["id"] for item in data] == ["a", "b", "c"]


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.jpg", "x1.png", "x01.png", "1.PNG", "a2b10.png", "a2b9.png"):
        pair(tmp_path / "train" / name)
    ids = [item["id"] for item in PairedImages("train", root=tmp_path)]
    assert ids == ["1", "2", "10", "a2b9", "a2b10", "x01", "x1"]


def test_hidden_files_other_kinds_and_folders_are_passed_over(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/.2.png")
    for name in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (tmp_path / "train" / name).touch()
    (tmp_path / "train/3.png").mkdir()
    assert len(PairedImages("train", root=tmp_path)) == 1


def test_only_the_first_file_is_opened_at_the_start(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    (tmp_path / "train/2.png").write_bytes(b"broken")
    data = PairedImages("train", root=tmp_path)
    with pytest.raises(DataError, match=r"2\.png"):
        data[1]


def test_root_is_relative_to_the_working_directory_and_knows_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(tmp_path / "set/train/1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(PairedImages("train", root=Path("set"))) == len(PairedImages("train", root=Path("~/set"))) == 1


# --- what does not fit


def test_a_missing_root_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        PairedImages("train", root=Path("nowhere"))
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "data.root\n"
        f"  there is no folder 'nowhere', looked for from {tmp_path}."
        "   (data.root is the folder that holds train, val and test)"
    )


def test_a_missing_split_says_what_is_there_and_what_to_do(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "test/1.png")
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DataError) as caught:
        PairedImages("val", root=tmp_path)
    assert str(caught.value) == (
        "data.root\n"
        f"  '{tmp_path}' has no folder 'val'; its folders: test, train."
        f"   (put the pairs for 'val' into {tmp_path / 'val'})"
    )


def test_a_root_without_folders_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its folders: none"):
        PairedImages("train", root=tmp_path)


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/notes.txt").touch()
    with pytest.raises(DataError, match=r"no images in .*, only 1 file.*looked for .*\.png"):
        PairedImages("train", root=tmp_path)


def test_two_files_of_one_stem_are_both_named(tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "2.png"):
        pair(tmp_path / "train" / name)
    with pytest.raises(DataError, match=r"1\.jpg and 1\.png in"):
        PairedImages("train", root=tmp_path)


def test_an_odd_width_is_named(tmp_path: Path) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", size=(7, 6))
    with pytest.raises(DataError, match=r"2\.png\n  an image 7 pixels wide"):
        PairedImages("train", root=tmp_path)[1]


@pytest.mark.parametrize(("mode", "value"), [("L", 3), ("RGBA", (1, 2, 3, 4)), ("I;16", 900)])
def test_a_file_of_another_kind_is_named_with_the_first(tmp_path: Path, mode: str, value: Any) -> None:
    pair(tmp_path / "train/1.png")
    pair(tmp_path / "train/2.png", mode=mode, left=value, right=value)
    with pytest.raises(
        DataError, match=r"2\.png\n  this image has .* the first of its folder, 1\.png, has 3"
    ):
        PairedImages("train", root=tmp_path)[1]
