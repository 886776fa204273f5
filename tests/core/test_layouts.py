"""Layouts of pairs on disk: each is found by itself, and what is found instead is said."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from i2i.core.data.layouts import find_layout, list_pairs
from i2i.core.data.records import Listing, SideNames
from i2i.core.data.splits import ByName, split_of
from i2i.errors import DataError, MissingSplitError

SHARES = (0.8, 0.1, 0.1)


def files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listed(
    root: Path,
    split: str = "train",
    sides: SideNames | None = None,
    *,
    splits: tuple[float, float, float] = SHARES,
    group: str | None = None,
    **asked: Any,
) -> Listing:
    by_name = ByName(splits, re.compile(group) if group else None)
    return list_pairs(root, split, sides=sides or SideNames(), by_name=by_name, **asked)


def pairs(listing: Listing, root: Path) -> list[tuple[str, ...]]:
    """Return the files of each pair, relative to the root."""
    return [tuple(path.relative_to(root).as_posix() for path in pair.files) for pair in listing.pairs]


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
    sides = SideNames(("rgb", "depth"), ("normals",), named=True)
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
        listed(root, "val", splits=(1.0, 0.0, 0.0))
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
        DataError,
        match=r"more than one way: folders A, B; split by name: 1 pair; or A and B side by .*: 1 pair in "
        r'train \(layout = "side-by-side"\)',
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
    with pytest.raises(DataError, match=r"no images in .*train, only the folders x, y\."):
        listed(files(tmp_path, "train/x/1.txt", "train/y/1.txt"))


def test_of_two_folders_for_one_split_none_is_passed_over(tmp_path: Path) -> None:
    root = files(tmp_path, "train/1.png", "val/2.png", "validation/3.png")
    with pytest.raises(DataError, match=r"val and .*validation are both for val"):
        listed(root)


def test_names_are_told_apart_by_case_and_leading_zeros(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"train/{name}.png" for name in ("1", "01", "a", "A")))
    assert [pair.id for pair in listed(root).pairs] == ["01", "1", "A", "a"]


# --- more layouts: other words, names that say the side, folders inside folders


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("train_A/1.png", "train_B/1.png"),
        ("train-A/1.png", "train-B/1.png"),
        ("train_label/1.png", "train_img/1.png"),
        ("train/input/1.png", "train/target/1.png"),
        ("train/inputs/1.png", "train/targets/1.png"),
        ("source/train/1.png", "target/train/1.png"),
        ("Train/A/1.png", "Train/B/1.png"),
        ("a/train/1.png", "b/train/1.png"),
        ("TrainA/1.png", "trainB/1.png"),
        ("train/A/aachen/1.png", "train/B/aachen/1.jpg"),
        ("train/A/1_A.png", "train/B/1_B.png"),
        ("train/1_input.png", "train/1_target.png"),
        ("train/x/1-A.png", "train/x/1-B.jpg"),
        ("train/input_1.png", "train/Target_1.png"),
    ],
)
def test_layouts_of_other_programs_are_read(tmp_path: Path, source: str, target: str) -> None:
    root = files(tmp_path, source, target)
    assert pairs(listed(root, splits=(1.0, 0.0, 0.0)), root) == [(source, target)]


def test_folders_for_both_sides_without_splits_have_other_words_too(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"{side}/{n}.png" for n in range(30) for side in ("input", "target")))
    listing = listed(root)
    assert listing.layout == "folders input, target; split by name"
    assert [pair.id for pair in listing.pairs] == [
        str(n) for n in range(30) if split_of(str(n), SHARES) == "train"
    ]


def test_pairs_in_folders_inside_folders_are_told_by_their_path(tmp_path: Path) -> None:
    names = [f"{city}/{n}.png" for city in ("aachen", "bochum") for n in (2, 10)]
    root = files(tmp_path, *(f"train/{side}/{name}" for side in "AB" for name in names), "train/A/bonn/2.png")
    listing = listed(root, splits=(1.0, 0.0, 0.0))
    assert [pair.id for pair in listing.pairs] == ["aachen/2", "aachen/10", "bochum/2", "bochum/10"]
    assert [problem.message for problem in listing.problems] == [
        f"there is no image 'bonn/2' in {root / 'train/B'}."
    ]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root = files(tmp_path / "set", "train/A/1.png", "train/B/1.png", "train/B/x/2.png")
    files(tmp_path, "elsewhere/2.png")
    (root / "train/A/x").symlink_to(tmp_path / "elsewhere")
    (root / "train/A/around").symlink_to(root / "train/A")
    assert [pair.id for pair in listed(root, splits=(1.0, 0.0, 0.0)).pairs] == ["1", "x/2"]


def test_a_pattern_with_the_split_in_it_names_any_folders(tmp_path: Path) -> None:
    names = ("train/1.png", "trainannot/1.png", "valid/2.png", "validannot/2.png")
    root = files(tmp_path, *names)
    sides = SideNames(("{split}",), ("{split}annot",), named=True)
    assert pairs(listed(root, sides=sides), root) == [names[:2]]
    assert pairs(listed(root, "val", sides=sides), root) == [names[2:]]
    assert listed(root, sides=sides).layout == "folders train, …, trainannot"


def test_named_ends_tell_the_sides_of_loose_files(tmp_path: Path) -> None:
    names = ("1_rgb.png", "1_depth.png", "1_normals.png")
    root = files(tmp_path, *names)
    sides = SideNames(("rgb", "depth"), ("normals",), named=True)
    assert pairs(listed(root, sides=sides, splits=(1.0, 0.0, 0.0)), root) == [names]


def test_of_names_that_pair_up_the_others_are_problems(tmp_path: Path) -> None:
    root = files(tmp_path, "1_A.png", "1_B.png", "2_A.png", "2_B.png", "3_A.png", "notes.png", "A_2.png")
    listing = listed(root, way="name-endings", splits=(1.0, 0.0, 0.0))
    assert [pair.id for pair in listing.pairs] == ["1", "2"]
    assert {Path(problem.file).name: problem.message for problem in listing.problems} == {
        "A_2.png": "2_A.png and A_2.png are both the A of '2'.",
        "3_A.png": "there is no image '3' for B.",
        "notes.png": "its name ends in none of _A, _B.",
    }


@pytest.mark.parametrize(
    ("a", "b", "hint"),
    [
        ("001", "1", "in the zeros before a number"),
        ("IMG", "img", "in capital letters"),
        ("x", "y", "never made by"),
    ],
)
def test_sides_without_a_common_name_say_so_once_and_why(tmp_path: Path, a: str, b: str, hint: str) -> None:
    root = files(
        tmp_path, *(f"trainA/{a}{n}.png" for n in range(5)), *(f"trainB/{b}{n}.png" for n in range(5))
    )
    with pytest.raises(
        DataError, match=f"no name is the same among the 5 in .*trainA and the 5 in .*{hint}"
    ) as caught:
        listed(root)
    assert len(caught.value.problems) == 1


# --- loose pictures are not cut in half by guess


def pictures(root: Path, *names: str, size: tuple[int, int]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(root / name)
    return root


@pytest.mark.parametrize(
    ("picture", "size", "taken"),
    [
        ((16, 8), None, True),
        ((16, 8), (64, 64), True),
        ((17, 8), None, True),
        ((8, 8), None, False),
        ((12, 9), None, False),
        ((12, 8), (256, 256), False),
        ((32, 18), (256, 256), False),
        ((40, 10), None, False),
        ((40, 10), (64, 128), True),
        ((12, 9), (384, 256), True),
        ((16, 8), (64, 128), False),
    ],
)
def test_halves_have_the_proportions_that_are_asked_for(
    tmp_path: Path, picture: tuple[int, int], size: tuple[int, int] | None, taken: bool
) -> None:
    root = pictures(tmp_path, "train/a.png", "train/b.png", size=picture)
    if taken:
        assert len(listed(root, splits=(1.0, 0.0, 0.0), size=size).pairs) == 2
        return
    width, height = picture
    with pytest.raises(DataError, match=r'layout = "side-by-side"') as caught:
        listed(root, size=size)
    assert f"holds 2 pictures of {width}x{height} and does not say how" in str(caught.value)
    assert f"their halves would be {width // 2}x{height}" in str(caught.value)
    assert len(listed(root, splits=(1.0, 0.0, 0.0), size=size, way="side-by-side").pairs) == 2


def test_names_that_pair_up_are_pairs_unless_halves_fit_too(tmp_path: Path) -> None:
    names = [f"{n}_{side}.png" for n in range(3) for side in ("input", "target")]
    square = pictures(tmp_path / "square", *names, size=(8, 8))
    listing = listed(square, splits=(1.0, 0.0, 0.0))
    assert listing.layout == "names that end in _input, …, _target; split by name"
    assert [pair.id for pair in listing.pairs] == ["0", "1", "2"]
    wide = pictures(tmp_path / "wide", *names, size=(16, 8))
    words = r'_target; .*: 3 pairs \(layout = "name-endings"\); or .*: 6 pairs \(layout = "side-by-side"\)'
    with pytest.raises(DataError, match=words):
        listed(wide)
    assert len(listed(wide, way="name-endings", splits=(1.0, 0.0, 0.0)).pairs) == 3


@pytest.mark.parametrize("size", [(16, 8), (8, 8)])
def test_a_folder_beside_with_the_same_names_makes_halves_doubtful(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    names = [
        f"{folder}/{split}{n}.png"
        for n in range(3)
        for split in ("train",)
        for folder in ("train", "trainannot")
    ]
    root = pictures(tmp_path, *names, "val/1.png", "valannot/1.png", size=size)
    with pytest.raises(
        DataError, match=r'source = "\{split\}", target = "\{split\}annot".*or A and B side by side'
    ):
        listed(root)
    assert len(listed(root, way="side-by-side", splits=(1.0, 0.0, 0.0)).pairs) == 3


def test_two_folders_of_the_same_names_inside_one_make_halves_doubtful(tmp_path: Path) -> None:
    root = pictures(tmp_path, "train/photo/1.png", "train/sketch/1.png", size=(16, 8))
    with pytest.raises(DataError, match=r'source = "\{split\}/photo", target = "\{split\}/sketch"'):
        listed(root)


@pytest.mark.parametrize(
    ("names", "size", "doubted"), [("street-{}", (16, 8), True), ("{}", (16, 8), False), ("{}", (8, 8), True)]
)
def test_a_folder_beside_the_root_is_named(
    tmp_path: Path, names: str, size: tuple[int, int], doubted: bool
) -> None:
    for folder in ("images", "masks"):
        pictures(tmp_path, *(f"{folder}/{names.format(n)}.png" for n in range(12)), size=size)
    if doubted:
        with pytest.raises(DataError, match=r'root = ".*", source = "images", target = "masks"'):
            listed(tmp_path / "images")
    else:
        assert listed(tmp_path / "images").pairs


# --- one name, whatever its Unicode form


def test_composed_and_decomposed_names_are_one(tmp_path: Path) -> None:
    a, b = (unicodedata.normalize(form, "Zürich") for form in ("NFC", "NFD"))
    root = files(tmp_path, f"train/A/{a}.png", f"train/B/{b}.png")
    (pair,) = listed(root, splits=(1.0, 0.0, 0.0)).pairs
    assert (pair.id, *(path.stem for path in pair.files)) == (a, a, b)


def test_two_files_that_are_one_name_are_a_problem_that_shows_both(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    root = files(tmp_path, "train/A/1.png", "train/B/1.png", *(f"train/A/{name}.png" for name in forms))
    if len(list((root / "train/A").iterdir())) < 3:
        pytest.skip("this file system has one form of names")
    (problem,) = listed(root, splits=(1.0, 0.0, 0.0)).problems
    assert problem.message.startswith("'cafe\\u0301.png' and 'caf\\xe9.png' are one name")


# --- files of other kinds


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    names = ("1.png", "2.jfif", "3.gif", "4.tga", "5.avif", "6.avif", "7.txt", "Thumbs.db", ".8.avif", "9")
    root = files(tmp_path, *(f"train/{side}/{name}" for side in "AB" for name in names))
    listing = listed(root, splits=(1.0, 0.0, 0.0))
    assert [pair.id for pair in listing.pairs] == ["1", "2", "3", "4"]
    assert listing.notes == (
        "8 files of other kinds: .avif 4, .txt 2, without a suffix 2; these are left out",
    )


# --- splits


def test_without_a_folder_for_val_part_of_train_is_kept_for_it_by_name(tmp_path: Path) -> None:
    root = files(tmp_path, *(f"train{side}/{n}.png" for side in "AB" for n in range(100)))
    train, val = listed(root), listed(root, "val")
    held_out = {pair.id for pair in val.pairs}
    assert held_out | {pair.id for pair in train.pairs} == {str(n) for n in range(100)}
    assert held_out == {str(n) for n in range(100) if split_of(str(n), (8 / 9, 1 / 9, 0.0)) == "val"}
    assert not held_out & {pair.id for pair in train.pairs}
    words = f"there is no folder for val: {len(held_out)} of the 100 pairs of train are kept for it"
    assert all(listing.notes[0].startswith(words) for listing in (train, val))
    assert len(listed(root, splits=(1.0, 0.0, 0.0)).pairs) == 100
    with pytest.raises(MissingSplitError, match="pairs for train, and none for test"):
        listed(root, "test")


def test_a_folder_for_val_with_one_side_alone_is_named(tmp_path: Path) -> None:
    root = files(tmp_path, "train/A/1.png", "train/B/1.png", "val/A/2.png")
    with pytest.raises(DataError, match=r"val is incomplete: .*val.A is there, and no .*val.B\.") as caught:
        listed(root, "val")
    assert not isinstance(caught.value, MissingSplitError)
    assert len(listed(root).pairs) == 1


def test_sources_to_test_without_targets_are_to_be_translated(tmp_path: Path) -> None:
    root = files(tmp_path, "train/A/1.png", "train/B/1.png", "test/A/2.png")
    with pytest.raises(MissingSplitError, match=r"no .*test.B\. .*i2i translate MODEL .*test.A OUT"):
        listed(root, "test")


def test_half_a_layout_is_said_where_there_is_no_other(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image pairs .*: .*input is there, and no .*target"):
        listed(files(tmp_path, "input/1.png", "output/1.png"))


def test_a_group_stays_in_one_split(tmp_path: Path) -> None:
    root = files(
        tmp_path, *(f"{side}/p{who}_{n}.png" for side in "AB" for who in range(40) for n in range(3))
    )
    found = {split: listed(root, split, group=r"^(p\d+)_").pairs for split in ("train", "val", "test")}
    people = {split: {pair.id.split("_")[0] for pair in chosen} for split, chosen in found.items()}
    assert sum(map(len, people.values())) == len(set.union(*people.values())) == 40
    assert people["val"] == {f"p{who}" for who in range(40) if split_of(f"p{who}", SHARES) == "val"}
