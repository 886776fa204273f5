"""Saves are written beside the training, one at a time and in order, and nothing of them goes unheard."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from i2i import run
from i2i.engine.saving import Saver
from i2i.errors import ResourceError
from i2i.runs import checkpoint, weights
from i2i.runs.folder import RunFolder
from i2i.runs.weights import Snapshot


class Slow:
    """A file that is written once it is let go on, or given up."""

    size = 4

    def __init__(self) -> None:
        self.begun, self.let_go_on = threading.Event(), threading.Event()

    def write(self, file: BinaryIO, going_on: Callable[[], None]) -> dict[str, object]:
        self.begun.set()
        while not self.let_go_on.wait(0.005):
            going_on()
        file.write(b"slow")
        return {"size": 4, "sha256": hashlib.sha256(b"slow").hexdigest()}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def saver_in(folder: RunFolder, notes: list[str] | None = None, *, keep: int = 3) -> Saver:
    return Saver(folder, keep=keep, facts={}, note=[].append if notes is None else notes.append)


def look_for_a_minute(saver: Saver) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        saver.look()


def model(value: float) -> Snapshot:
    return Snapshot({"a": torch.full((4,), value)}, {})


def models(one: Snapshot) -> dict[str, Snapshot]:
    return {"model.safetensors": one}


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def test_training_goes_on_while_a_save_is_written_and_hears_when_it_is_on_the_disk(folder):
    saver, slow = saver_in(folder), Slow()
    saver.start(5, {"a": slow}, {}, seconds=1.0)
    assert slow.begun.wait(10)
    saver.look()
    assert (saver.saved_at, checkpoint.newest(folder.checkpoints)) == (0, None)
    slow.let_go_on.set()
    saver.wait()
    assert (saver.saved_at, checkpoint.newest(folder.checkpoints).step) == (5, 5)


def test_only_one_save_is_in_hand_and_the_next_waits_for_it(folder):
    saver, slow, later = saver_in(folder), Slow(), Slow()
    saver.start(5, {"a": slow}, {}, seconds=1.0)
    threading.Timer(0.05, slow.let_go_on.set).start()
    saver.start(6, {"a": later}, {}, seconds=1.0)
    assert saver.saved_at == 5
    assert checkpoint.newest(folder.checkpoints).step == 5
    later.let_go_on.set()
    saver.wait()
    assert saver.saved_at == 6


def test_a_model_is_written_after_its_checkpoint_and_before_the_next_one(folder):
    saver, slow = saver_in(folder), Slow()
    first, best = model(1.0), model(2.0)
    saver.start(5, {"a": slow}, models(first), seconds=1.0)
    assert slow.begun.wait(10)
    assert content(folder.model) is None
    slow.let_go_on.set()
    saver.start_models(models(best))
    blocked = Slow()
    saver.start(6, {"a": blocked}, {}, seconds=1.0)
    assert content(folder.model).endswith(torch.full((4,), 2.0).numpy().tobytes())
    assert checkpoint.newest(folder.checkpoints).step == 5
    blocked.let_go_on.set()
    saver.wait()


def test_what_goes_wrong_is_raised_once_and_the_next_save_is_made_all_the_same(folder):
    folder.root.mkdir()
    folder.checkpoints.write_text("stands in the way")
    saver, done = saver_in(folder), Slow()
    done.let_go_on.set()
    saver.start(5, {"a": done}, {}, seconds=1.0)
    with pytest.raises(ResourceError, match=r"checkpoint .*000005 cannot be written: ") as caught:
        look_for_a_minute(saver)
    assert (caught.value.exit_code, saver.saved_at) == (4, 0)
    saver.look()
    saver.wait()
    folder.checkpoints.unlink()
    saver.start(6, {"a": done}, {}, seconds=1.0)
    saver.wait()
    assert saver.saved_at == 6


def test_a_best_model_that_could_not_be_written_is_written_before_the_next_checkpoint(folder):
    saver, done = saver_in(folder), Slow()
    done.let_go_on.set()
    folder.root.mkdir()
    folder.model.mkdir()  # stands in the way
    saver.start_models(models(model(2.0)))
    with pytest.raises(ResourceError, match="cannot be written"):
        saver.wait()
    saver.start(6, {"a": done}, {}, seconds=1.0)
    with pytest.raises(ResourceError, match="cannot be written"):
        saver.wait()
    assert checkpoint.newest(folder.checkpoints) is None  # it would say that the model is there
    folder.model.rmdir()
    saver.start(6, {"a": done}, {}, seconds=1.0)
    saver.wait()
    assert content(folder.model).endswith(torch.full((4,), 2.0).numpy().tobytes())
    assert checkpoint.newest(folder.checkpoints).step == 6


def test_where_no_thread_can_be_had_training_waits_for_the_save(folder, monkeypatch):
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    saver, done = saver_in(folder), Slow()
    done.let_go_on.set()
    saver.start(5, {"a": done}, {}, seconds=1.0)
    assert checkpoint.newest(folder.checkpoints).step == 5
    saver.wait()


def test_a_save_that_is_given_up_ends_at_once_and_leaves_what_was_there(folder):
    saver, done, slow = saver_in(folder), Slow(), Slow()
    done.let_go_on.set()
    saver.start(5, {"a": done}, {}, seconds=1.0)
    saver.wait()
    saver.start(6, {"a": slow}, {}, seconds=1.0)
    assert slow.begun.wait(10)
    saver.give_up()
    assert saver.saved_at == 5
    assert checkpoint.newest(folder.checkpoints).step == 5
    assert not any(thread.name == "saving" for thread in threading.enumerate())


def test_an_old_checkpoint_that_stays_is_told_when_the_save_is_done(folder):
    notes: list[str] = []
    saver, done = saver_in(folder, notes, keep=1), Slow()
    done.let_go_on.set()
    saver.start(5, {"a": done}, {}, seconds=1.0)
    saver.wait()
    (folder.checkpoints / "000005.removed").write_text("stands in the way")
    saver.start(6, {"a": done}, {}, seconds=1.0)
    saver.wait()
    (note,) = notes
    assert "000005 cannot be removed" in note


# --- of a whole run -----------------------------------------------------------------------------------

SPOILER = """
import threading
import time
from pathlib import Path
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.callback("spoiler", ":Spoiler", "leaves no folder for checkpoints, once")


class Spoiler:
    def step_end(self, run, logs):
        if run.step == 4 and not Path("spoilt").exists():
            Path("spoilt").touch()
            while any(thread.name == "saving" for thread in threading.enumerate()):
                time.sleep(0.001)
            (run.folder / "checkpoints").rename(run.folder / "elsewhere")
            (run.folder / "checkpoints").write_text("stands in the way")
"""


def bits_of(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def test_a_save_that_fails_beside_the_training_ends_it_and_is_told_as_ever(
    load, distribution, tmp_path, monkeypatch
):
    distribution("i2i-spoils", "1.0", "spoils", {"i2i_spoils.py": SPOILER})
    monkeypatch.chdir(tmp_path)
    settings = ("callbacks.spoiler.use=spoils/spoiler", "train.save_every=3", "train.eval_every=100")
    recipe, folder = load(*settings), tmp_path / "run"
    with pytest.raises(ResourceError, match=r"^checkpoint .*000006 cannot be written: ") as c:
        run(recipe, folder, rehearsed=True)
    assert c.value.exit_code == 4
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert summary["steps"] in (6, 7, 8, 9)  # told at the step after it was found out, or at the next save
    (folder / "checkpoints").unlink()
    (folder / "elsewhere").rename(folder / "checkpoints")
    assert run(recipe, folder).status == "done"
    run(recipe, tmp_path / "whole", rehearsed=True)
    assert bits_of(folder) == bits_of(tmp_path / "whole")


LONG = ("train.steps=100000", "train.save_every=5", "train.eval_every=100000", "train.log_every=1000")
"""Settings of a run that goes on until it is told to end."""

SLOWLY = """
import sys, threading, time
from pathlib import Path
from i2i.cli import main
from i2i.runs.weights import Snapshot
write = Snapshot.write
def slowly(self, file, going_on=lambda: None):
    if threading.current_thread().name == "saving" and not Path("writing").exists():
        Path("writing").touch()
        for _ in range(hundredths):
            going_on()
            time.sleep(0.01)
    return write(self, file, going_on)
Snapshot.write, hundredths = slowly, int(sys.argv.pop())
main()
"""


def run_of(gan: Path) -> list[str]:
    """Return the words of the command."""
    return ["run", str(gan), "--out", "run", *(part for setting in LONG for part in ("--set", setting))]


def started(gan: Path, folder: Path, *, hundredths: int) -> subprocess.Popen[str]:
    """Start a run in `folder`, whose first save takes so long; return once that is being written."""
    folder.mkdir()
    line = [sys.executable, "-c", SLOWLY, *run_of(gan), str(hundredths)]
    process = subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "writing").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_a_signal_during_a_save_waits_for_it_and_the_run_goes_on_from_there(gan, tmp_path):
    process = started(gan, tmp_path / "desk", hundredths=100)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    folder = tmp_path / "desk" / "run"
    assert process.returncode == 130, told
    assert "the state is saved" in told
    steps = json.loads((folder / "summary.json").read_text())["steps"]
    assert checkpoint.newest(folder / "checkpoints").step == steps > 0
    assert weights.read(folder / "model.safetensors").header["provenance"]["step"] == steps
    line = [sys.executable, "-m", "i2i", *run_of(gan), "--stop-at", str(steps + 3)]
    again = subprocess.run(line, cwd=tmp_path / "desk", capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert checkpoint.newest(folder / "checkpoints").step == steps + 3


def test_a_second_signal_during_a_save_ends_the_run_at_once(gan, tmp_path):
    process = started(gan, tmp_path / "desk", hundredths=6000)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Ended at once: what came after step 0 is not saved." in told
    assert checkpoint.newest(tmp_path / "desk" / "run" / "checkpoints") is None
