"""A run that was stopped, killed or given workers ends with the same bits as one left in peace."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2i import run
from i2i.errors import RecipeError
from i2i.runs import checkpoint

TRAIN = """
import sys
from i2i import load_recipe, run
run(load_recipe(sys.argv[1], set=sys.argv[3:]), sys.argv[2])
"""


def weights_of(folder: Path) -> dict[str, bytes]:
    """The bytes of everything that a finished run's state and model consist of."""
    last = checkpoint.newest(folder / "checkpoints")
    files = {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}
    return files | {"model": (folder / "model.safetensors").read_bytes()}


def figures_of(folder: Path) -> list[dict]:
    """The records of a run without what depends on the clock."""
    clock = ("seconds", "images_per_second", "data_wait")
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in record.items() if key not in clock} for record in records]


@pytest.mark.parametrize("stop", [1, 3, 7, 11])
def test_a_stopped_run_goes_on_to_the_same_bits(load, tmp_path, stop):
    run(load("train.ema=0.9"), tmp_path / "whole")
    first = run(load("train.ema=0.9"), tmp_path / "parts", stop_at=stop)
    assert first.status == "stopped"
    assert run(load("train.ema=0.9"), tmp_path / "parts").status == "done"
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert figures_of(tmp_path / "parts") == figures_of(tmp_path / "whole")


def test_workers_and_stops_change_no_bit(load, tmp_path):
    run(load(), tmp_path / "whole")
    run(load("data.workers=2"), tmp_path / "workers", stop_at=5)
    run(load("data.workers=2"), tmp_path / "workers")
    assert weights_of(tmp_path / "workers") == weights_of(tmp_path / "whole")
    assert figures_of(tmp_path / "workers") == figures_of(tmp_path / "whole")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(load, gan, tmp_path, workers):
    settings = ("train.steps=60", "train.save_every=5", "train.eval_every=20", f"data.workers={workers}")
    run(load(*settings), tmp_path / "whole")
    moments = random.Random(workers)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(gan), str(tmp_path / "killed"), *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        seen = len(list((tmp_path / "killed" / "checkpoints").glob("[0-9]*")))
        while process.poll() is None and kills < 3:
            now = len(list((tmp_path / "killed" / "checkpoints").glob("[0-9]*")))
            if now > seen or (kills == 0 and (tmp_path / "killed" / "metrics.jsonl").exists()):
                time.sleep(moments.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        if process.returncode == 0:
            break
    assert kills > 0
    assert weights_of(tmp_path / "killed") == weights_of(tmp_path / "whole")
    assert figures_of(tmp_path / "killed") == figures_of(tmp_path / "whole")


def test_a_killed_run_with_workers_is_resumed_at_once(load, gan, tmp_path):
    folder, settings = tmp_path / "run", ("train.steps=4000", "train.save_every=2", "data.workers=2")
    line = [sys.executable, "-c", TRAIN, str(gan), str(folder), *settings]
    with (tmp_path / "errors.txt").open("w") as errors:
        process = subprocess.Popen(line, stdout=errors, stderr=errors)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(path.name.isdigit() for path in (folder / "checkpoints").glob("*")):  # a finished one
            break
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL, (tmp_path / "errors.txt").read_text()
    begun = checkpoint.newest(folder / "checkpoints").step
    again = run(load(*settings), folder, stop_at=begun + 1)
    assert (again.status, again.summary["steps"]) == ("stopped", begun + 1)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_ends_with_its_exit_code(load, gan, tmp_path, signum):
    settings = ("train.steps=4000", "train.save_every=100000", "train.eval_every=100000")
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "i2i", "run", str(gan), "--out", str(folder)]
    command += [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, errors
    assert "Traceback" not in errors
    assert "the state is saved" in errors
    assert checkpoint.newest(folder / "checkpoints").step > 0
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert os.path.getsize(folder / "model.safetensors") > 0


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(load, tmp_path):
    run(load(), tmp_path / "whole")
    run(load(), tmp_path / "damaged", stop_at=9)
    with (tmp_path / "damaged" / "checkpoints" / "000009" / "generator.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x00\x00")
    assert checkpoint.newest(tmp_path / "damaged" / "checkpoints").step == 6
    run(load(), tmp_path / "damaged")
    assert weights_of(tmp_path / "damaged") == weights_of(tmp_path / "whole")


def test_another_recipe_is_refused_and_nothing_is_lost(load, tmp_path):
    run(load(), tmp_path / "run", stop_at=6)
    before = weights_of(tmp_path / "run")
    with pytest.raises(RecipeError, match=r"losses.l1.weight was 10.0, now 5.0.*--fresh"):
        run(load("losses.l1.weight=5.0"), tmp_path / "run")
    assert weights_of(tmp_path / "run") == before


def test_fresh_starts_over_with_another_recipe(load, tmp_path):
    run(load(), tmp_path / "run", stop_at=6)
    result = run(load("losses.l1.weight=5.0", "train.steps=4"), tmp_path / "run", fresh=True)
    assert (result.status, result.summary["steps"]) == ("done", 4)


def test_fresh_starts_over_beside_files_that_are_not_the_runs(load, tmp_path):
    run(load(), tmp_path / "run", stop_at=6)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert run(load("train.steps=4"), tmp_path / "run", fresh=True).summary["steps"] == 4
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_finished_run_is_not_run_again(load, tmp_path):
    run(load(), tmp_path / "run")
    before = weights_of(tmp_path / "run"), (tmp_path / "run" / "summary.json").stat().st_mtime_ns
    again = run(load(), tmp_path / "run")
    assert again.status == "done"
    assert (weights_of(tmp_path / "run"), (tmp_path / "run" / "summary.json").stat().st_mtime_ns) == before


def test_a_folder_of_something_else_is_left_alone(load, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RecipeError, match="is not empty and holds no run"):
        run(load(), tmp_path / "mine")
    with pytest.raises(RecipeError, match="is not empty and holds no run"):
        run(load(), tmp_path / "mine", fresh=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
