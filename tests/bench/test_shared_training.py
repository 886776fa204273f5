"""Variants that differ in test keys alone share a training, and each is scored with its own values."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path

import pytest

from i2i.bench.benchmark import CELLS
from i2i.bench.definition import read_benchmark
from i2i.bench.keys import key_of
from i2i.bench.records import read_record
from i2i.plugins.catalog import Catalog
from i2i.recipe.recipe import load_recipe

ROOT = Path(__file__).parents[2]


def test_steps_of_a_sampler_are_compared_with_one_training_for_each_seed(i2i, refine, tmp_path):
    out = tmp_path / "bench"
    arguments = ("--swap", "method.evaluations=1,4,16", "--seeds", "2", "--steps", "6", "--device", "cpu")
    ended = i2i("bench", str(refine), *arguments, "--jobs", "1", "--out", str(out))
    assert ended.code == 0, ended.err
    results = json.loads((out / "results.json").read_text())
    assert [cell["status"] for cell in results["cells"]] == ["done"] * 6
    assert len({cell["folder"] for cell in results["cells"]}) == 2
    assert len(list((out / CELLS).glob("*/model.safetensors"))) == 2
    found = {row["variant"]: row for row in results["table"]}
    means = [row["metrics"]["mae"]["mean"] for row in found.values()]
    assert len(set(means)) == 3
    assert all(row["cost"]["image_seconds"] > 0 for row in found.values())
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert all(float(row["image_seconds"]) > 0 for row in rows)
    # What eval finds of the model with these values is what the benchmark says.
    cell = next(each for each in results["cells"] if each["variant"].endswith("16"))
    scored = i2i("eval", str(out / cell["folder"]), "--split", "val", "--test", "evaluations=16", "--json")
    mean = json.loads(scored.out)["figures"]["mae"]["mean"]
    assert mean == pytest.approx(cell["metrics"]["mae"], rel=1e-6)
    # A second call trains nothing and says the same.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    assert i2i("bench", str(refine), *arguments, "--jobs", "1", "--out", str(out)).code == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == before


def test_dropout_at_test_trains_one_cell_a_seed_for_the_variants_that_differ_in_it_alone():
    definition = read_benchmark(ROOT / "recipes" / "bench" / "dropout-at-test.toml")
    catalog = Catalog.installed()
    keys = {
        variation.name: key_of(
            load_recipe(definition.base, over=[*definition.common, *variation.layers], catalog=catalog)
        )
        for variation in definition.variants
    }
    assert keys["on"] == keys["off"]
    assert keys["noise"] != keys["on"]


def test_committed_records_are_read_with_the_values_in_their_recipes():
    for path in sorted((ROOT / "recipes" / "bench" / "cells").glob("*.json")):
        record = read_record(path)
        assert record is not None
        assert all(scoring.test is None for scoring in record.scorings)
        assert "test_dropout" in record.recipe["method"]
        assert record.scorings


def test_one_training_is_tried_once_and_has_one_length_which_stays_as_it_was_settled(i2i, refine, tmp_path):
    out = tmp_path / "bench"
    arguments = ("--swap", "method.evaluations=1,4,16", "--seeds", "1", "--each-seconds", "0.2", "--device")
    arguments = ("bench", str(refine), *arguments, "cpu", "--out", str(out))
    planned = i2i(*arguments, "--plan")
    assert planned.code == 0, planned.err
    assert "trying 1 training of 3 variants" in planned.err
    assert planned.err.count("one batch went through") == 1
    assert len(planned.out.splitlines()) == 1
    state = json.loads((out / "benchmark.json").read_text())
    (training,) = state["seconds_each"]["steps"]
    assert all(found["image_seconds"] > 0 for found in state["rehearsals"].values())
    # As a machine that was slower on that day would have found.
    state["seconds_each"]["steps"][training] = 3
    (out / "benchmark.json").write_text(json.dumps(state))
    ended = i2i(*arguments)
    assert ended.code == 0, ended.err
    results = json.loads((out / "results.json").read_text())
    assert results["budget"] == {"each_seconds": 0.2}
    assert [cell["steps"] for cell in results["cells"]] == [3, 3, 3]
    (seconds,) = {row["cost"]["train_seconds"] for row in results["table"]}
    assert seconds == results["cells"][0]["train_seconds"] > 0
    assert all(row["cost"]["steps"] == 3 for row in results["table"])
    (heads, *_) = ended.out.splitlines()
    assert re.search(r"G, D parameters +steps +training +a step +an image$", heads)
    page, text = ((out / name).read_text() for name in ("report.html", "results.md"))
    assert "0.2 seconds of each variant's own steps (3 steps)" in html.unescape(page)
    assert "0.2 seconds of each variant's own steps (3 steps) a run; seeds 0" in text
    assert "| a step | steps | training | an image |" in text
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert all((row["steps"], float(row["train_seconds"])) == ("3", seconds) for row in rows)
