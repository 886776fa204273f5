"""Variants that differ in test keys alone share a training, and each is scored with its own values."""

from __future__ import annotations

import csv
import json
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


def test_committed_records_are_read_with_the_values_in_their_recipes_or_their_own():
    older = 0
    for path in sorted((ROOT / "recipes" / "bench" / "cells").glob("*.json")):
        record = read_record(path)
        assert record is not None
        assert record.scorings
        for scoring in record.scorings:
            older += scoring.test is None
            said = record.recipe["method"] if scoring.test is None else scoring.test
            assert ("test_dropout" if scoring.test is None else "method.test_dropout") in said
    assert older
