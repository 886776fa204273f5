"""A reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from i2i.errors import ResourceError
from i2i.system.atomic import (
    TEMPORARY,
    cannot_write,
    check_room,
    temporary_folder,
    write_bytes,
    write_text,
)


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


def test_a_file_is_for_whom_the_process_says_also_where_two_threads_write(tmp_path):
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda name: write_text(tmp_path / str(name), "x"), range(400)))
        assert os.umask(0o027) == 0o027
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    finally:
        os.umask(before)


def test_what_stands_in_the_way_is_a_sentence_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"a\.txt cannot be written"):
        write_bytes(tmp_path / "a.txt", b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"b\.txt cannot be written"):
        write_bytes(tmp_path / "file" / "b.txt", b"x")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "file"]


def test_a_full_disk_is_told_with_the_bytes_that_are_needed(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = str(cannot_write(tmp_path / "later" / "a.bin", full, needed=123_456))
    assert message.startswith(f"{tmp_path / 'later' / 'a.bin'} cannot be written: No space left on device")
    assert re.search(r"\(123,456 bytes are needed, [\d,]+ are free\)\.$", message)


def test_room_is_checked_where_it_is_needed(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    check_room(tmp_path / "later", free // 2, what="the run")
    with pytest.raises(
        ResourceError, match=r"the run will take [\d,]+ bytes in .*later, and [\d,]+ are free"
    ) as c:
        check_room(tmp_path / "later", free * 2, what="the run")
    assert c.value.exit_code == 4


def test_a_temporary_folder_stands_where_it_is_asked_for_and_goes(tmp_path):
    with temporary_folder(tmp_path) as folder:
        (folder / "a").write_text("x")
        assert folder.parent == tmp_path
        assert folder.name.startswith(TEMPORARY)
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_temporary_files_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ResourceError, match=r"temporary files \(TMPDIR\) cannot be written: No such file"):
        temporary_folder().__enter__()
