"""A reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import pytest

from i2i.errors import ResourceError
from i2i.system.atomic import write_bytes, write_text


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    write_text(path, "neü", durable=True)
    assert path.read_text(encoding="utf-8") == "neü"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_what_stands_in_the_way_is_a_sentence_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"a\.txt cannot be written"):
        write_bytes(tmp_path / "a.txt", b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"b\.txt cannot be written"):
        write_bytes(tmp_path / "file" / "b.txt", b"x")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "file"]
