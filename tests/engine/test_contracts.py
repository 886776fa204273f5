"""The contracts, proved by components that the core does not have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2i import load_generator, load_recipe, run
from i2i.data.opening import open_data
from i2i.data.stream import training_batches
from i2i.errors import DataError, DivergedError, RecipeError


def records(folder: Path, kind: str) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def test_a_recipe_trains_with_a_third_partys_generator_discriminator_and_loss(load, tmp_path):
    recipe = load("losses.l1.use=toys/huber", "losses.l1.delta=0.1")
    used = {
        path: recipe.slots[path].entry for path in ("generators.main", "discriminators.judge", "losses.l1")
    }
    assert {path: (entry.ref, entry.distribution, entry.version) for path, entry in used.items()} == {
        "generators.main": ("toys/tiny", "i2i-toys", "1.0"),
        "discriminators.judge": ("toys/tiny", "i2i-toys", "1.0"),
        "losses.l1": ("toys/huber", "i2i-toys", "1.0"),
    }
    run(recipe, tmp_path / "run")
    first, *_, last = (record["losses"]["l1"] for record in records(tmp_path / "run", "train"))
    assert last < first


def test_a_method_with_two_generators_trains_on_unpaired_data_and_resumes(two_way, tmp_path):
    run(load_recipe(two_way), tmp_path / "whole")
    run(load_recipe(two_way), tmp_path / "parts", stop_at=3)
    run(load_recipe(two_way), tmp_path / "parts")
    for name in ("generators.there", "generators.back", "discriminators.source", "discriminators.target"):
        whole, parts = (
            tmp_path / r / "checkpoints/000006" / f"{name}.safetensors" for r in ("whole", "parts")
        )
        assert whole.read_bytes() == parts.read_bytes()
    logged = records(tmp_path / "whole", "train")[-1]["losses"]
    assert logged.keys() == {"discriminators.source", "discriminators.target", "cycle", "fooled"}


def test_the_exported_generator_is_the_one_the_method_names(two_way, tmp_path):
    result = run(load_recipe(two_way), tmp_path / "run")
    module = load_generator(result.folder / "model.safetensors")
    assert module(torch.zeros(1, 1, 8, 8)).shape == (1, 3, 8, 8)


def test_unpaired_data_draw_other_partners_each_epoch(two_way):
    recipe = load_recipe(two_way)
    data = open_data(recipe, "train")
    batches = list(training_batches(data, {}, recipe.data.settings, seed=0, first=0, last=10))
    partners: dict[str, set[bytes]] = {}
    for batch in batches:
        for name, target in zip(batch.ids, batch.target, strict=True):
            partners.setdefault(name, set()).add(target.numpy().tobytes())
    assert len(partners) == 10
    assert any(len(targets) > 1 for targets in partners.values())


def test_a_metric_over_the_whole_set_is_scored_and_reported(two_way, tmp_path):
    run(load_recipe(two_way), tmp_path / "run")
    validations = records(tmp_path / "run", "val")
    assert [record["step"] for record in validations] == [3, 6]
    assert all(record["metrics"]["spread"] >= 0 for record in validations)
    assert (
        json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"] == validations[-1]["metrics"]
    )


def test_copying_the_input_is_scored_only_where_shapes_allow(load, two_way, tmp_path):
    run(load_recipe(two_way), tmp_path / "unpaired")
    assert records(tmp_path / "unpaired", "val")[-1]["copy_input"] == {}
    run(load(), tmp_path / "paired")
    copied = records(tmp_path / "paired", "val")[-1]["copy_input"]["mae"]
    items = [open_data(load(), "val")[i] for i in range(10)]
    differences = [(i["source"].float() - i["target"].float()).abs().mean() / 255 for i in items]
    assert copied == pytest.approx(float(torch.stack(differences).mean()), abs=1e-6)


def test_a_callback_keeps_its_state_over_a_resume(load, tmp_path):
    settings = ("callbacks.counter.use=toys/counter",)
    run(load(*settings), tmp_path / "whole")
    run(load(*settings), tmp_path / "parts", stop_at=7)
    run(load(*settings), tmp_path / "parts")
    whole, parts = (json.loads((tmp_path / r / "counter.json").read_text()) for r in ("whole", "parts"))
    assert whole["steps"] == parts["steps"] == 12
    assert whole["total"] == parts["total"]
    assert parts["events"] == ["start", "eval 12"]


def test_a_callback_is_called_as_often_as_its_table_says(load, tmp_path):
    run(load("callbacks.counter.use=toys/counter", "callbacks.counter.every=5"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "counter.json").read_text())["steps"] == 2


def test_a_callback_hears_of_the_error_that_ended_the_run(load, tmp_path):
    settings = ("losses.poison.use=toys/poison", "callbacks.counter.use=toys/counter")
    with pytest.raises(DivergedError):
        run(load(*settings), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "counter.json").read_text())["error"] == "DivergedError"


def test_a_feature_loss_and_a_penalty_are_applied(load, tmp_path):
    settings = (
        "losses.features.use=toys/features",
        "losses.slope.use=toys/slope",
        "losses.slope.every=2",
        "train.log_every=1",
    )
    run(load(*settings), tmp_path / "run")
    logged = [record["losses"] for record in records(tmp_path / "run", "train")]
    assert all(losses["features"] > 0 for losses in logged)
    assert [("slope.judge" in losses) for losses in logged] == [step % 2 == 0 for step in range(12)]


def test_a_feature_loss_is_refused_where_no_features_are_handed_out(load, tmp_path):
    recipe = load("losses.features.use=toys/features", "discriminators.judge.use=toys/two-scales")
    with pytest.raises(RecipeError, match="toys/features needs a discriminator that hands out features"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_needs_a_penalty_is_refused_without_one(load):
    with pytest.raises(RecipeError, match="toys/margin needs a penalty"):
        load("losses.adversarial.use=toys/margin")
    assert load("losses.adversarial.use=toys/margin", "losses.slope.use=toys/slope")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(load, tmp_path):
    settings = ("losses.poison.use=toys/poison", "losses.poison.after=7", "train.log_every=1")
    with pytest.raises(DivergedError, match=r"stopped being finite at step 8\b.*optimizers") as caught:
        run(load(*settings), tmp_path / "run")
    assert caught.value.exit_code == 5
    assert sorted(f.name for f in (tmp_path / "run" / "checkpoints").iterdir()) == ["000003", "000006"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "diverged"
    assert "stopped being finite" in (tmp_path / "run" / "report.html").read_text()


def test_a_divergence_between_two_logs_is_not_saved(load, tmp_path):
    settings = ("losses.poison.use=toys/poison", "losses.poison.after=4", "train.log_every=100")
    with pytest.raises(DivergedError, match=r"at step 5\b"):
        run(load(*settings), tmp_path / "run")
    assert sorted(f.name for f in (tmp_path / "run" / "checkpoints").iterdir()) == ["000003"]


def test_attribution_stands_escaped_in_the_report(load, tmp_path):
    run(load(), tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Squares by &lt;nobody&gt;, public domain." in page


def test_a_data_set_that_breaks_its_own_word_is_named(load, tmp_path, toys):
    recipe = load()
    data = open_data(recipe, "train")
    broken = type(
        "Broken",
        (),
        {
            "spec": data.spec,
            "__len__": lambda self: 4,
            "__getitem__": lambda self, i: {
                "source": torch.zeros(1, 16, 16, dtype=torch.uint8),
                "target": data[0]["target"],
                "id": f"item {i}",
            },
        },
    )()
    with pytest.raises(DataError, match=r"the source of 'item \d' has 1 channels"):
        next(training_batches(broken, {}, recipe.data.settings, seed=0, first=0, last=1))


def test_only_the_named_plug_ins_are_imported_by_a_run(gan, toys, tmp_path):
    broken = toys / "i2i_broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: i2i-broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[i2i]\nbroken = i2i_not_there\n")
    process = subprocess.run(
        [sys.executable, "-m", "i2i", "run", str(gan), "--steps", "1", "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    plugins = json.loads((tmp_path / "run" / "provenance.json").read_text())["plugins"]
    assert [(p["namespace"], p["distribution"], p["version"]) for p in plugins][-1] == (
        "toys",
        "i2i-toys",
        "1.0",
    )
    assert len(plugins) == 2
