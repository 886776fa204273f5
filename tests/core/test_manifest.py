"""Pairs from a list: paths relative to it, splits by column or by id, and rows that name nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i.core.data.layouts import list_pairs
from i2i.core.data.records import Listing, SideNames
from i2i.core.data.splits import ByName, split_of
from i2i.errors import DataError, MissingSplitError

SHARES = (0.8, 0.1, 0.1)


def write(root: Path, text: str, name: str = "manifest.csv") -> Path:
    """Write a manifest, and an empty file for each image that it might name."""
    for image in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "c/1.png"):
        (root / image).parent.mkdir(exist_ok=True)
        (root / image).touch()
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def listed(root: Path, split: str = "train", sides: SideNames | None = None) -> Listing:
    return list_pairs(root, split, sides=sides or SideNames(), by_name=ByName(SHARES))


CSV = "source,target,split\na/1.png,b/1.png,train\na/2.png,b/2.png,val\n"
JSONL = (
    '{"source": "a/1.png", "target": "b/1.png", "split": "train"}\n\n'
    '{"source": "a/2.png", "target": "b/2.png", "split": "validation"}\n'
)


@pytest.mark.parametrize(("name", "text"), [("manifest.csv", CSV), ("manifest.jsonl", JSONL), ("x.csv", CSV)])
@pytest.mark.parametrize("by_folder", [True, False])
def test_a_list_is_read_with_its_splits(tmp_path: Path, name: str, text: str, by_folder: bool) -> None:
    path = write(tmp_path, text, name)
    if by_folder and name == "x.csv":
        pytest.skip("only a manifest is found by itself")
    root = tmp_path if by_folder else path
    for split, stem in (("train", "1"), ("val", "2")):
        (pair,) = listed(root, split).pairs
        assert pair.files == (tmp_path / f"a/{stem}.png", tmp_path / f"b/{stem}.png")
        assert pair.id == f"a/{stem}"


def test_without_a_split_the_id_decides(tmp_path: Path) -> None:
    rows = "".join(f"a/1.png,b/1.png,{n}\n" for n in range(100))
    path = write(tmp_path, "source,target,id\n" + rows)
    for split in ("train", "val", "test"):
        ids = [pair.id for pair in listed(path, split).pairs]
        assert ids == [str(n) for n in range(100) if split_of(str(n), SHARES) == split]


def test_named_columns_are_stacked(tmp_path: Path) -> None:
    path = write(tmp_path, "rgb,depth,out,split\na/1.png,b/1.png,c/1.png,train\n")
    (pair,) = listed(path, sides=SideNames(("rgb", "depth"), ("out",), named=True)).pairs
    assert pair.files == (tmp_path / "a/1.png", tmp_path / "b/1.png", tmp_path / "c/1.png")


def test_a_byte_order_mark_and_spaces_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffsource, target, split\n a/1.png , b/1.png, train\n")
    assert len(listed(path).pairs) == 1


def test_each_bad_row_is_listed_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "source,target,split\n"
        "a/1.png,b/1.png,train\n"
        "a/9.png,b/9.png,train\n"
        ",b/2.png,train\n"
        "a/1.png,b/2.png,train\n"
        "a/2.png,b/2.png,tarin\n",
    )
    listing = listed(path)
    assert [pair.id for pair in listing.pairs] == ["a/1"]
    assert [(problem.line, problem.message) for problem in listing.problems] == [
        (3, f"there is no file {tmp_path / 'a/9.png'} and no file {tmp_path / 'b/9.png'}."),
        (4, "this row names no source; its columns: source, target, split."),
        (5, "the id 'a/1' is that of line 2 too."),
        (6, "'tarin' is no split: there are train, val and test."),
    ]


def test_a_name_that_no_file_can_have_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("x" * 2000 + ".png", "x\0.png"):
        listing = listed(write(tmp_path, f"source,target,split\n{name},b/1.png,train\n"))
        assert [problem.message[:16] for problem in listing.problems] == ["there is no file"]


def test_a_split_without_rows_says_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, CSV)
    with pytest.raises(MissingSplitError, match="no pair for test; it has 1 for train, 1 for val"):
        listed(path, "test")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("manifest.csv", "", "has no rows"),
        ("manifest.csv", "Source,b\nx.png,y.png\n", "no column source and no column target; it has S"),
        ("manifest.csv", "source;target\nx.png;y.png\n", "no column source and .+told apart by commas"),
        ("manifest.jsonl", "[1]\n", "line 1 is no object"),
        ("manifest.jsonl", "{'a': 1}\n", "cannot be read"),
        ("manifest.jsonl", "[" * 100_000, "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        listed(write(tmp_path, text, name))


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"manifest\.csv\n  the manifest cannot be read"):
        listed(tmp_path)


def test_of_two_manifests_one_must_be_meant(tmp_path: Path) -> None:
    write(tmp_path, CSV)
    write(tmp_path, JSONL, "manifest.jsonl")
    with pytest.raises(DataError, match=r"holds manifest\.csv and manifest\.jsonl"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pairs.zip", "this is an archive. .*unpack it"),
        ("pairs.tar.gz", "this is an archive"),
        ("one.png", "this is one image. .*folder of the image pairs"),
        ("pairs.json", r"JSON Lines, not JSON. .*\.jsonl"),
        ("mine.toml", "this is a recipe"),
    ],
)
def test_a_root_of_another_kind_says_what_to_give_instead(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=words):
        listed(tmp_path / name)


def test_where_no_row_is_for_val_some_of_train_are_kept_for_it_by_their_ids(tmp_path: Path) -> None:
    rows = "".join(f"a/1.png,b/1.png,{n},{'test' if n < 10 else 'train'}\n" for n in range(60))
    path = write(tmp_path, "source,target,id,split\n" + rows)
    train, val, test = (listed(path, split) for split in ("train", "val", "test"))
    held_out = {pair.id for pair in val.pairs}
    assert held_out == {str(n) for n in range(10, 60) if split_of(str(n), (8 / 9, 1 / 9, 0.0)) == "val"}
    assert {pair.id for pair in train.pairs} == {str(n) for n in range(10, 60)} - held_out
    assert len(test.pairs) == 10
    assert val.notes[0].startswith(
        f"no row is for val: {len(held_out)} of the 50 pairs of train are kept for it"
    )
    assert test.notes == ()
