"""Pictures of two kinds from disk: any number of each, drawn in training, the same each time held out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i.core.data.unpaired_images import UnpairedImages
from i2i.errors import DataError, MissingSplitError


def pictures(folder: Path, count: int, *, channel: int = 0, name: str = "", size: tuple[int, int] = (8, 6)):
    """Write `count` pictures, of which number n has the value n + 1 in one channel."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = tuple(number + 1 if place == channel else 0 for place in range(3))
        Image.new("RGB", size, colour).save(folder / f"{name or folder.name}{number}.png")


def as_cyclegan_has_them(root: Path, *, test: tuple[int, int] = (2, 3)) -> Path:
    """Write 20 horses and 30 zebras, and some of each for testing."""
    for name, count, channel in zip(("trainA", "trainB", "testA", "testB"), (20, 30, *test), (0, 2, 0, 2)):
        pictures(root / name, count, channel=channel)
    return root


def values(data: UnpairedImages, index: int) -> tuple[int, int]:
    """Return the number of the source and of the target that an item is made of."""
    item = data[index]
    return int(item["source"].max()) - 1, int(item["target"].max()) - 1


def test_the_layout_of_cyclegan_is_found_and_sides_may_differ_in_number(tmp_path: Path) -> None:
    data = UnpairedImages("train", root=as_cyclegan_has_them(tmp_path), splits=(1, 0, 0))
    assert len(data) == 20
    assert not data.spec.aligned
    assert (data.spec.source.size, data.spec.target.size) == ((6, 8), (6, 8))
    assert data.ids == [f"trainA{number}" for number in range(20)]
    assert data[0]["source"][2].max() == 0, "the source is of A"
    assert data[0]["target"][0].max() == 0, "the target is of B"


def test_in_training_any_target_stands_beside_a_source_drawn_by_the_generator_alone(tmp_path: Path) -> None:
    data = UnpairedImages("train", root=as_cyclegan_has_them(tmp_path), splits=(1, 0, 0))

    def drawn(seed: int) -> int:
        return int(data.draw(4, torch.Generator().manual_seed(seed))["target"].max())

    assert {drawn(seed) for seed in range(400)} == set(range(1, 31))
    assert drawn(7) == drawn(7)
    assert int(data.draw(4, torch.Generator().manual_seed(0))["source"].max()) == 5


def test_held_out_targets_are_the_same_each_time_and_spread_over_the_sources(tmp_path: Path) -> None:
    more_targets = UnpairedImages("test", root=as_cyclegan_has_them(tmp_path / "a", test=(4, 8)))
    assert [values(more_targets, index) for index in range(4)] == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert any("4 sources and 8 targets" in note for note in more_targets.notes)
    fewer_targets = UnpairedImages("test", root=as_cyclegan_has_them(tmp_path / "b", test=(6, 2)))
    assert Counter(values(fewer_targets, index)[1] for index in range(6)) == {0: 3, 1: 3}
    with pytest.raises(IndexError):
        fewer_targets[6]


def test_without_folders_for_val_part_of_train_is_kept_by_names(tmp_path: Path) -> None:
    root = as_cyclegan_has_them(tmp_path)
    train, val = UnpairedImages("train", root=root), UnpairedImages("val", root=root)
    assert len(train) + len(val) == 20
    assert not set(train.ids) & set(val.ids)
    seen = {values(val, index)[1] for index in range(len(val))}
    drawn = {int(train.draw(0, torch.Generator().manual_seed(s))["target"].max()) - 1 for s in range(300)}
    assert not seen & drawn, "a target that is held out is never trained on"
    assert any("kept for it" in note for note in val.notes)


def test_any_two_folders_are_taken_by_their_names(tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 40)
    pictures(tmp_path / "elsewhere/paintings", 30, channel=1)
    below = UnpairedImages("train", root=tmp_path, source="photos", target="elsewhere/paintings")
    absolute = UnpairedImages(
        "train", source=str(tmp_path / "photos"), target=str(tmp_path / "elsewhere/paintings")
    )
    assert below.ids == absolute.ids
    assert torch.equal(below[3]["target"], absolute[3]["target"])


def test_the_other_way_round_sources_are_of_b(tmp_path: Path) -> None:
    data = UnpairedImages("test", root=as_cyclegan_has_them(tmp_path), direction="b-to-a")
    assert data.ids == ["testB0", "testB1", "testB2"]


def test_pictures_whose_names_are_alike_are_said_to_look_like_pairs(tmp_path: Path) -> None:
    for name in ("trainA", "trainB"):
        pictures(tmp_path / name, 12, name="scene")
    notes = UnpairedImages("train", root=tmp_path).notes
    assert any("12 of 12 names are those of a picture on either side" in note for note in notes)
    others = UnpairedImages("test", root=as_cyclegan_has_them(tmp_path / "others")).notes
    assert not any("pairs" in note for note in others)


def test_sides_of_different_sizes_come_as_they_are(tmp_path: Path) -> None:
    pictures(tmp_path / "testA", 3, size=(8, 6))
    pictures(tmp_path / "testB", 3, size=(10, 12))
    data = UnpairedImages("test", root=tmp_path, size=(4, 4))
    item = data[0]
    assert (item["source"].shape, item["target"].shape) == ((3, 6, 8), (3, 12, 10))
    assert data.spec.source.size == data.spec.target.size == (4, 4)


def broken(tmp_path: Path, what: str) -> dict[str, object]:
    """Return the parameters of data in which something is wrong."""
    root = tmp_path / "root"
    pictures(root / "photos", 20)
    (root / "empty").mkdir()
    names = {
        "missing": ("photos", "nowhere"),
        "both missing": ("here", "nowhere"),
        "empty": ("photos", "empty"),
        "same": ("photos", "photos"),
        "same by another name": ("photos", "empty/../photos"),
    }
    if what == "no root":
        return {"root": root / "gone"}
    source, target = names[what]
    return {"root": root, "source": source, "target": target}


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no root", "there is no folder"),
        ("missing", r"photos is there, and no .*nowhere"),
        ("both missing", "has no folder for each side; its folders: empty, photos"),
        ("empty", "no image"),
        ("same", "is the folder of both sides"),
        ("same by another name", "is the folder of both sides"),
    ],
)
def test_folders_that_cannot_be_read_as_two_kinds_are_refused(tmp_path: Path, what: str, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        UnpairedImages("train", **broken(tmp_path, what))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0].message


def test_a_side_of_test_that_is_missing_or_not_there_at_all_is_a_missing_split(tmp_path: Path) -> None:
    pictures(tmp_path / "trainA", 20)
    pictures(tmp_path / "trainB", 20)
    with pytest.raises(MissingSplitError, match="has pictures for train, and none for test"):
        UnpairedImages("test", root=tmp_path)
    pictures(tmp_path / "testA", 2)
    with pytest.raises(MissingSplitError, match=r"testA is there, and no .*testB"):
        UnpairedImages("test", root=tmp_path)


def test_two_ways_to_read_a_folder_are_both_told(tmp_path: Path) -> None:
    for name in ("A", "B", "trainA", "trainB"):
        pictures(tmp_path / name, 3)
    with pytest.raises(DataError, match=r"more than one way: .*trainA.*; or folders A, B"):
        UnpairedImages("train", root=tmp_path)
