"""A checkpoint is whole or not there; what is damaged is set aside, and what cannot be read is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from i2i.errors import ResourceError
from i2i.runs import checkpoint


@dataclass(frozen=True)
class Plain:
    """A file of any content, of which a manifest holds the checksum of the whole, as the first ones did."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, file: BinaryIO, going_on: Callable[[], None]) -> dict[str, object]:
        file.write(self.content)
        return {"size": self.size, "sha256": hashlib.sha256(self.content).hexdigest()}


FILES = {"generator.safetensors": Plain(b"weights"), "trainer.safetensors": Plain(b"state")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two checkpoints, of steps 5 and 10."""
    for step in (5, 10):
        checkpoint.save(tmp_path / "checkpoints", step, FILES, seconds=step / 2, facts={"pairs": 12})
    return tmp_path / "checkpoints"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def bytes_below(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rewrite(root: Path, number: int, **changes: object) -> None:
    """Write a manifest of the first version, with other values, which its reader has to doubt itself."""
    path = root / f"{number:06d}" / "manifest.json"
    about = json.loads(path.read_bytes())
    first = {key: about[key] for key in ("step", "seconds", "files")}
    path.write_text(json.dumps(first | changes))


def test_what_was_saved_is_found_again_with_what_its_writer_told(root):
    found = checkpoint.newest(root)
    assert (found.step, found.seconds, found.facts) == (10, 5.0, {"pairs": 12})
    assert found.folder == root / "000010"


def test_a_manifest_of_the_first_version_is_read(root):
    rewrite(root, 10)
    assert checkpoint.newest(root).step == 10
    assert checkpoint.newest(root).facts == {}


def test_every_flipped_bit_of_a_manifest_is_damage_or_changes_nothing_and_removes_nothing(root):
    path = root / "000010" / "manifest.json"
    whole = path.read_bytes()
    sound = checkpoint.newest(root)
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            found = checkpoint.find(root)
            if found.sound.step == 10:
                assert found.sound == sound
            else:
                assert (found.sound.step, found.damaged) == (5, (root / "000010",))
    assert names(root) == ["000005", "000010"]


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "10"},
        {"step": 1},
        {"step": True},
        {"step": 10.0},
        {"seconds": None},
        {"seconds": float("nan")},
        {"seconds": "5"},
        {"files": {}},
        {"files": []},
        {"files": {"../000005/trainer.safetensors": {"size": 5, "sha256": ""}}},
        {"files": {"n" * 300: {"size": 5, "sha256": ""}}},
        {"files": {"trainer.safetensors": None}},
        {"more": 1},
    ],
)
def test_a_checkpoint_that_says_what_none_says_is_passed_over_for_the_one_before(root, changes):
    rewrite(root, 10, **changes)
    found = checkpoint.find(root)
    assert (found.sound.step, found.damaged) == (5, (root / "000010",))


@pytest.mark.parametrize("manifest", [b"", b"[]", b"null", b"[" * 100_000, b"\xff", b"{}"])
def test_a_manifest_that_is_none_is_damage(root, manifest):
    (root / "000010" / "manifest.json").write_bytes(manifest)
    assert checkpoint.newest(root).step == 5


@pytest.mark.parametrize("name", ["٠٠٠٠٢٠", "20", "0000020", "000020"])
def test_a_folder_under_a_name_that_is_not_its_steps_is_no_sound_checkpoint(root, name):
    shutil.copytree(root / "000010", root / name)
    found = checkpoint.find(root)
    assert (found.sound.step, found.damaged) == (10, (root / name,))


@pytest.mark.parametrize("name", ["²²", "000020.bak", "best", "-00020"])
def test_what_is_not_named_by_a_step_is_left_alone(root, name):
    shutil.copytree(root / "000010", root / name)
    assert checkpoint.find(root).damaged == ()
    checkpoint.tidy(root)
    checkpoint.prune(root, 1)
    assert names(root) == sorted(["000010", name])


@pytest.mark.parametrize("damage", ["gone", "folder", "shorter", "longer", "flipped", "circle"])
def test_a_file_that_is_not_what_was_written_is_damage(root, damage):
    path = root / "000010" / "trainer.safetensors"
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "circle":
        path.symlink_to(path.name)
    elif damage != "gone":
        path.write_bytes({"shorter": b"stat", "longer": b"state.", "flipped": b"ttate"}[damage])
    assert checkpoint.newest(root).step == 5


@contextmanager
def no_file_more() -> Iterator[None]:
    """Let this process open no file more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = os.dup(0)
    os.close(highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_many_open_files_are_no_damage(root):
    before = bytes_below(root)
    with (
        no_file_more(),
        pytest.raises(ResourceError, match=r"checkpoints.* cannot be read: Too many open") as c,
    ):
        checkpoint.find(root)
    assert c.value.exit_code == 4
    with no_file_more(), pytest.raises(ResourceError, match=r"manifest.json cannot be read: Too many open"):
        checkpoint.verified(root / "000010")
    assert bytes_below(root) == before


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no file that fails to be read")
def test_an_input_output_error_is_no_damage(root):
    path = root / "000010" / "trainer.safetensors"
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(ResourceError, match=r"trainer.safetensors cannot be read: Input/output error"):
        checkpoint.find(root)
    assert names(root) == ["000005", "000010"]


def test_what_is_damaged_is_set_aside_under_a_name_of_its_own(root):
    before = bytes_below(root / "000010")
    assert checkpoint.set_aside(root / "000010").name == "000010.damaged"
    checkpoint.save(root, 10, FILES)
    assert checkpoint.set_aside(root / "000010").name == "000010.damaged-2"
    assert names(root) == ["000005", "000010.damaged", "000010.damaged-2"]
    assert list(bytes_below(root / "000010.damaged").values()) == list(before.values())
    checkpoint.tidy(root)
    checkpoint.prune(root, 1)
    assert names(root) == ["000005", "000010.damaged", "000010.damaged-2"]


def test_the_same_step_again_replaces_the_checkpoint(root):
    checkpoint.save(root, 10, {"trainer.safetensors": Plain(b"other")})
    assert names(root) == ["000005", "000010"]
    assert (root / "000010" / "trainer.safetensors").read_bytes() == b"other"
    assert checkpoint.newest(root).step == 10


def test_a_checkpoint_whose_replacement_was_cut_off_is_put_back(root):
    before = bytes_below(root)
    (root / "000010").rename(root / "000010.replaced")
    shutil.copytree(root / "000005", root / "000010.unfinished")
    assert checkpoint.tidy(root) == []
    assert bytes_below(root) == before


def test_what_interrupted_saves_and_removals_left_is_removed(root):
    for name in ("000010.replaced", "000015.unfinished", "000001.removed"):
        shutil.copytree(root / "000005", root / name)
    assert checkpoint.tidy(root) == []
    assert names(root) == ["000005", "000010"]


def test_an_old_checkpoint_that_cannot_be_removed_is_a_note(root):
    (root / "000005.removed").write_text("stands in the way")
    (note,) = checkpoint.prune(root, 1)
    assert "000005 cannot be removed: Not a directory" in note
    assert names(root) == ["000005", "000005.removed", "000010"]


def test_a_save_that_fails_leaves_what_was_there(root):
    before = bytes_below(root)
    with pytest.raises(ResourceError, match=r"checkpoint .*000010 cannot be written"):
        checkpoint.save(root, 10, FILES | {"no/folder": Plain(b"x")})
    assert bytes_below(root) == before
