"""A disk that fills while a checkpoint is written beside the training: it is told, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i import load_recipe, run
from i2i.runs import checkpoint

FILLER = """
import shutil, threading, time
from pathlib import Path
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.callback("filler", ":Filler", "leaves little room on the disk of the run, once")


class Filler:
    def step_end(self, run, logs):
        filled = Path("filled")  # not on that disk
        if run.step == 4 and run.folder.parent.name == "small" and not filled.exists():
            while any(thread.name == "saving" for thread in threading.enumerate()):
                time.sleep(0.001)
            room = shutil.disk_usage(run.folder).free - 2**20
            run.folder.with_name("filler").write_bytes(bytes(room))
            filled.touch()
"""

RECIPE = """
recipe = 1
name = "growing"
extends = "shapes"
unset = ["callbacks.samples", "metrics.ssim"]

[data]
count = 16
batch_size = 1

[generator]
width = 16

[train]
steps = 9
precision = "fp32"
save_every = 3
eval_every = 100

[callbacks.filler]
use = "fills/filler"
"""

ON_A_SMALL_DISK = """
import json, shutil, subprocess, sys
from pathlib import Path
from i2i.runs import checkpoint

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", "small"], check=True)
words = ["run", "growing.toml", "--out", "small/run", "--device", "cpu", "--quiet"]
line = [sys.executable, "-m", "i2i", *words]
full = subprocess.run(line, capture_output=True, text=True)
assert Path("filled").exists(), full.stderr
Path("small/filler").unlink()
kept = checkpoint.newest(Path("small/run/checkpoints"))
summary = json.loads(Path("small/run/summary.json").read_text())
free = subprocess.run(line, capture_output=True, text=True)
shutil.copytree("small/run", "copied")
print(json.dumps({
    "code": full.returncode, "told": full.stderr, "kept": kept.step, "status": summary["status"],
    "steps": summary["steps"], "then": free.returncode, "then_told": free.stderr,
}))
"""


def can_mount() -> bool:
    """Whether a disk of its own can be given to a process here."""
    if shutil.which("unshare") is None:
        return False
    line = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"]
    return subprocess.run(line, capture_output=True).returncode == 0


@pytest.mark.slow  # it trains in two processes, one after the other
@pytest.mark.skipif(not can_mount(), reason="no disk of its own can be given to a process here")
def test_a_disk_that_fills_during_a_save_is_told_and_the_run_goes_on_once_there_is_room(
    distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    distribution("i2i-fills", "1.0", "fills", {"i2i_fills.py": FILLER})
    monkeypatch.chdir(tmp_path)
    Path("small").mkdir()
    Path("growing.toml").write_text(RECIPE)
    line = ["unshare", "-rm", sys.executable, "-c", ON_A_SMALL_DISK]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["code"] == 4, found["told"]
    assert "cannot be written: No space left on device" in found["told"]
    assert "bytes are needed" in found["told"]
    assert "Traceback" not in found["told"]
    assert (found["kept"], found["status"]) == (3, "failed")
    assert found["steps"] in (6, 7, 8, 9)
    assert found["then"] == 0, found["then_told"]
    run(load_recipe("growing.toml"), "whole", device="cpu", rehearsed=True)
    assert bits_of(Path("copied")) == bits_of(Path("whole"))


def bits_of(folder: Path) -> dict[str, bytes]:
    """All bits of a run's end."""
    last = checkpoint.newest(folder / "checkpoints")
    assert last is not None
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}
