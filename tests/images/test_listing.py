"""Folders of images as they are listed: names in one form, folders inside folders, files of other kinds."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from i2i.errors import DataError
from i2i.images import by_stem, images_below, other_kinds, other_kinds_told


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_images_below_are_named_by_their_path_in_natural_order(tmp_path: Path) -> None:
    root = files(tmp_path, "b/10.png", "b/2.jpg", "a.png", "b/c/1.tif", ".hidden/1.png", "b/._2.jpg", "x.txt")
    found = images_below(root)
    assert dict(found.files) == {"a": "a.png", "b/2": "b/2.jpg", "b/10": "b/10.png", "b/c/1": "b/c/1.tif"}
    assert found.others == Counter({".txt": 1})
    assert dict(images_below(root, deep=False).files) == {"a": "a.png"}


def test_a_link_that_goes_round_is_not_followed_and_others_are(tmp_path: Path) -> None:
    root = files(tmp_path / "set", "a/1.png")
    files(tmp_path, "elsewhere/2.png")
    (root / "a/up").symlink_to(root)
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    assert list(images_below(root).files) == ["a/1", "b/2", "c/2"]


def test_names_are_composed_and_files_keep_theirs(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "é.png")
    files(tmp_path, decomposed)
    (name,) = by_stem(tmp_path)[0].values()
    assert list(by_stem(tmp_path)[0]) == ["\u00e9"]
    assert (tmp_path / name).is_file()


def test_other_kinds_are_told_by_their_number(tmp_path: Path) -> None:
    assert other_kinds_told(other_kinds(["a.png", "b.GIF", "Thumbs.db"])) == ""
    assert other_kinds_told(other_kinds(["a.avif"])) == "1 file of another kind: .avif 1"
    names = [*["x.avif"] * 4, "y.AVIF", "z.txt", "README"]
    assert (
        other_kinds_told(other_kinds(names)) == "7 files of other kinds: .avif 5, .txt 1, without a suffix 1"
    )
    many = other_kinds(f"x.{letter}" for letter in "abcdefgh")
    assert (
        other_kinds_told(many) == "8 files of other kinds: .a 1, .b 1, .c 1, .d 1, .e 1, .f 1, 2 kinds more"
    )


def test_a_folder_without_images_is_an_error_by_stem_alone(tmp_path: Path) -> None:
    files(tmp_path, "x.txt")
    assert not images_below(tmp_path).files
    with pytest.raises(DataError, match=r"no images in .*only 1 file"):
        by_stem(tmp_path)
