"""Training from a pack: the weights of the folder's training, to the bit, in any number of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from i2i_datasets.pairs import Pairs
from safetensors.torch import load_file

from i2i import open_split
from i2i.data.stream import training_batches
from i2i.recipe.recipe import load_recipe
from i2i.slot_keys import DataSettings
from i2i.testing import run_tiny


def weights_from(use: str, root: Path, *settings: str):
    data = (f"data.use={use}", f"data.root={root}", "data.size=[16,16]", *settings)
    return run_tiny(*data, steps=14)  # more than two epochs of twelve pairs in batches of two


@pytest.mark.parametrize("direction", ["a-to-b", "b-to-a"])
def test_a_training_from_the_pack_gives_the_weights_of_one_from_the_folder(pairs, packed, direction):
    way = f"data.direction={direction}"
    folder = weights_from("paired-images", pairs, way)
    pack = weights_from("datasets/pairs", packed(pairs), way)
    assert folder.losses == pack.losses
    assert folder.metrics == pack.metrics
    assert folder.weights.keys() == pack.weights.keys()
    assert all(torch.equal(tensor, pack.weights[name]) for name, tensor in folder.weights.items())


def test_pairs_that_were_left_out_are_left_out_of_the_order_too(pairs, packed):
    (pairs / "train" / "B" / "pair7.png").write_bytes(b"no picture")
    folder = weights_from("paired-images", pairs, "data.on_bad=skip")
    pack = weights_from("datasets/pairs", packed(pairs, "--on-bad", "skip"))
    assert folder.losses == pack.losses


def batches(data, workers: int):
    settings = DataSettings(batch_size=2, workers=workers)
    return list(training_batches(data, {}, settings, seed=3, first=0, last=14))


@pytest.mark.parametrize("where", ["pack", "folder"])
def test_batches_are_the_same_with_workers_and_without(pairs, packed, where):
    pack = packed(pairs)
    table = {"use": "paired-images", "root": str(pairs)}
    data = open_split(table, "train") if where == "folder" else Pairs("train", root=pack)
    wanted = batches(Pairs("train", root=pack), 0)
    for one, other in zip(wanted, batches(data, 2), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.target, other.target)


def test_batches_from_the_middle_on_are_those_of_the_whole(pairs, packed):
    data = Pairs("train", root=packed(pairs))
    settings = DataSettings(batch_size=2, workers=2)
    whole, rest = batches(data, 0), list(training_batches(data, {}, settings, seed=3, first=5, last=14))
    assert [batch.ids for batch in rest] == [batch.ids for batch in whole[5:]]
    assert all(torch.equal(one.target, other.target) for one, other in zip(rest, whole[5:], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(
    pairs, packed, tmp_path, workers
):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f"""
recipe = 1
name = "mine"
extends = "shapes"

[data]
use = "datasets/pairs"
root = "{packed(pairs)}"
size = [16, 16]
batch_size = 2
workers = {workers}

[generator]
depth = 2
width = 4

[discriminators.patch]
width = 4

[train]
steps = 200
save_every = 20
eval_every = 200
precision = "fp32"
"""
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(recipe, whole).wait(timeout=180) == 0
    process = run(recipe, killed)
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert not (killed / "model.safetensors").exists()
    assert run(recipe, killed).wait(timeout=180) == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def run(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    assert load_recipe(recipe).data.entry.ref == "datasets/pairs"
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-m", "i2i", "run", str(recipe), "--out", str(out), "--quiet", "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": paths},
    )
