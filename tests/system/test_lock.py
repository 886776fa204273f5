"""One process at a time in a folder: seen by every version of i2i, and over when that process is gone."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from i2i.errors import InUseError, RecipeError, ResourceError
from i2i.system.lock import held

NOBODY = 65534
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")


@contextmanager
def held_by_an_older_version(folder: Path) -> Iterator[None]:
    """Hold a folder as i2i did before it locked a file; raises BlockingIOError when it is held."""
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    folder = tmp_path / "deep" / "run"
    with held(folder):
        with pytest.raises(InUseError) as refused, held(folder):
            pass
        (folder / "mine.txt").touch()
    assert str(refused.value) == f"{folder} is in use by another run; choose another --out."
    assert refused.value.exit_code == 2
    with held(folder):
        assert names_in(folder) == [".lock", "mine.txt"]
    assert names_in(folder) == ["mine.txt"]


def test_a_new_folder_that_stays_empty_is_removed_and_one_that_was_there_stays(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with pytest.raises(ZeroDivisionError), held(tmp_path / name):
            raise ZeroDivisionError
    assert names_in(tmp_path) == ["old"]
    assert names_in(tmp_path / "old") == []


def test_a_lock_file_that_a_killed_process_left_is_in_nobody_s_way(tmp_path):
    (tmp_path / ".lock").touch()
    with held(tmp_path), pytest.raises(InUseError), held(tmp_path):
        pass
    assert names_in(tmp_path) == [".lock"]


def test_a_folder_that_an_older_version_holds_is_in_use_and_nothing_is_written_there(tmp_path):
    with held_by_an_older_version(tmp_path), pytest.raises(InUseError, match="in use"), held(tmp_path):
        pass
    assert names_in(tmp_path) == []
    with held(tmp_path):
        pass


def test_an_older_version_sees_that_a_folder_is_held(tmp_path):
    with held(tmp_path), pytest.raises(BlockingIOError), held_by_an_older_version(tmp_path):
        pass
    with held_by_an_older_version(tmp_path):
        assert names_in(tmp_path) == []


def test_a_file_of_that_name_that_is_somebody_else_s_is_left_alone(tmp_path):
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / ".lock").write_text("precious")
    (tmp_path / "folder" / ".lock").mkdir(parents=True)
    for name in ("file", "folder"):
        with pytest.raises(RecipeError, match=r"\.lock is not a lock file of i2i"), held(tmp_path / name):
            pass
    assert (tmp_path / "file" / ".lock").read_text() == "precious"
    assert (tmp_path / "folder" / ".lock").is_dir()


def test_what_stands_where_the_folder_should_be_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be used as a folder"), held(tmp_path / "file"):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs a folder that cannot be written")
def test_a_folder_in_which_nothing_can_be_written_cannot_be_locked():
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if user == 0:  # who may write everywhere
            os.seteuid(NOBODY)
        try:
            with pytest.raises(ResourceError, match="Permission denied") as refused, held(folder):
                pass
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
    assert f"{folder} cannot be locked for a run" in str(refused.value)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_that_locks_nothing_is_told(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def refuse(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ResourceError, match=os.strerror(number)), held(tmp_path):
        pass


def test_a_file_system_that_locks_only_files_is_enough(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    flock = fcntl.flock

    def refuse_folders(handle: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_folders)
    with held(tmp_path), pytest.raises(InUseError), held(tmp_path):
        pass


KILLED_BESIDE_A_FORKED_PROCESS = """
import os, signal, sys, time
from pathlib import Path
from i2i.system.lock import held

with held(Path(sys.argv[1])):
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"!")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@FORKS
def test_a_process_that_was_forked_does_not_hold_the_folder_of_a_parent_that_was_killed(tmp_path):
    line = [sys.executable, "-c", KILLED_BESIDE_A_FORKED_PROCESS, str(tmp_path / "run")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        try:
            assert process.wait() == -signal.SIGKILL
            with held(tmp_path / "run"):
                os.kill(child, 0)  # it is alive
        finally:
            os.kill(child, signal.SIGKILL)


ENDED_IN_A_FORKED_PROCESS = """
import os, sys
from pathlib import Path
from i2i.errors import InUseError
from i2i.system.lock import held

folder = Path(sys.argv[1])
with held(folder):
    if (child := os.fork()) == 0:
        sys.exit()
    os.waitpid(child, 0)
    try:
        with held(folder):
            print("let go of")
    except InUseError:
        print(*os.listdir(folder))
"""


@FORKS
def test_a_process_that_was_forked_and_ends_lets_go_of_nothing(tmp_path):
    line = [sys.executable, "-c", ENDED_IN_A_FORKED_PROCESS, str(tmp_path / "run")]
    ended = subprocess.run(line, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, ".lock\n", "")
    assert names_in(tmp_path) == []
