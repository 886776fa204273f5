"""The files that a recipe's data name, told from names, sizes and times."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from i2i.bench.data_files import files_digest


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    (tmp_path / "pairs" / "train").mkdir(parents=True)
    (tmp_path / "pairs" / "train" / "1.png").write_bytes(b"one")
    return tmp_path / "pairs"


def table(root: Path) -> dict:
    return {"data": {"use": "core/paired-images", "root": str(root), "splits": [0.8, 0.2]}, "name": "x"}


def test_the_same_files_have_the_same_digest(pairs):
    assert files_digest([table(pairs)]) == files_digest([table(pairs), table(pairs)])


@pytest.mark.parametrize("what", ["size", "time", "name", "more", "fewer"])
def test_other_files_have_another(pairs, what):
    before = files_digest([table(pairs)])
    file = pairs / "train" / "1.png"
    if what == "size":
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_bytes(b"four")
        os.utime(file, ns=times)
    elif what == "time":
        os.utime(file, ns=(0, 0))
    elif what == "name":
        file.rename(file.with_name("2.png"))
    elif what == "more":
        file.with_name("2.png").write_bytes(b"two")
    else:
        file.unlink()
    assert files_digest([table(pairs)]) != before


def test_a_file_in_a_list_counts_and_what_is_no_file_does_not(tmp_path):
    listed = tmp_path / "pairs.csv"
    listed.write_text("a,b")
    found = [
        files_digest([{"data": {"lists": [str(listed)], "note": text}}])
        for text in ("", "no\0file", "x" * 5000)
    ]
    assert len(set(found)) == 1
    listed.write_text("a,b,c")
    assert files_digest([{"data": {"lists": [str(listed)], "note": ""}}]) not in found


def test_a_link_to_nothing_is_passed_over(pairs):
    before = files_digest([table(pairs)])
    (pairs / "train" / "gone.png").symlink_to(pairs / "nowhere")
    assert files_digest([table(pairs)]) == before
