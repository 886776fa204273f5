"""Layouts of pairs on disk: each is found by itself, and what is found instead is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.core.data.layouts import find_layout, list_pairs
from i2i.core.data.records import Listing, SideNames
from i2i.core.data.splits import split_of
from i2i.errors import DataError, MissingSplitError

SHARES = (0.8, 0.1, 0.1)


def files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listed(root: Path, split: str = "train", sides: SideNames | None = None) -> Listing:
    return list_pairs(root, split, sides=sides or SideNames(), shares=SHARES)


def pairs(listing: Listing, root: Path) -> list[tuple[str, ...]]:
    """Return the files of each pair, relative to the root."""
    return [
        tuple(path.relative_to(root).as_posix() for path in (*pair.sources, *filter(None, [pair.target])))
        for pair in listing.pairs
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("trainA/2.jpg", "trainB/2.png", "trainA/10.jpg", "trainB/10.jpg"),
        ("train/A/2.jpg", "train/B/2.png", "train/A/10.jpg", "train/B/10.jpg"),
        ("A/train/2.jpg", "B/train/2.png", "A/train/10.jpg", "B/train/10.jpg"),
    ],
)
def test_folders_for_both_sides_are_found_and_paired_by_stem(tmp_path: Path, names: tuple[str, ...]) -> None:
    listing = listed(files(tmp_path, *names))
    assert pairs(listing, tmp_path) == [names[:2], names[2:]]
    assert [pair.id for pair in listing.pairs] == ["2", "10"]
    assert listing.problems == ()


def test_images_that_hold_both_sides_are_found(tmp_path: Path) -> None:
    listing = listed(files(tmp_path, "train/2.png", "train/10.png", "val/1.png"))
    assert pairs(listing, tmp_path) == [("train/2.png",), ("train/10.png",)]
    assert listing.layout == "A and B side by side in each image; folders train, val, test"


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_the_folder_for_validation_has_several_names(tmp_path: Path, word: str) -> None:
    root = files(tmp_path, "train/1.png", f"{word}/2.png")
    assert pairs(listed(root, "val"), tmp_path) == [(f"{word}/2.png",)]


@pytest.mark.parametrize("both", [True, False])
def test_without_split_folders_names_decide(tmp_path: Path, both: bool) -> None:
    names = [f"{n}.png" for n in range(100)]
    root = files(tmp_path, *([f"{s}/{n}" for n in names for s in "AB"] if both else names))
    found = {split: [pair.id for pair in listed(root, split).pairs] for split in ("train", "val", "test")}
    assert sorted(int(name) for ids in found.values() for name in ids) == list(range(100))
    assert 70 <= len(found["train"]) <= 90
    assert all(split_of(name, SHARES) == split for split, ids in found.items() for name in ids)


def test_more_pairs_move_none_to_another_split(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"{n}.png" for n in range(50)))
    before = {pair.id for pair in listed(root).pairs}
    files(tmp_path, *(f"{n}.png" for n in range(50, 100)))
    assert {pair.id for pair in listed(root).pairs if int(pair.id) < 50} == before


def test_splits_are_the_same_on_every_machine() -> None:
    known = {"cmp_b0001": "train", "1": "train", "2": "val", "ü": "train", "ab": "test", "ac": "test"}
    assert {name: split_of(name, SHARES) for name in known} == known
    whole = {"train": (1.0, 0.0, 0.0), "val": (0.0, 1.0, 0.0), "test": (0.0, 0.0, 1.0)}
    assert {split: split_of("x", shares) for split, shares in whole.items()} == {
        split: split for split in whole
    }


def test_named_folders_take_the_place_of_a_and_b(tmp_path: Path) -> None:
    sides = SideNames(("rgb", "depth"), "normals", named=True)
    root = files(
        tmp_path,
        "train/rgb/1.jpg",
        "train/depth/1.png",
        "train/normals/1.png",
        "train/rgb/2.jpg",
        "val/x.png",
    )
    listing = listed(root, sides=sides)
    assert pairs(listing, tmp_path) == [("train/rgb/1.jpg", "train/depth/1.png", "train/normals/1.png")]
    assert [problem.message for problem in listing.problems] == [
        f"there is no image '2' in {root / 'train/depth'} nor in {root / 'train/normals'}."
    ]


def test_a_problem_belongs_to_the_split_of_its_name(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"{side}/{n}.png" for n in range(60) for side in "AB"))
    files(tmp_path, *(f"A/lonely{n}.png" for n in range(20)))
    found = {split: len(listed(root, split).problems) for split in ("train", "val", "test")}
    assert sum(found.values()) == 20
    assert found["train"] > found["val"] > 0


# --- what does not fit


def test_a_missing_root_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        listed(Path("nowhere"))
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "data.root\n"
        f"  there is no folder or manifest 'nowhere', looked for from {tmp_path}."
        "   (data.root is the folder of the image pairs)"
    )


def test_a_missing_split_says_what_is_there_and_what_to_do(tmp_path: Path) -> None:
    root = files(tmp_path, "trainA/1.png", "trainB/1.png", "testA/1.png", "testB/1.png")
    with pytest.raises(MissingSplitError) as caught:
        listed(root, "val")
    assert str(caught.value) == (
        "data.root\n"
        f"  '{root}' has pairs for train and test, and none for val."
        "   (put some into valA, …, valB; a recipe without [metrics] and [callbacks] needs none)"
    )


def test_a_split_that_no_name_falls_into_says_how_to_get_one(tmp_path: Path) -> None:
    root = files(tmp_path, "1.png")
    with pytest.raises(
        MissingSplitError, match=r"1 pair\(s\), none of which falls into val.*raise the share"
    ):
        listed(root, "val")


def test_nothing_that_looks_like_pairs_says_what_is_there(tmp_path: Path) -> None:
    root = files(tmp_path, "train/input/1.png", "train/target/1.png", "notes/x.txt")
    (root / "train").rename(root / "first")
    with pytest.raises(DataError, match=r"its folders: first \(with input, target\), notes\.") as caught:
        listed(root)
    assert "trainA" in str(caught.value)
    assert "data.source and data.target" in str(caught.value)


def test_an_empty_root_has_no_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its folders: none"):
        listed(tmp_path)


def test_two_layouts_at_once_are_not_chosen_between(tmp_path: Path) -> None:
    root = files(tmp_path, "A/1.png", "B/1.png", "train/1.png")
    with pytest.raises(
        DataError, match=r"more than one way: folders A, B; split by name; or A and B side by"
    ):
        find_layout(root, SideNames())


def test_pictures_beside_the_folders_are_passed_over(tmp_path: Path) -> None:
    root = files(tmp_path, "trainA/1.png", "trainB/1.png", "preview.png")
    assert find_layout(root, SideNames()).title == "folders trainA, …, trainB"


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    root = files(tmp_path, "train/notes.txt", "train/.hidden.png")
    with pytest.raises(DataError, match=r"no images in .*, only 1 file.*looked for .*\.png"):
        listed(root)


def test_an_empty_folder_names_the_folders_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images in .*train, only the folder\(s\) a, b and 0 file"):
        listed(files(tmp_path, "train/a/1.png", "train/b/1.png"))


def test_of_two_folders_for_one_split_none_is_passed_over(tmp_path: Path) -> None:
    root = files(tmp_path, "train/1.png", "val/2.png", "validation/3.png")
    with pytest.raises(DataError, match=r"val and .*validation are both for val"):
        listed(root)


def test_names_are_told_apart_by_case_and_leading_zeros(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"train/{name}.png" for name in ("1", "01", "a", "A")))
    assert [pair.id for pair in listed(root).pairs] == ["01", "1", "A", "a"]
