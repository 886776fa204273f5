"""A method that exports two generators: a file for each, used in both directions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i import Translator, load_generator, load_recipe, run
from i2i.bench.pictures import make_pictures
from i2i.data.opening import open_data
from i2i.errors import RecipeError
from i2i.plugins.catalog import Catalog
from i2i.runs import weights
from i2i.runs.folder import RunFolder
from i2i.runs.header import ModelHeader

PAIRS = ("metrics.mae.use=mae", "data.aligned=true")
"""Held-out squares belong to each other, so that each direction can be compared with the truth."""


@pytest.fixture
def trained(two_way: Path, tmp_path: Path) -> Path:
    run(load_recipe(two_way, set=PAIRS), tmp_path / "run")
    return tmp_path / "run"


def test_there_is_a_model_file_for_each_exported_generator(trained, tmp_path):
    there, back = trained / "model.safetensors", trained / "model-back.safetensors"
    assert RunFolder(trained).models() == [there, back]
    headers = [ModelHeader.read(weights.read(path).header, path=path) for path in (there, back)]
    assert [(each.name, each.reads, each.writes) for each in headers] == [
        ("there", ("source",), "target"),
        ("back", ("target",), "source"),
    ]
    for header, name in zip(headers, ("there", "back"), strict=True):
        stored = weights.read(trained / "checkpoints" / "000006" / f"generators.{name}.safetensors")
        own = load_generator(trained, generator=name).state_dict()
        assert all(torch.equal(own[key], tensor) for key, tensor in stored.tensors.items())
        assert header.method is not None
        assert header.method.component == "toys/two-way"


def test_both_directions_translate_pictures(trained, i2i, tmp_path):
    for generator, mode, answer in (("there", "L", "RGB"), ("back", "RGB", "L")):
        Image.new(mode, (16, 16), 100).save(tmp_path / "in.png")
        out = tmp_path / f"{generator}.png"
        ended = i2i("translate", str(trained), str(tmp_path / "in.png"), str(out), "--generator", generator)
        assert ended.code == 0, ended.err
        with Image.open(out) as written, Image.open(tmp_path / "in.png") as picture:
            assert written.mode == answer
            assert Translator(trained, generator=generator)(picture).mode == answer


def test_each_direction_is_scored_on_the_side_that_it_writes(trained, i2i):
    found = {}
    for generator in ("there", "back"):
        ended = i2i("eval", str(trained), "--generator", generator, "--split", "val", "--json")
        assert ended.code == 0, ended.err
        record = json.loads(ended.out)
        assert record["generator"] == generator
        found[generator] = record["figures"]["mae"]["mean"]
    assert {path.name for path in (trained / "eval").glob("*.json")} == {"val.json", "val-back.json"}
    module = load_generator(trained, generator="back")
    recipe = load_recipe(trained / "resolved.toml")
    data = recipe.data.factory(**recipe.data.params, split="val")
    with torch.no_grad():
        errors = [
            (module(item["target"][None] / 127.5 - 1)[0] / 2 + 0.5 - item["source"] / 255).abs().mean()
            for item in map(data.__getitem__, range(len(data)))
        ]
    assert found["back"] == pytest.approx(float(torch.stack(errors).mean()), abs=2e-3)
    assert found["there"] != found["back"]


def test_a_generator_that_is_not_there_is_refused_in_a_sentence(trained, i2i, tmp_path):
    ended = i2i("eval", str(trained), "--generator", "bakc")
    assert ended.code == 2
    assert "has no model of a generator 'bakc' - did you mean 'back'?" in ended.err
    ended = i2i("eval", str(trained / "model.safetensors"), "--generator", "back")
    assert ended.code == 2
    assert "holds the generator 'there' alone, and not 'back'" in ended.err
    with pytest.raises(RecipeError, match="has no model of a generator 'x'; it has there, back"):
        load_generator(trained, generator="x")


def test_starting_over_removes_the_runs_models_and_no_other_file(trained, two_way):
    mine = trained / "model-mine.safetensors"
    mine.write_bytes((trained / "model.safetensors").read_bytes())
    RunFolder(trained).clear()
    assert mine.exists()
    assert not (trained / "model-back.safetensors").exists()


def test_a_run_killed_before_its_models_were_written_writes_all_of_them_anew(two_way, tmp_path):
    run(load_recipe(two_way), tmp_path / "run", stop_at=3)
    whole = (tmp_path / "run" / "model-back.safetensors").read_bytes()
    (tmp_path / "run" / "model-back.safetensors").unlink()
    run(load_recipe(two_way), tmp_path / "run", stop_at=3)
    assert (tmp_path / "run" / "model-back.safetensors").read_bytes() == whole


def test_the_best_weights_of_all_exported_generators_are_kept_together(two_way, tmp_path):
    recipe = load_recipe(two_way, set=[*PAIRS, "train.save_best=mae:max", "train.ema=0.5"])
    run(recipe, tmp_path / "run")
    steps = {
        ModelHeader.read(weights.read(path).header, path=path).provenance["step"]
        for path in RunFolder(tmp_path / "run").models()
    }
    assert len(steps) == 1


def test_a_short_option_is_refused_where_the_method_has_no_such_key(trained, i2i, tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "in.png")
    ended = i2i("translate", str(trained), str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--dropout")
    assert ended.code == 2
    assert "dropout is short for the test key 'test_dropout', which toys/two-way does not have" in ended.err


def test_a_comparison_shows_no_source_to_a_generator_that_reads_targets(two_way, tmp_path):
    alike = ("data.use=toys/squares", "metrics.mae.use=mae", "train.steps=1")
    recipe = load_recipe(two_way, set=alike)
    run(recipe, tmp_path / "run")
    names = {"there": "model.safetensors", "back": "model-back.safetensors"}
    models = {name: tmp_path / "run" / file for name, file in names.items()}
    data, catalog = open_data(recipe, "val"), Catalog.installed()
    outputs = make_pictures(models, recipe, data, tmp_path / "out", count=2, catalog=catalog).outputs
    assert all(outputs["there"])
    assert outputs["back"] == [None, None]
