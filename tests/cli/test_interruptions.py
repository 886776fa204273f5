"""Ctrl-C: one answer at once, then the last lines, and exit code 130, whatever is being done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from i2i import run
from i2i.runs import checkpoint

SLOW = """
import os
import time
from pathlib import Path

from i2i import hookimpl
from i2i_toys.data import Squares

i2i_api = 1

@hookimpl
def i2i_register(registry):
    registry.data("slow", ":Slow", "data that take long to open")
    registry.metric("slow", ":SlowMetric", "a metric that takes long")

class Slow(Squares):
    def __init__(self, split: str) -> None:
        Path("opening").touch()
        time.sleep(60)

class SlowMetric:
    directions = {"slow": "min"}

    def __init__(self, *, seconds: float = 3.0) -> None:
        self._seconds = seconds

    def reset(self):
        pass

    def update(self, source, fake, real, ids):
        if Path("out/metrics.jsonl").exists():  # not in the dry pass
            Path("validating").touch()
            time.sleep(self._seconds)

    def compute(self):
        return {"slow": 0.0}
"""


@pytest.fixture
def desk(gan: Path, tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "toy.toml").write_text(gan.read_text())
    (folder / "slow.py").write_text(SLOW)
    monkeypatch.chdir(folder)
    return folder


def interrupted(*words: str, once: Callable[[], bool], times: int = 1) -> tuple[int, str, str]:
    """Run a command, send it SIGINT once something is so, and return how it ended."""
    line = [sys.executable, "-m", "i2i", *words]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not once():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_while_data_are_opened_nothing_is_lost_and_nothing_is_left(desk):
    words = ("run", "toy.toml", "--plugin", "slow.py", "--set", "data.use=local/slow", "--out", "out")
    code, out, err = interrupted(*words, once=Path("opening").exists)
    assert (code, out) == (130, "")
    lines = err.splitlines()
    assert "  stopping" in lines[-2]
    assert lines[-1] == "interrupted before any step was made; nothing is lost."
    assert not Path("out").exists()


def test_with_json_an_interruption_is_an_object(desk):
    words = ("run", "toy.toml", "--plugin", "slow.py", "--set", "data.use=local/slow", "--json")
    code, out, _ = interrupted(*words, once=Path("opening").exists)
    assert (code, json.loads(out)["exit"]) == (130, 130)


def test_in_training_the_step_is_finished_saved_and_told(desk):
    words = ("run", "toy.toml", "--steps", "100000", "--set", "train.eval_every=100000", "--out", "out")
    code, out, err = interrupted(*words, once=Path("out/metrics.jsonl").exists)
    assert code == 130
    assert err.count("stopping after this step; Ctrl-C again ends at once") == 1
    step = json.loads(Path("out/summary.json").read_text())["steps"]
    assert checkpoint.newest(Path("out/checkpoints")).step == step
    assert out.splitlines()[0].startswith(f"interrupted at step {step:,} of 100,000")
    assert err.splitlines()[-1].startswith(f"interrupted after step {step:,}; the state is saved.")
    assert "interrupted" in Path("out/report.html").read_text()


VALIDATING = ("run", "toy.toml", "--plugin", "slow.py", "--steps", "400", "--out", "out", "--set")
VALIDATING += ("metrics.slow.use=local/slow", "--set", "train.eval_every=4", "--set", "data.batch_size=10")


def validating(times: int) -> tuple[int, str, str]:
    return interrupted(*VALIDATING, once=Path("validating").exists, times=times)


def test_in_a_validation_that_is_finished_and_no_further_step_is_made(desk):
    code, out, err = validating(times=1)
    assert code == 130
    assert "stopping after this validation; Ctrl-C again ends at once" in err
    assert out.startswith("interrupted at step 4 of 400")
    records = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "val"] == [4]
    again = subprocess.run(
        [sys.executable, "-m", "i2i", *VALIDATING, "--stop-at", "5"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert again.returncode == 0, again.stderr
    records = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "val"] == [4]


def test_a_second_one_ends_at_once_from_what_was_saved(desk):
    begun = time.monotonic()
    code, out, err = validating(times=2)
    assert code == 130
    assert time.monotonic() - begun < 60
    assert out.startswith("interrupted at step 4 of 400")
    assert err.splitlines()[-1] == "interrupted"
    assert checkpoint.newest(Path("out/checkpoints")).step == 4


def test_while_translating_what_is_written_is_counted(desk, load):
    model = run(load("train.steps=1"), desk / "run").folder
    Path("in").mkdir()
    for number in range(3000):
        Image.new("RGB", (16, 16)).save(f"in/{number:04}.png")
    code, out, err = interrupted(
        "translate", str(model), "in", "coloured", once=lambda: len(list(Path("coloured").glob("*"))) > 2
    )
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"interrupted; {len(os.listdir('coloured'))} images translated to coloured"


def test_while_scoring_no_figure_is_written(desk, load):
    model = run(load("train.steps=1"), desk / "run").folder
    words = ("eval", str(model), "--plugin", "slow.py", "--metric", "local/slow", "--out", "scores")
    Path("out").mkdir()
    Path("out/metrics.jsonl").touch()
    code, out, err = interrupted(*words, once=Path("validating").exists)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; no figure is written"
    assert not Path("scores").exists()


def test_while_a_benchmark_is_tried(desk):
    words = (
        "bench",
        "toy.toml",
        "--plugin",
        "slow.py",
        "--swap",
        "data.use=toys/squares,local/slow",
        "--out",
        "b",
    )
    code, out, err = interrupted(*words, once=Path("opening").exists)
    assert (code, out) == (130, "")
    assert "stopping: waiting for its processes to end; Ctrl-C again ends at once" in err
    assert "run the same command again, with --out b" in err.splitlines()[-1]
