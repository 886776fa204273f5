"""The held-out images that score worst: which are kept, and what a run's folder holds of them."""

from __future__ import annotations

import json
import math

import torch

from i2i.engine.worst import Worst
from i2i.records import Batch
from i2i.runs import worst
from i2i.runs.worst import WorstImage, WorstImages


def batch(*ids: str) -> Batch:
    pictures = torch.arange(len(ids)).float().reshape(-1, 1, 1, 1)
    return Batch(pictures, pictures + 10, list(ids))


def seen(directions, *batches):
    found = Worst(3, directions)
    for taken, figures in batches:
        found(taken, taken.source + 20, figures)
    return found


def test_the_worst_are_kept_over_all_batches_from_the_worst_on():
    found = seen(
        {"mae": "min"},
        (batch("a", "b", "c"), {"mae": [0.1, 0.5, 0.3]}),
        (batch("d", "e"), {"mae": [0.4, 0.2]}),
    )
    assert [(image.id, image.value) for image in found.images] == [("b", 0.5), ("d", 0.4), ("c", 0.3)]
    first = found.images[0]
    assert (first.source.item(), first.fake.item(), first.target.item()) == (1, 21, 11)


def test_the_first_figure_with_a_direction_decides_in_that_direction():
    figures = {"odd": [1.0, 2.0, 3.0], "psnr": [20.0, math.nan, 10.0], "mae": [0.1, 0.2, 0.3]}
    found = seen({"psnr": "max", "mae": "min"}, (batch("a", "b", "c"), figures))
    assert found.figure == "psnr"
    assert [image.id for image in found.images] == ["b", "c", "a"]


def test_without_a_figure_of_each_image_nothing_is_kept():
    found = seen({"kid": "min"}, (batch("a"), {}))
    assert found.figure is None
    assert found.images == []


def test_a_record_is_read_back_up_to_its_step_and_removed_beyond(tmp_path):
    folder = tmp_path / "worst"
    found = WorstImages(20, "mae", [WorstImage("a", 0.5, None, "1-a.png")])
    worst.write(folder, WorstImages(10, "mae", [WorstImage("b", 0.6, 0.1, "1-b.png")]), {"1-b.png": b"x"})
    worst.write(folder, found, {"1-a.png": b"y"})
    assert sorted(path.name for path in folder.iterdir()) == ["1-a.png", "worst.json"]
    assert worst.read(folder, upto=20) == found
    assert worst.read(folder, upto=19) is None
    assert not folder.exists()
    assert worst.read(folder, upto=20) is None


def test_a_record_that_is_not_whole_is_none(tmp_path):
    folder = tmp_path / "worst"
    found = WorstImages(20, "mae", [WorstImage("a", 0.5, None, "1-a.png")])
    worst.write(folder, found, {})
    assert worst.read(folder, upto=20) is None
    worst.write(folder, found, {"1-a.png": b"y"})
    (folder / "worst.json").write_text('{"step": 20')
    assert worst.read(folder, upto=20) is None


def test_a_run_keeps_the_images_that_its_last_validation_scored_worst(i2i, tmp_path):
    out = tmp_path / "run"
    settings = ("--steps", "6", "--set", "train.eval_every=3", "--set", "data.count=120")
    ended = i2i("run", "shapes", "--out", str(out), *settings)
    assert ended.code == 0, ended.err
    found = json.loads((out / "worst" / "worst.json").read_text())
    table = [line.split(",") for line in (out / "val.csv").read_text().splitlines()]
    column = table[0].index(found["figure"])
    ranked = sorted(((float(row[column]), row[0]) for row in table[1:]), reverse=True)
    assert len(ranked) > 6
    assert found["step"] == 6
    assert found["figure"] == "mae"
    assert [(image["value"], image["id"]) for image in found["images"]] == ranked[:6]
    assert all((out / "worst" / image["file"]).is_file() for image in found["images"])
    assert "The worst held-out images" in (out / "report.html").read_text()
