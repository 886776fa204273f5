"""A metric of whole sets: refused where a split has too few images for it, and its figure's name is free."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

PLUGIN = """
from i2i import hookimpl

i2i_api = 1


@hookimpl
def i2i_register(registry):
    registry.metric("count", "i2i_sets.parts:Counted", "how many translations there are")
"""

PARTS = '''
class Counted:
    """How many translations there are.

    Args:
        fewest: how many it needs.
    """

    def __init__(self, *, fewest: int = 3) -> None:
        self.fewest, self.directions = fewest, {"count(all)": "max"}

    def reset(self):
        self.count = 0

    def update(self, source, fake, real, ids):
        self.count += len(fake)

    def compute(self):
        assert self.count >= self.fewest, "asked for a figure of too few"
        return {"count(all)": float(self.count)}
'''

RECIPE = """
recipe = 1
extends = "shapes"
name = "sets"
unset = ["metrics", "callbacks"]

[data]
size = [16, 16]
count = 50
batch_size = 2

[generator]
depth = 2
width = 4

[train]
steps = 2
precision = "fp32"
save_best = "count(all):max"

[metrics.count]
use = "sets/count"
"""


@pytest.fixture(autouse=True)
def recipe(distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a recipe whose batches are smaller than its metric wants."""
    distribution("i2i-sets", "1.0", "sets", {"i2i_sets/__init__.py": PLUGIN, "i2i_sets/parts.py": PARTS})
    monkeypatch.chdir(tmp_path)
    Path("sets.toml").write_text(RECIPE)


def test_it_is_asked_for_figures_of_a_whole_split_alone_and_saves_the_best_by_its_name(i2i):
    ended = i2i("run", "sets.toml", "--out", "run")
    assert ended.code == 0, ended.err
    (scored,) = {record["metrics"]["count(all)"] for record in validations(Path("run"))}
    assert scored > 3
    assert "count(all)" in Path("run/report.html").read_text()
    assert json.loads(Path("run/summary.json").read_text())["metrics"] == {"count(all)": scored}


def test_a_split_with_too_few_images_is_refused_before_the_first_step(i2i):
    ended = i2i("run", "sets.toml", "--out", "run", "--set", "metrics.count.fewest=99")
    assert ended.code == 3
    assert "metrics.count needs at least 99 images, and the split 'val' has " in ended.err
    assert "give it more, set the metric to fewer, or leave it out." in ended.err
    assert not list(Path("run").glob("checkpoints/*"))


def test_an_evaluation_takes_the_figure_and_refuses_too_few_images(i2i):
    assert i2i("run", "sets.toml", "--out", "run").code == 0
    ended = i2i("eval", "run", "--json")
    assert json.loads(ended.out)["figures"]["count(all)"]["better"] == "max"
    ended = i2i("eval", "run", "--set", "metrics.count.fewest=99")
    assert ended.code == 3
    assert "metrics.count needs at least 99 images, and the split 'test' has " in ended.err


@pytest.mark.slow
def test_a_benchmark_reports_it_by_its_name(i2i):
    Path("bench.toml").write_text(
        'benchmark = 1\nname = "b"\nbase = "sets.toml"\nseeds = 1\nmetrics = ["count(all)"]\n'
        '[swap]\n"losses.l1.use" = ["l1", "l2"]\n'
    )
    ended = i2i("bench", "bench.toml", "--out", "b", "--jobs", "1")
    assert ended.code == 0, ended.err
    found = json.loads(Path("b/results.json").read_text())
    assert [(metric["name"], metric["better"]) for metric in found["metrics"]] == [("count(all)", "max")]
    assert "count(all)" in Path("b/report.html").read_text()
    with Path("b/table.csv").open(newline="") as file:
        assert {row[1] for row in list(csv.reader(file))[1:]} == {"count(all)"}
    with Path("b/results.csv").open(newline="") as file:
        assert all(float(row["count(all)"]) > 0 for row in csv.DictReader(file))


def validations(folder: Path) -> list[dict]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == "val"]
