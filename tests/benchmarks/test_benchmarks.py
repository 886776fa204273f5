"""The benchmarks run, at tiny sizes; and the loop by hand takes the steps that the engine takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from i2i.data.opening import open_splits
from i2i.engine.session import Session
from i2i.recipe.recipe import load_recipe
from i2i.system.device import Runtime

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_training_is_measured_beside_both_loops(tmp_path: Path):
    out, page = tmp_path / "rows.json", tmp_path / "rows.md"
    sizes = ("--only", "tiny-32-batch-2", "--rounds", "2", "--seconds", "0.01", "--threads", "1")
    done = script("training.py", *sizes, "--out", str(out), "--out", str(page))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    rows = {row["contender"]: row for row in found["rows"]}
    assert rows.keys() == {"engine", "whole run", "plain", "tuned", "tuned, memory kept"}
    for row in rows.values():
        assert len(row["stretches"]) == 2
        assert row["times_plain"] == pytest.approx(rows["plain"]["seconds_a_step"] / row["seconds_a_step"])
        assert row["images_per_second"] == pytest.approx(2 / row["seconds_a_step"])
        assert row["peak_memory_mb"] > 0
    assert found["about"]["threads"] == "1"
    assert page.read_text() == done.stdout
    assert done.stdout.count("| tiny-32-batch-2 |") == 5


def test_translating_is_measured_beside_another_checkout(tmp_path: Path):
    out = tmp_path / "rows.json"
    sizes = ("--pictures", "2", "--size", "32", "--depth", "3", "--width", "4", "--rounds", "1")
    done = script("translating.py", *sizes, "--beside", str(ROOT), "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    rows = [(row["checkout"], len(row["runs"])) for row in found["rows"]]
    assert rows == [("here", 1), ("beside", 1), ("import torch", 1)]
    assert found["about"]["same bytes"] == "2 of 2"
    assert "x that of the other" in done.stdout


@pytest.mark.slow
def test_early_and_late_steps_are_compared(tmp_path: Path):
    out = tmp_path / "rows.json"
    small = ("data.size=[16,16]", "generator.depth=2", "generator.width=2", "discriminators.patch.width=2")
    sets = [word for key in small for word in ("--set", key)]
    run = ("--recipe", "recipes/shapes.toml", "--steps", "1100", "--threads", "1", "--out", str(out))
    done = script("steady.py", *run, *sets)
    assert done.returncode == 0, done.stderr
    early, late = json.loads(out.read_text())["rows"]
    assert (early["steps"], late["steps"]) == ("100 to 600", "600 to 1100")
    assert min(early["seconds_a_step"], early["memory_mb"], late["seconds_a_step"], late["memory_mb"]) > 0
    assert "late by early, memory: " in done.stdout


@pytest.mark.slow
def test_what_a_benchmark_takes_beside_its_cells_is_told(tmp_path: Path):
    out = tmp_path / "rows.json"
    small = ("data.use=shapes", "data.count=4", "data.size=[32,32]", "generator.depth=3", "generator.width=4")
    sets = [word for key in small for word in ("--set", key)]
    done = script("comparing.py", "--steps", "2", *sets, "--out", str(out))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text())["rows"]
    assert row["cells"] == 5
    assert 0 < row["cells_seconds"] < row["seconds"]
    assert row["share"] == pytest.approx(row["seconds"] / row["cells_seconds"] - 1)


@pytest.mark.slow
def test_a_pack_is_measured_beside_its_folder(tmp_path: Path):
    pytest.importorskip("i2i_datasets")
    out = tmp_path / "rows.json"
    done = script("mapping.py", "--pairs", "100", "--rounds", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    packing, *rows = json.loads(out.read_text())["rows"]
    assert packing["seconds"] > 0
    found = {row["read"]: row for row in rows}
    assert found.keys() == {"folder", "pack", "folder, by the engine", "pack, by the engine"}
    for row in rows:
        folder = found[row["read"].replace("pack", "folder")]
        assert row["times_folder"] == pytest.approx(row["pairs_per_second"] / folder["pairs_per_second"])
        assert min(row["seconds_to_open"], row["open_mb"], row["peak_mb"]) > 0


@pytest.mark.slow
def test_a_large_picture_is_measured(tmp_path: Path):
    out = tmp_path / "rows.json"
    small = ("--size", "200", "--depth", "3", "--width", "4", "--option=--tile", "--option=128")
    done = script("tiling.py", *small, "--suffix", ".tif", "--suffix", ".png", "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [row["picture"] for row in rows] == [".tif", ".png"]
    assert all(100 < row["peak_mib"] < 2000 and row["seconds"] > 0 for row in rows)
    assert all("in tiles of 128 px that overlap by 56" in row["said"] for row in rows)


def test_a_folder_without_i2i_is_no_checkout(tmp_path: Path):
    done = script("translating.py", "--pictures", "1", "--size", "32", "--beside", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path} has no i2i" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variant", "precision", "tolerance"), [("plain", "fp32", 1e-5), ("tuned", "bf16", 1e-2)]
)
@pytest.mark.parametrize("game", ["vanilla", "lsgan"])
def test_the_loop_by_hand_takes_the_engines_steps(monkeypatch, variant, precision, tolerance, game):
    monkeypatch.syspath_prepend(str(FOLDER))
    from plain_loop import Networks, PlainLoop

    tables = {
        "data.use": "shapes",
        "data.size": [32, 32],
        "data.batch_size": 2,
        "generator.depth": 4,
        "generator.width": 8,
        "generator.dropout": 0.0,
        "discriminators.patch.width": 8,
        "losses.adversarial.use": game,
        "train.steps": 3,
    }
    unset = ("transforms.jitter", "callbacks.samples")
    recipe = load_recipe(ROOT / "recipes/paper/pix2pix-256.toml", set=tables, unset=unset)
    runtime = Runtime("cpu", precision, channels_last=precision == "bf16", threads=1)
    session = Session(recipe, data=open_splits(recipe), runtime=runtime, provenance={})
    loop = PlainLoop(Networks(depth=4, width=8, dropout=0.0), variant=variant, device="cpu", game=game)
    for network, (_, module) in zip((loop.generator, loop.judge), session.networks.modules(), strict=True):
        network.load_state_dict(module.state_dict())
    for batch in session.batches(last=3):
        logs = session.advance([batch])
        of_judge, of_generator = loop.step(loop.place(batch.source), loop.place(batch.target))
        assert float(of_judge) == pytest.approx(float(logs["discriminators.patch"]), rel=tolerance)
        engines = logs["adversarial"] + 100 * logs["l1"]
        assert float(of_generator) == pytest.approx(float(engines), rel=tolerance)
    assert all(parameter.requires_grad for parameter in loop.judge.parameters())


@pytest.mark.slow
def test_two_processes_are_measured_beside_one(tmp_path: Path):
    out = tmp_path / "rows.json"
    sizes = ("--only", "tiny-32-batch-2", "--rounds", "1", "--steps", "3", "--sync-batch")
    done = script("two_processes.py", *sizes, "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [row["contender"] for row in rows] == [
        "one process, two threads",
        "two processes",
        "two processes, sync-batch",
    ]
    for row in rows:
        assert row["efficiency"] == pytest.approx(rows[0]["seconds_a_step"] / row["seconds_a_step"])


def test_a_batch_of_one_is_not_measured_in_two_processes():
    done = script("two_processes.py", "--only", "paper-256-batch-1")
    assert done.returncode == 2
    assert "cannot be shared out to two processes" in done.stderr
