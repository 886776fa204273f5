"""The names of a run's pictures, and who may write into a run's folder."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from i2i import run
from i2i.errors import RecipeError
from i2i.runs.folder import file_name_of


def test_a_plain_id_is_its_pictures_name():
    assert [file_name_of(name) for name in ("0001", "1F600", "val-3_b.crop")] == [
        "0001",
        "1F600",
        "val-3_b.crop",
    ]


@pytest.mark.parametrize(
    "ids",
    [
        ("scan/1", "scan_1", "scan 1", "scan\\1"),
        (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "e"),
        ("a" * 300, "a" * 299 + "b"),
        ("ü" * 200, "ü" * 201),
        ("..", ".", "...", ""),
        ("x\udcff", "x\udcfe"),
        ("日本/1", "日本 1"),
    ],
    ids=lambda ids: ascii(ids[0])[:12],
)
def test_ids_that_would_share_a_file_get_files_of_their_own(ids, tmp_path):
    names = [file_name_of(name) for name in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        (tmp_path / f"{name}.png").write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == len(ids)


def test_a_launcher_of_several_processes_is_told_before_anything_is_written(load, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="one of 2 processes by what its launcher has set, and RANK is not"):
        run(load(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert run(load("train.steps=1"), tmp_path / "run").status == "done"


def test_on_the_command_line_a_launcher_gets_the_exit_code_of_a_mistaken_command(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "i2i", "run", "shapes", "--out", "both"],
        cwd=tmp_path,
        env={**os.environ, "WORLD_SIZE": "4", "RANK": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "one of 4 processes by what its launcher has set, and MASTER_ADDR is not set" in ended.stderr
    assert not (tmp_path / "both").exists()
