"""Tensors that are made once: kept, checked when they are read, and made again where they are damaged."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i.cache import cache_folder, kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, in one of this test's own."""
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Makes two tensors, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> dict[str, Tensor]:
        self.made += 1
        return {"a": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(7)}


def test_what_is_made_once_is_read_the_next_time(folder: Path) -> None:
    make = Maker()
    first, second = (kept("things", "abc", make) for _ in range(2))
    assert make.made == 1
    assert first.keys() == second.keys() == {"a", "count"}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert cache_folder() == folder
    assert (folder / "things" / "abc.safetensors").is_file()
    kept("things", "other", make)
    assert make.made == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_file_is_made_again(folder: Path, damage: str) -> None:
    make = Maker()
    kept("things", "abc", make)
    file = folder / "things" / "abc.safetensors"
    data = file.read_bytes()
    changed = {"cut": data[:-3], "flipped": data[:-1] + bytes([data[-1] ^ 1]), "foreign": b"no tensors"}
    file.write_bytes(changed[damage])
    assert kept("things", "abc", make)["count"] == 7
    assert make.made == 2
    assert file.read_bytes() == data


def test_without_a_folder_that_can_be_written_all_is_made_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    make = Maker()
    with caplog.at_level(logging.WARNING, "i2i"):
        assert kept("things", "abc", make)["count"] == 7
    assert make.made == 1
    assert "cannot be kept, and will be made again" in caplog.text


MAKING = """
import sys, time, torch
from pathlib import Path
from i2i.cache import kept

def make():
    with Path(sys.argv[1]).open("a") as file:
        file.write("made ")
    time.sleep(0.5)
    return {"a": torch.ones(3)}

assert kept("things", "abc", make)["a"].sum() == 3
"""


def test_processes_that_want_the_same_at_once_wait_for_the_first(tmp_path: Path) -> None:
    note = tmp_path / "note"
    processes = [subprocess.Popen([sys.executable, "-c", MAKING, str(note)]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert note.read_text() == "made "
