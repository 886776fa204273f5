"""`data.paired = false`: any pairs, trained on as if they were none and scored as the pairs that they are."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import run
from i2i.bench.keys import key_of
from i2i.data.opening import open_data, open_splits
from i2i.data.stream import TrainingPairs
from i2i.engine.rehearsal import rehearse
from i2i.errors import RecipeError
from i2i.recipe.recipe import load_recipe
from i2i.runs import checkpoint, weights
from i2i.runs.header import ModelHeader

SHAPES = ("data.use=shapes", "data.size=16", "data.count=30", "data.batch_size=2")
WITHOUT = (*SHAPES, "data.paired=false")


def same(one, other) -> bool:
    return torch.equal(one["target"], other["target"])


def test_training_draws_any_target_and_held_out_pairs_stay(two_way):
    recipe = load_recipe(two_way, set=WITHOUT)
    data, pairs = open_splits(recipe), open_data(recipe, "train")
    assert not data["train"].spec.aligned
    assert data["val"].spec.aligned
    assert not hasattr(data["val"], "draw")
    drawn = [data["train"].draw(2, torch.Generator().manual_seed(seed)) for seed in range(12)]
    assert all(item["id"] == pairs[2]["id"] for item in drawn)
    assert all(torch.equal(item["source"], pairs[2]["source"]) for item in drawn)
    colours = {item["target"].numpy().tobytes() for item in drawn}
    assert 6 < len(colours) <= 12
    assert colours <= {pairs[index]["target"].numpy().tobytes() for index in range(len(pairs))}
    assert same(data["train"].draw(2, torch.Generator().manual_seed(0)), drawn[0])


def test_what_is_drawn_is_the_same_in_a_worker_and_another_in_each_epoch(two_way):
    data = open_splits(load_recipe(two_way, set=WITHOUT))["train"]
    stream, sent = (TrainingPairs(each, {}, seed=0) for each in (data, pickle.loads(pickle.dumps(data))))
    targets = [stream[epoch, 3][1] for epoch in range(6)]
    assert all(torch.equal(sent[epoch, 3][1], target) for epoch, target in enumerate(targets))
    assert any(not torch.equal(targets[0], target) for target in targets[1:])


def bits(folder: Path) -> dict[str, bytes]:
    last = checkpoint.newest(folder / "checkpoints")
    return {path.name: path.read_bytes() for path in last.folder.glob("*.safetensors")}


def test_a_run_is_scored_by_metrics_of_pairs_and_goes_on_to_the_same_bits(two_way, tmp_path, i2i):
    wanted = (*WITHOUT, "metrics.error.use=mae", "callbacks.s.use=samples")
    folder = run(load_recipe(two_way, set=wanted), tmp_path / "whole").folder
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    validations = [record for record in records if record["kind"] == "val"]
    assert validations
    assert all(record["metrics"]["mae"] > 0 and record["copy_input"]["mae"] > 0 for record in validations)
    report = (folder / "report.html").read_text()
    assert "These data are no pairs" not in report
    assert "The worst held-out images" in report
    spec, _ = ModelHeader.read(weights.read(folder / "model.safetensors").header, path=folder).generator(
        path=folder
    )
    assert not spec.aligned
    workers = load_recipe(two_way, set=(*wanted, "data.workers=2"))
    run(workers, tmp_path / "parts", stop_at=3)
    run(workers, tmp_path / "parts")
    assert bits(tmp_path / "parts") == bits(folder)
    scored = i2i("eval", str(folder), "--split", "train", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["figures"]["mae"]["mean"] > 0


def test_whether_pairs_were_there_in_training_makes_another_cell(two_way):
    assert key_of(load_recipe(two_way, set=SHAPES)) != key_of(load_recipe(two_way, set=WITHOUT))


def test_a_loss_or_a_method_that_needs_pairs_is_refused_and_a_metric_is_not(load, two_way, i2i):
    with pytest.raises(RecipeError) as caught:
        rehearse(load(*WITHOUT, "metrics.error.use=mae"), device="cpu")
    (problem,) = caught.value.problems
    assert problem.message.startswith("core/paired-adversarial compares each translation with the target")
    words = [word for setting in (*WITHOUT, "metrics.error.use=mae") for word in ("--set", setting)]
    assert i2i("recipe", "check", str(two_way), "--build", *words).code == 0


def test_data_without_pairs_have_none_to_take_apart(two_way, tmp_path):
    for name in ("trainA", "trainB", "valA", "valB"):
        (tmp_path / "two" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "two" / name / f"{number}.png")
    place = ("data.use=unpaired-images", f"data.root={tmp_path / 'two'}", "data.size=16", "data.batch_size=2")
    with pytest.raises(RecipeError, match="has no pairs that could be taken apart") as caught:
        open_splits(load_recipe(two_way, set=(*place, "data.paired=false")))
    assert caught.value.problems[0].where == "data.paired"


def test_data_whose_further_fields_belong_to_a_pair_are_refused(two_way, tmp_path):
    rows = ["split,source,target,mask"]
    for split in ("train", "val"):
        for number in range(4):
            for side in ("source", "target", "mask"):
                Image.new("L" if side == "mask" else "RGB", (16, 16)).save(
                    tmp_path / f"{split}{number}{side}.png"
                )
            rows.append(",".join([split, *(f"{split}{number}{s}.png" for s in ("source", "target", "mask"))]))
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    place = ("data.use=paired-images", f"data.root={tmp_path}", 'data.extra=["mask"]', "data.batch_size=2")
    with pytest.raises(RecipeError, match="nobody knows whose mask it is"):
        open_splits(load_recipe(two_way, set=(*place, "data.size=16", "data.paired=false")))
