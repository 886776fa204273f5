"""What the first version wrote is read by this one: a run, its checkpoint, its model, a benchmark.

`fixtures/first-format` was written by i2i 0.1.0 before its code was divided into rooms; pages and pictures,
which nothing reads, were left out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from i2i import load_generator
from i2i.runs import weights

WRITTEN = Path(__file__).parent / "fixtures" / "first-format"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what was written, as the working folder."""
    folder = tmp_path / "old"
    shutil.copytree(WRITTEN, folder)
    monkeypatch.chdir(folder)
    return folder


def test_a_stopped_run_is_resumed_and_ends_as_the_undisturbed_one_did(i2i, old):
    assert i2i("run", "small.toml", "--out", "run", "--device", "cpu").code == 0
    ended, whole = (weights.read(old / run / "model.safetensors").tensors for run in ("run", "whole"))
    assert ended.keys() == whole.keys()
    # Another processor computes other last bits.
    for name, tensor in whole.items():
        torch.testing.assert_close(ended[name], tensor, rtol=1e-3, atol=1e-3)


def test_a_finished_run_is_told_as_finished(i2i, old):
    ended = i2i("run", "small.toml", "--out", "whole")
    assert ended.code == 0
    assert "finished already" in ended.err


def test_a_model_is_loaded_scored_and_compared(i2i, old):
    assert load_generator("whole/model.safetensors")(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)
    scored = i2i("eval", "whole", "--split", "val", "--json")
    assert scored.code == 0, scored.err
    then = json.loads((old / "whole" / "summary.json").read_text())["metrics"]["mae"]
    assert json.loads(scored.out)["figures"]["mae"]["mean"] == pytest.approx(then, abs=1e-3)
    assert i2i("compare", "whole", "bench/cells/5d0339e409040b94", "--json").code == 0


def test_a_finished_benchmark_answers_without_training_anything(i2i, old):
    before = {path: path.stat().st_mtime_ns for path in (old / "bench").rglob("model.safetensors")}
    arguments = (
        "--swap",
        "losses.l1.use=l1,l2",
        "--seeds",
        "1",
        "--steps",
        "3",
        "--out",
        "bench",
        "--jobs",
        "1",
    )
    ended = i2i("bench", "small.toml", *arguments)
    assert ended.code == 0, ended.err
    assert "cells to train" not in ended.out + ended.err
    assert {path: path.stat().st_mtime_ns for path in (old / "bench").rglob("model.safetensors")} == before
